package rest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/limit"
)

// call is all that one HTTP request may say to the chain.
type call struct {
	peer     *peer.Peer
	metadata metadata.MD
	query    url.Values
	path     map[string]string
	body     *body

	fault   *fault.Error // what the decoder found wrong with the body
	reached bool         // an RPC was tried: errors are gRPC statuses
}

// body is a request body that was read whole. The gateway hands it to the decoder as
// an io.Reader, which finds its way back to the call.
type body struct {
	*bytes.Reader
	data []byte
	call *call
}

// Close does nothing: the server's own body was read to its end.
func (b *body) Close() error { return nil }

// newCall reads the request, or refuses it.
func (a *api) newCall(w http.ResponseWriter, r *http.Request, path map[string]string) (*call, *refusal) {
	p, no := peerOf(r)
	if no != nil {
		return nil, no
	}
	md, f := a.passing(r.Header)
	if f != nil {
		return nil, badRequest(f)
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest(fault.Invalid("query", "malformed"))
	}
	if r.Method == http.MethodPost && len(query) > 0 {
		return nil, badRequest(fault.Invalid("query", "this method takes its parameters in the body"))
	}
	data, no := a.readBody(w, r)
	if no != nil {
		return nil, no
	}
	c := &call{peer: p, metadata: md, query: query, path: path}
	c.body = &body{Reader: bytes.NewReader(data), data: data, call: c}
	return c, nil
}

// peerOf takes the peer from the connection, as gRPC's TLS credentials do, and from
// nowhere else.
func peerOf(r *http.Request) (*peer.Peer, *refusal) {
	if r.TLS == nil {
		return nil, &refusal{http.StatusUnauthorized, statusWith(codes.Unauthenticated,
			fault.New(fault.SVIDMissing, "this API is served over TLS only", nil))}
	}
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return nil, &refusal{http.StatusInternalServerError, status.Convert(internal())}
	}
	p := &peer.Peer{Addr: net.TCPAddrFromAddrPort(addr), AuthInfo: tlsInfo(*r.TLS)}
	p.LocalAddr, _ = r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return p, nil
}

func tlsInfo(state tls.ConnectionState) credentials.TLSInfo {
	return credentials.TLSInfo{
		State:          state,
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}
}

// jwtHeader carries a JWT-SVID to the listener for them.
const jwtHeader = "x-onedoor-jwt-svid"

// passing makes the metadata from the headers that may pass. A repeated one is
// refused: two readers could choose differently between its values.
func (a *api) passing(h http.Header) (metadata.MD, *fault.Error) {
	md := metadata.MD{}
	names := []string{"authorization"}
	if a.opts.JWTSVID {
		names = append(names, jwtHeader)
	}
	for _, name := range names {
		value, f := single(h, name)
		if f != nil {
			return nil, f
		}
		if len(h.Values(name)) > 0 {
			md.Set(name, value)
		}
	}
	return md, nil
}

// single gives the value of a header that may stand there once; "" where it does not.
func single(h http.Header, name string) (string, *fault.Error) {
	values := h.Values(name)
	if len(values) > 1 {
		return "", fault.Invalid(strings.ToLower(name), "the header is given more than once")
	}
	if len(values) == 0 {
		return "", nil
	}
	if !printable(values[0]) {
		return "", fault.Invalid(strings.ToLower(name), "the header holds characters other than printable ASCII")
	}
	return values[0], nil
}

// printable reports whether s may be a gRPC metadata value.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// readBody reads a body whole. HTTPServer's ReadTimeout bounds how long that takes.
func (a *api) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	if r.Method != http.MethodPost {
		return nil, badRequest(fault.Invalid("body", "this method takes no body"))
	}
	types := r.Header.Values("Content-Type")
	if len(types) != 1 || !isType(types[0], "application/json") {
		return nil, &refusal{http.StatusUnsupportedMediaType, invalid(fault.Invalid("content-type", "must be application/json"))}
	}
	return a.readWhole(w, r)
}

// readPassed reads the body of a request in a provider's own form. Its type is judged
// with the rest of it, behind the chain.
func (a *api) readPassed(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	return a.readWhole(w, r)
}

