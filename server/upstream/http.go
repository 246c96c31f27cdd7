package upstream

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/model"
)

// errNotRead: what is not metered is not sent.
var errNotRead = errors.New("a call of a model API that was not read as one")

// HTTP runs calls of connectors of kind http.
type HTTP struct{ door *egress.Door }

// NewHTTP makes the runner of HTTP calls.
func NewHTTP(door *egress.Door) *HTTP { return &HTTP{door} }

// Call is one bound call with what is attached to it.
type Call struct {
	Bound *connector.Bound
	// Header is set besides, in place of what Bound has of the same name; none secret.
	Header     http.Header
	Attachment egress.Attachment
	// Credential names the versions that are attached: pooled connections are not
	// shared between two of them.
	Credential string
	// MostBytes bounds the answer's body.
	MostBytes int64
	// Model is what was read of a call of a model API; nil for every other.
	Model *model.Call
}

// Answer is what came back: scrubbed, and with only the headers that the tool allows.
// Body must be closed.
type Answer struct {
	Status      int
	Headers     map[string]string // names in lower case
	ContentType string
	Body        io.ReadCloser
	// Redactions is how often a secret was found in what was read so far.
	Redactions func() int64
	// Meter is Body where it is metered, else nil.
	Meter *model.Meter
}

// Do sends the call. An upstream's own 4xx or 5xx is an Answer; the errors are
// faults, and Sent says of one whether any of the request may have reached the upstream.
func (u *HTTP) Do(ctx context.Context, intent audit.Intent, c Call) (*Answer, error) {
	if err := intent.Check(); err != nil {
		return nil, err
	}
	b := c.Bound
	key := egress.PoolKey{
		Workspace: b.Connector.Workspace, Connector: b.Connector.Name,
		Revision: b.Connector.Revision, Credential: c.Credential,
	}
	header := b.Header.Clone()
	maps.Copy(header, c.Header)
	req := &egress.Request{Method: b.Method, Origin: b.Origin, Path: b.Path, Query: b.Query, Header: header, Body: b.Body}
	res, err := u.door.Do(ctx, key, b.Connector.Egress, req, c.Attachment, egress.Limits{
		Total: b.Tool.Timeout, FirstByte: b.Tool.FirstByte, Idle: b.Tool.Idle, MaxResponseBytes: c.MostBytes,
	})
	if err != nil {
		return nil, Fault(err, b.Tool.Idempotent)
	}
	a := &Answer{Status: res.Status, Headers: map[string]string{}, ContentType: res.ContentType, Body: res.Body, Redactions: res.Redactions}
	for _, name := range b.Tool.ResponseHeaders {
		if v := res.Header.Get(name); v != "" {
			a.Headers[strings.ToLower(name)] = v
		}
	}
	return a, nil
}

// Fault gives an error of egress its reason. Only where nothing was sent, or where
// sending again does no harm, does it invite a repeat.
func Fault(err error, idempotent bool) error {
	var e *egress.Error
	if !errors.As(err, &e) {
		return fault.New(fault.Internal, "internal error", err)
	}
	switch e.Kind {
	case egress.Denied:
		return fault.New(fault.EgressDenied, "the connector's origin may not be reached: "+e.Error(), err)
	case egress.TooLarge:
		return fault.New(fault.ResponseTooLarge, "the call was made, but its answer is larger than the tool allows", err)
	case egress.Withheld:
		return fault.New(fault.OutcomeUnknown, "the call was made, but its answer cannot be searched for secrets and is withheld", err)
	case egress.TimedOut:
		switch {
		case !e.Sent && e.Proxy != "":
			return fault.New(fault.UpstreamTimeout, "no connection to the upstream came about in time through the proxy on the way; nothing was sent", err)
		case !e.Sent || idempotent:
			return fault.New(fault.UpstreamTimeout, "the upstream did not answer in time", err)
		}
	case egress.Unreachable:
		if !e.Sent {
			return fault.New(fault.UpstreamUnavailable, unreachable(e)+"; nothing was sent", err)
		}
	case egress.Lost:
	}
	return fault.New(fault.OutcomeUnknown, "the call was sent, but its answer was lost: look before you repeat it", err)
}

// unreachable says where the way to an upstream ends. Which proxy it is, and what is the
// matter with it, stands in the log: it is the company's own, and no business of a sandbox's.
func unreachable(e *egress.Error) string {
	switch {
	case e.AtProxy:
		return "the proxy on the way to the upstream fails, as the broker's log says"
	case e.Proxy != "":
		return "the upstream cannot be reached through the proxy on the way to it"
	}
	return "the upstream cannot be reached"
}

// Sent reports whether any of the request may have reached the upstream.
func Sent(err error) bool {
	var e *egress.Error
	return errors.As(err, &e) && e.Sent
}
