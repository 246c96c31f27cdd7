package connector

import (
	"time"

	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/grant"
)

// Revision is a manifest as it was applied: immutable but for being withdrawn.
type Revision struct {
	Workspace string
	Name      string
	Number    int64 // from 1
	SHA256    string
	Manifest  string
	AppliedAt time.Time
	AppliedBy string
	Withdrawn bool
}

// Connector is a parsed manifest: what one upstream is and what may be done there.
type Connector struct {
	Workspace   string
	Name        string
	Revision    int64
	Kind        string // "http"
	Description string
	Origin      egress.Origin
	// Egress says which addresses may be dialled and which CAs are trusted.
	Egress egress.Policy
	// Slots are the credentials that it needs, by name; empty means none.
	Slots map[string]Slot
	Tools []*Tool // by name
}

// Slot says whose credential is attached and how.
type Slot struct {
	Name  string
	Owner Owner
	// Kind is bearer, header, query or basic.
	Kind string
	// Name of the header or query parameter; for header and query.
	Param string
	// Prefix stands before the secret in the header, for instance "Token ".
	Prefix string
}

// Owner says whose credential a slot takes. There is no fallback between them.
type Owner string

// The owners.
const (
	UserOwned      Owner = "user"
	WorkspaceOwned Owner = "workspace"
)

// Tool is one operation.
type Tool struct {
	Name        string
	Description string
	Severity    grant.Severity
	Idempotent  bool
	// Schema is the arguments' JSON Schema, compact JSON text.
	Schema string
	// Resources are the templates, for instance "contact:{id}".
	Resources []string
	// FunctionName is CONNECTOR__TOOL with dots as underscores, at most 64 bytes.
	FunctionName string
	// ResponseHeaders may be passed on; canonical names.
	ResponseHeaders []string
	// Limits of one call.
	Timeout          time.Duration
	MaxResponseBytes int64
	// Rows is a JSON pointer to the array whose elements count as rows; empty:
	// rows cannot be counted. RowsCounted says that it was given ("" is a pointer).
	Rows        string
	RowsCounted bool

	binder // how arguments become a request; see bind.go
}

// Tool finds a tool by its exact name.
func (c *Connector) Tool(name string) (*Tool, bool) {
	for _, t := range c.Tools {
		if t.Name == name {
			return t, true
		}
	}
	return nil, false
}