// readWhole reads a body that is not compressed, up to MaxBody.
func (a *api) readWhole(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	if r.Header.Get("Content-Encoding") != "" {
		return nil, &refusal{http.StatusUnsupportedMediaType, invalid(fault.Invalid("content-encoding", "must not be set"))}
	}
	tooLarge := &refusal{http.StatusRequestEntityTooLarge, invalid(fault.Invalid("body", "larger than 8 MiB"))}
	if r.ContentLength > MaxBody {
		return nil, tooLarge
	}
	hold := a.opts.Budget.Hold(limitedAs(r))
	if tail := limit.TailOf(r.Context()); tail != nil {
		tail.Keep(hold)
	} else {
		defer hold.Release()
	}
	data, err := []byte(nil), hold.Add(limit.ArrivalCost(r.Header)) // whoever only announces a body costs something too
	if err == nil {
		data, err = limit.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody), hold)
	}
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge
	case errors.Is(err, limit.ErrNoRoom):
		return nil, a.noRoom(r)
	case err != nil:
		return nil, badRequest(fault.Invalid("body", "ended too early"))
	}
	return data, nil
}

// noRoom refuses a request that would hold more than it may.
func (a *api) noRoom(r *http.Request) *refusal {
	p, no := peerOf(r)
	if no != nil {
		return no
	}
	f := limit.RoomFault()
	if a.opts.Refused == nil {
		return &refusal{http.StatusTooManyRequests, statusWith(codes.ResourceExhausted, f)}
	}
	return &refusal{http.StatusTooManyRequests, status.Convert(a.opts.Refused(peer.NewContext(r.Context(), p), f))}
}

// limitedAs is who is counted before anybody knows who calls: what the certificate says,
// which the TLS peer has proved to be theirs, or else the address.
func limitedAs(r *http.Request) (workspace, name string) {
	if certificates := r.TLS.PeerCertificates; len(certificates) > 0 && len(certificates[0].URIs) == 1 {
		return limit.Arriving, certificates[0].URIs[0].String()
	}
	return limit.Strangers, limit.PeerOf(r.RemoteAddr)
}

// isType reports whether a Content-Type names the media type, whatever its parameters.
func isType(header, want string) bool {
	got, _, err := mime.ParseMediaType(header)
	return err == nil && got == want
}

type callKey struct{}

func (c *call) context(ctx context.Context) context.Context {
	return context.WithValue(peer.NewContext(ctx, c.peer), callKey{}, c)
}

func callFrom(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// boundConn replaces the metadata that the gateway made (it adds some of its own,
// from headers that anybody may set) by that of the call. Without a call it refuses.
type boundConn struct{ conn grpc.ClientConnInterface }

// Invoke calls a unary RPC with the call's metadata.
func (b boundConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	ctx, err := bind(ctx, args)
	if err != nil {
		return err
	}
	return b.conn.Invoke(ctx, method, args, reply, opts...)
}

// NewStream opens a stream with the call's metadata.
func (b boundConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, err := bind(ctx, nil)
	if err != nil {
		return nil, err
	}
	return b.conn.NewStream(ctx, desc, method, opts...)
}

func bind(ctx context.Context, args any) (context.Context, error) {
	c := callFrom(ctx)
	if c == nil {
		return nil, internal()
	}
	c.reached = true
	if f := c.checkQuery(args); f != nil {
		return nil, invalid(f).Err()
	}
	return metadata.NewOutgoingContext(ctx, c.metadata), nil
}

// checkQuery refuses the parameters that the gateway leaves aside: a misspelt one
// would silently widen what was asked for.
func (c *call) checkQuery(args any) *fault.Error {
	if len(c.query) == 0 {
		return nil
	}
	msg, ok := args.(proto.Message)
	if !ok {
		return fault.Invalid("query", "this method takes no parameters")
	}
	for _, key := range slices.Sorted(maps.Keys(c.query)) {
		field := fieldNamed(msg.ProtoReflect().Descriptor().Fields(), key)
		if field == nil {
			return fault.Invalid(clip(key), "unknown parameter")
		}
		if _, taken := c.path[string(field.Name())]; taken {
			return fault.Invalid(clip(key), "is part of the path")
		}
	}
	return nil
}
