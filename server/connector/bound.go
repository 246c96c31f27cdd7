package connector

import (
	"net/http"

	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/grant"
)

// Bound is one call made ready: the request that goes upstream and the resources on
// which it acts, both computed from the same arguments, so that what is judged is
// what is sent. It holds no credential.
type Bound struct {
	Connector *Connector
	Tool      *Tool

	Severity  grant.Severity
	Resources []grant.Resource

	Method string
	Origin egress.Origin
	// Path is escaped, and begins with "/".
	Path string
	// Query is encoded, without "?".
	Query string
	// Header holds what the manifest fixes; never a credential.
	Header http.Header
	Body   []byte
}
