package rest

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/limit"
)

// mcpPath is where MCP clients call: one POST for each message, and no sessions.
const mcpPath = "/mcp"

// The methods that are served. All others are unknown here, whatever the SDK knows.
const (
	methodInitialize = "initialize"
	methodDiscover   = "server/discover"
	methodPing       = "ping"
	methodListTools  = "tools/list"
	methodCallTool   = "tools/call"
)

// mcpFront speaks the Model Context Protocol (streamable HTTP, revisions 2024-11-05 to
// 2026-07-28). The SDK frames the messages; what they do are RPCs through the chain.
type mcpFront struct {
	handler http.Handler
	origins []string
	browser *http.CrossOriginProtection
}

// newMCPFront makes the front; it panics if an origin is none.
func newMCPFront(origins []string) *mcpFront {
	f := &mcpFront{origins: origins, browser: http.NewCrossOriginProtection()}
	for _, origin := range origins {
		if err := f.browser.AddTrustedOrigin(origin); err != nil {
			panic("rest: " + err.Error())
		}
	}
	f.handler = mcp.NewStreamableHTTPHandler(serverOf, &mcp.StreamableHTTPOptions{
		Stateless: true, JSONResponse: true, MaxRequestBodyBytes: MaxBody, PropagateRequestCancellation: true,
		// Who has no client certificate or SVID does not come this far, and whoever comes
		// from a web page has an Origin, whatever the name by which it has found us.
		DisableLocalhostProtection: true,
	})
	return f
}

// admits reports whether the request comes from no web page, or from one that the
// configuration names. A page that rebinds its own name to our address says the truth
// of its origin: it is the same as Host then, and refused like every other.
func (f *mcpFront) admits(r *http.Request) bool {
	given := r.Header.Values("Origin")
	if len(given) > 1 || len(given) == 1 && !slices.Contains(f.origins, given[0]) {
		return false
	}
	return f.browser.Check(r) == nil
}

// serveMCP answers one message. Every error is a JSON-RPC error, whatever its HTTP status.
func (a *api) serveMCP(w http.ResponseWriter, r *http.Request) {
	if !a.mcp.admits(r) {
		writeRPCError(w, http.StatusForbidden, nil, statusWith(codes.PermissionDenied, fault.New(fault.CallerNotAllowed,
			"web pages may not call: the origin is not one of the configuration's mcp.origins", nil)))
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeRPCError(w, http.StatusMethodNotAllowed, nil, status.New(codes.Unimplemented, "method not allowed: there are no sessions and no streams, only POST"))
		return
	}
	c, no := a.newCall(w, r, nil)
	if no != nil {
		writeRPCError(w, no.http, nil, no.status)
		return
	}
	m, f := readMessage(c.body.data)
	if f == nil {
		f = sameHeaders(r.Header)
	}
	if f != nil {
		writeRPCError(w, http.StatusBadRequest, m.id, invalid(f))
		return
	}
	if no := a.holdCopies(r, len(c.body.data)); no != nil {
		writeRPCError(w, no.http, m.id, no.status)
		return
	}
	a.answer(w, r, c, m)
}

// answer answers a message that could be read. What is no call of a tool and no list of
// them has an effect nowhere, so it is enough that the chain says who calls.
func (a *api) answer(w http.ResponseWriter, r *http.Request, c *call, m message) {
	ctx := c.context(r.Context())
	if m.method != methodListTools && m.method != methodCallTool {
		if _, err := a.broker.GetTask(ctx, &onedoorv1.GetTaskRequest{}); err != nil {
			st := statusOf(err)
			writeRPCError(w, runtime.HTTPStatusFromCode(st.Code()), m.id, st)
			return
		}
	}
	switch m.method {
	case methodInitialize, methodDiscover, methodPing, methodListTools, methodCallTool:
		a.exchange(ctx, w, r, c, m)
	default:
		if m.id == nil { // a notification: nothing here waits for one
			w.WriteHeader(http.StatusAccepted)
			return
		}
		writeUnknownMethod(w, r.Header.Get(versionHeader), m)
	}
}

// exchange lets the SDK answer.
func (a *api) exchange(ctx context.Context, w http.ResponseWriter, r *http.Request, c *call, m message) {
	x := &exchange{broker: a.broker, ctx: ctx}
	inner := r.WithContext(context.WithValue(ctx, serverKey{}, newMCPServer(x)))
	inner.Header = mcpHeaders(r.Header)
	inner.Body = c.body
	out := &mcpWriter{ResponseWriter: w, exchange: x}
	a.mcp.handler.ServeHTTP(out, inner)
	switch {
	case x.panicked != nil:
		panic(x.panicked) // here somebody logs it
	case x.denied != nil:
		writeRPCError(w, runtime.HTTPStatusFromCode(x.denied.Code()), m.id, x.denied)
	case out.refused != 0:
		writeRPCFailure(w, out.refused, rpcFailure{m.id, rpcProblem{Code: rpcInvalidRequest, Message: strings.TrimSpace(out.text.String())}})
	}
}

const versionHeader = "Mcp-Protocol-Version"

// passingHeaders are those that the SDK compares with the message. Nothing that it gets
// names a session or holds a key.
func passingHeaders() []string { return []string{versionHeader, "Mcp-Method", "Mcp-Name"} }

// sameHeaders refuses a header that is given twice.
func sameHeaders(h http.Header) *fault.Error {
	for _, name := range passingHeaders() {
		if _, f := single(h, name); f != nil {
			return f
		}
	}
	return nil
}

// mcpHeaders are the headers of the request that the SDK sees. The answer is JSON whatever
// a client accepts, as everywhere in this API.
func mcpHeaders(h http.Header) http.Header {
	out := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	for _, name := range passingHeaders() {
		if value := h.Get(name); value != "" {
			out.Set(name, value)
		}
	}
	return out
}

// copies is how often the SDK holds a request at one time, and an answer.
const (
	requestCopies = 6
	answerCopies  = 6
)

// holdCopies counts what the SDK makes of a request beside its bytes.
func (a *api) holdCopies(r *http.Request, size int) *refusal {
	if !holdMore(r.Context(), requestCopies*size) {
		return a.noRoom(r)
	}
	return nil
}

// holdMore lets the call's account grow and reports whether there was room. Without an
// account, which only tests are, there is.
func holdMore(ctx context.Context, size int) bool {
	tail := limit.TailOf(ctx)
	if tail == nil {
		return true
	}
	hold := tail.Hold()
	return hold == nil || hold.Add(int64(size)) == nil
}

type serverKey struct{}

// serverOf gives the SDK the server of the one request.
func serverOf(r *http.Request) *mcp.Server {
	s, _ := r.Context().Value(serverKey{}).(*mcp.Server)
	return s
}
