package rest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/fault"
)

// passPrefix is where connectors are reached in their upstream's own form:
// /c/CONNECTOR/PATH. It must stand so on the wire: an escape in it is another path.
const passPrefix = "/c/"

// passage is one request in an upstream's own form.
type passage struct {
	*onedoorv1.RelayRequest
	call *call
}

// pass answers a request that the upstream's own client makes. The answer is the upstream's:
// its status, type and body, each piece sent when it comes. A refusal of ours has the
// form that the SDKs know. What breaks after the head breaks the connection, so that
// nobody takes half an answer for a whole one.
func (a *api) pass(w http.ResponseWriter, r *http.Request) {
	p, no := a.newPassage(w, r)
	if no != nil {
		writePassError(w, no.http, no.status, false)
		return
	}
	keyed := p.GetIdempotencyKey() != ""
	// The handler behind the stream ends when nobody reads any more.
	ctx, cancel := context.WithCancel(p.call.context(r.Context()))
	defer cancel()
	stream, err := a.broker.Relay(ctx, p.RelayRequest)
	if err != nil {
		failPass(w, err, keyed)
		return
	}
	first, err := stream.Recv()
	if err != nil {
		failPass(w, err, keyed)
		return
	}
	if first.GetHead() == nil {
		failPass(w, internal(), keyed)
		return
	}
	writePassHead(w, first.GetHead(), keyed)
	if !passOn(w, stream.Recv) {
		panic(http.ErrAbortHandler)
	}
}

// newPassage reads the request, or refuses it.
func (a *api) newPassage(w http.ResponseWriter, r *http.Request) (*passage, *refusal) {
	p, no := peerOf(r)
	if no != nil {
		return nil, no
	}
	target, query, _ := strings.Cut(strings.TrimPrefix(r.RequestURI, passPrefix), "?")
	connector, path, _ := strings.Cut(target, "/")
	md, f := a.passKey(r.Header)
	if f != nil {
		return nil, badRequest(f)
	}
	if md.Get("authorization") == nil && hasParameter(query, "key") {
		return nil, &refusal{http.StatusUnauthorized, statusWith(codes.Unauthenticated, fault.New(fault.TaskKeyInvalid,
			"the task key is not taken from the query, which is logged on its way: send it in a header, `x-goog-api-key` for instance", nil))}
	}
	if f := meaningful(r); f != nil {
		return nil, badRequest(f)
	}
	body, no := a.readPassed(w, r)
	if no != nil {
		return nil, no
	}
	return &passage{
		call: &call{peer: p, metadata: md},
		RelayRequest: &onedoorv1.RelayRequest{
			Connector: connector, Method: r.Method, Path: "/" + path, Query: query,
			ContentType: r.Header.Get("Content-Type"), Body: body, IdempotencyKey: idempotencyKey(r.Header.Get("Idempotency-Key")),
		},
	}, nil
}

// hasParameter reports whether a query names a parameter. It is for a clearer error
// alone; nothing is judged by it.
func hasParameter(query, name string) bool {
	values, _ := url.ParseQuery(query) // what can be read is enough
	return values.Has(name)
}

// keySpace is the name space of idempotency keys that are no UUIDs.
const keySpace = "6f1a3d0c-58a2-5c1b-9d42-3b7b0a6f9e11"

// idempotencyKey is a client's key as a UUID: the same for the same text, always.
func idempotencyKey(text string) string {
	if text == "" || uuid.Validate(text) == nil && len(text) == len(keySpace) {
		return strings.ToLower(text)
	}
	return uuid.NewSHA1(uuid.MustParse(keySpace), []byte(text)).String()
}

// passOn relays the pieces and reports whether the answer is whole.
func passOn(w http.ResponseWriter, next func() (*onedoorv1.RelayResponse, error)) bool {
	control := http.NewResponseController(w)
	if control.Flush() != nil {
		return false
	}
	whole := false
	for {
		m, err := next()
		if errors.Is(err, io.EOF) {
			return whole
		}
		if err != nil || whole {
			return false
		}
		switch e := m.GetEvent().(type) {
		case *onedoorv1.RelayResponse_Data:
			if _, err := w.Write(e.Data); err != nil || control.Flush() != nil {
				return false
			}
		case *onedoorv1.RelayResponse_End:
			whole = true
		default:
			return false
		}
	}
}

// writePassHead begins the answer with the upstream's status and what the tool lets
// through of its headers. What we say ourselves an upstream cannot say in our place.
func writePassHead(w http.ResponseWriter, head *onedoorv1.InvokeStreamHead, keyed bool) {
	h := w.Header()
	for name, value := range head.GetHeaders() {
		if _, ours := h[http.CanonicalHeaderKey(name)]; !ours && !strings.HasPrefix(name, "x-onedoor-") {
			h.Set(name, value)
		}
	}
	h["Content-Type"] = nil // or net/http would guess one
	if head.GetContentType() != "" {
		h.Set("Content-Type", head.GetContentType())
	}
	h.Set("X-Onedoor-Invocation-Id", head.GetInvocationId())
	if keyed {
		h.Set(shouldRetry, "false") // a repeat under the same key is a CONFLICT
	}
	w.WriteHeader(int(head.GetStatus()))
}
