// Package connector knows the upstreams: what an operator's manifest says of each,
// and how a call of one of its tools becomes a request.
//
//	manifest ─ Parse ─▶ Connector ─▶ Registry (immutable revisions in the store)
//	                        │
//	arguments ─ read once ─▶ Bind ─┬─▶ resources and severity, which are judged
//	                               └─▶ method, path, query, body, which are sent
//
// Both sides of Bind come from the same reading of the same bytes, and nothing on the
// way is normalised: what is not canonical is refused. A caller chooses no host, no
// header and no path but what the manifest's templates allow.
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
	Kind        string // KindHTTP or KindModel
	Description string
	Origin      egress.Origin
	// Egress says which addresses may be dialled, and as whom and by which CAs the
	// upstream is known.
	Egress egress.Policy
	// ShowsSVID has the broker show its own X.509-SVID to the upstream.
	ShowsSVID bool
	// Slots are the credentials that it needs, by name; empty means none.
	Slots map[string]Slot
	// Assertion is what is said of the user in each call; nil means nothing.
	Assertion *Assertion
	// Model is set for KindModel and for no other.
	Model *Model
	Tools []*Tool // by name

	byName map[string]*Tool // made by Parse
}

// KindHTTP is the kind of upstreams that are called over HTTPS.
const KindHTTP = "http"

// DefaultSlot is the slot that is meant where none is named.
const DefaultSlot = "main"

// Slot says whose credential is attached and how.
type Slot struct {
	Name  string
	Owner Owner
	// Kind says how it is attached: bearer, header, query, basic or AWSKey; or
	// CertificateSlot or TokenEndpoint.
	Kind string
	// Name of the header or query parameter; for header and query.
	Param string
	// Prefix stands before the secret in the header, for instance "Token ".
	Prefix string
	// OAuth is set where what is stored only buys what is attached.
	OAuth *OAuth
	// GitHubApp is set where what is stored is the private key of one.
	GitHubApp *GitHubApp
	// Signs is what is signed with what is stored; empty: that is no private key. All
	// have one algorithm.
	Signs []Signed
	// AWS is set for AWSKey and for no other.
	AWS *AWS
}

// Stores names what is stored for the slot: the grant of an OAuth slot, AWSRole where a
// role is assumed, else its Kind.
func (s Slot) Stores() string {
	if s.AWS != nil && s.AWS.Role != "" {
		return AWSRole
	}
	if s.OAuth != nil {
		return string(s.OAuth.Grant)
	}
	if s.GitHubApp != nil {
		return GitHubAppKind
	}
	return s.Kind
}

// CertificateSlot is the kind of slots whose secret is a client certificate, which goes
// into no request but into the TLS handshake.
const CertificateSlot = "certificate"

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
	FirstByte        time.Duration // from the request's last byte to the answer's first
	Idle             time.Duration // the longest pause within the answer
	MaxResponseBytes int64
	// Rows is a JSON pointer to the array whose elements count as rows; empty:
	// rows cannot be counted. RowsCounted says that it was given ("" is a pointer).
	Rows        string
	RowsCounted bool

	binder // how arguments become a request; see bind.go
}

// Tool finds a tool by its exact name.
func (c *Connector) Tool(name string) (*Tool, bool) {
	t, ok := c.byName[name]
	return t, ok
}

// Function finds a tool by the name under which models know it. No tool has the function
// name of another for its own.
func (c *Connector) Function(name string) (*Tool, bool) {
	for _, t := range c.Tools {
		if t.FunctionName == name {
			return t, true
		}
	}
	return nil, false
}
