package rest

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/limit"
	gateway "github.com/onedoor/onedoor/server/rest/gateway/onedoor/v1"
)

// MaxBody is the largest request body in bytes: room for 4 MiB of arguments and what
// JSON needs around them.
const MaxBody = 8 << 20

// Options tell the listeners apart.
type Options struct {
	// JWTSVID is for the listener without client certificates: the header
	// X-Onedoor-Jwt-Svid passes to the chain, which verifies it. Off, the default,
	// that header is dropped like every other, and the TLS peer alone says who calls.
	JWTSVID bool
	// Budget bounds what the bodies of requests take of the memory; nil means one of
	// 256 MiB for this handler alone.
	Budget *limit.Budget
	// MCPOrigins are the web origins that may call /mcp; none by default. Programs that are
	// no web pages send no origin.
	MCPOrigins []string
	// Refused gives the gRPC status of a request that found no room, and lets it be known
	// to operators; nil means that nobody hears of it.
	Refused func(ctx context.Context, err error) error
}

// NewHandler serves the API of onedoor.v1 over conn, which is an *InProcess wherever
// the interceptors matter. Every request must have come over TLS. It panics if the
// generated routes cannot be registered, or an origin is none.
func NewHandler(conn grpc.ClientConnInterface, opts Options) http.Handler {
	if opts.Budget == nil {
		opts.Budget = limit.NewBudget(256 << 20)
	}
	a := &api{opts: opts, routes: routes(document()), mcp: newMCPFront(opts.MCPOrigins)}
	a.mux = runtime.NewServeMux(
		runtime.WithMiddlewares(a.admit),
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newMarshaler()),
		runtime.WithIncomingHeaderMatcher(noHeader),
		runtime.WithOutgoingHeaderMatcher(noHeader),
		runtime.WithOutgoingTrailerMatcher(noHeader),
		runtime.WithErrorHandler(a.fail),
		runtime.WithRoutingErrorHandler(a.misrouted),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithWriteContentLength(),
	)
	bound := boundConn{conn}
	a.broker = onedoorv1.NewBrokerClient(bound)
	err := errors.Join(
		gateway.RegisterBrokerHandlerClient(context.Background(), a.mux, a.broker),
		gateway.RegisterTasksHandlerClient(context.Background(), a.mux, onedoorv1.NewTasksClient(bound)),
		gateway.RegisterConnectorsHandlerClient(context.Background(), a.mux, onedoorv1.NewConnectorsClient(bound)),
		gateway.RegisterCredentialsHandlerClient(context.Background(), a.mux, onedoorv1.NewCredentialsClient(bound)),
		gateway.RegisterAuditHandlerClient(context.Background(), a.mux, onedoorv1.NewAuditClient(bound)),
		gateway.RegisterUsageHandlerClient(context.Background(), a.mux, onedoorv1.NewUsageClient(bound)),
		gateway.RegisterKeysHandlerClient(context.Background(), a.mux, onedoorv1.NewKeysClient(bound)),
		// The later route is the one that counts: streamed events have a form of their own.
		a.mux.HandlePath(http.MethodPost, "/v1/invoke:stream", relay(a.broker)),
	)
	if err != nil {
		panic("rest: " + err.Error())
	}
	return a
}

// api is the handler of one listener.
type api struct {
	opts   Options
	mux    *runtime.ServeMux
	broker onedoorv1.BrokerClient
	routes []route
	mcp    *mcpFront
}

// ServeHTTP answers one request.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if strings.HasPrefix(r.RequestURI, passPrefix) {
		a.pass(w, r)
		return
	}
	// A path in an unusual encoding may read otherwise to whatever stands before us:
	// no route needs one.
	if r.URL.RawPath != "" {
		writeStatus(w, http.StatusNotFound, status.New(codes.NotFound, "no such path"))
		return
	}
	if r.URL.Path == mcpPath {
		a.serveMCP(w, r)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// admit runs on every route: it reads the request into a call, and lets the gateway
// see its path, query and body, and not one header.
func (a *api) admit(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, path map[string]string) {
		c, no := a.newCall(w, r, path)
		if no != nil {
			writeStatus(w, no.http, no.status)
			return
		}
		r = r.WithContext(c.context(r.Context()))
		r.Header = http.Header{}
		r.Body = c.body
		next(w, r, path)
	}
}

// fail answers with the error of the chain, or of the gateway if it did not get there.
func (a *api) fail(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	c := callFrom(r.Context())
	switch {
	case c != nil && c.reached:
		writeError(w, err)
	case c != nil && c.fault != nil:
		writeStatus(w, http.StatusBadRequest, invalid(c.fault))
	default:
		// The gateway's own text may quote Go's parsers.
		writeStatus(w, http.StatusBadRequest, invalid(fault.Invalid("query", "a parameter of the path or the query is malformed")))
	}
}

// misrouted answers where no route matches.
func (a *api) misrouted(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
	if code == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", strings.Join(allowed(a.routes, r.URL.Path), ", "))
		writeStatus(w, code, status.New(codes.Unimplemented, "method not allowed"))
		return
	}
	writeStatus(w, http.StatusNotFound, status.New(codes.NotFound, "no such path"))
}

// noHeader is the gateway's matcher: no header or trailer passes it either way.
func noHeader(string) (string, bool) { return "", false }
