package devspiffe

import (
	"context"
	"errors"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

// securityHeader must stand in every call. A browser or proxy that is tricked into
// calling the socket cannot set it.
const securityHeader = "workload.spiffe.io"

// endpoint is the Workload API on one socket.
type endpoint struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	a        *Authority
	workload *Workload // nil once removed; guarded by a.mu
	server   *grpc.Server
	served   chan struct{}
}

func (a *Authority) serve(path string) (*endpoint, error) {
	l, err := listen(path)
	if err != nil {
		return nil, err
	}
	e := &endpoint{
		a: a, served: make(chan struct{}),
		server: grpc.NewServer(
			grpc.UnaryInterceptor(unaryHeader), grpc.StreamInterceptor(streamHeader),
			grpc.WaitForHandlers(true)),
	}
	workload.RegisterSpiffeWorkloadAPIServer(e.server, e)
	go func() {
		defer close(e.served)
		if err := e.server.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			a.o.Log.Error("Workload API ended", "socket", path, "error", err)
		}
	}()
	return e, nil
}

func (e *endpoint) stop() {
	e.server.Stop()
	<-e.served
}

// FetchX509SVID sends an X.509-SVID now, at each half-life, and whenever told to.
func (e *endpoint) FetchX509SVID(_ *workload.X509SVIDRequest, stream workload.SpiffeWorkloadAPI_FetchX509SVIDServer) error {
	return push(e, stream, e.a.o.SVIDLife/2, func(w *Workload, bundles []*spiffebundle.Bundle) (*workload.X509SVIDResponse, error) {
		cert, key, err := e.a.issuer.x509SVID(w)
		if err != nil {
			return nil, err
		}
		ders := x509Bundles(bundles)
		own := e.a.o.TrustDomain.IDString()
		svid := &workload.X509SVID{SpiffeId: w.ID.String(), X509Svid: cert, X509SvidKey: key, Bundle: ders[own]}
		delete(ders, own)
		return &workload.X509SVIDResponse{Svids: []*workload.X509SVID{svid}, FederatedBundles: ders}, nil
	})
}

// FetchX509Bundles sends the certificates of all trust domains, ours among them.
func (e *endpoint) FetchX509Bundles(_ *workload.X509BundlesRequest, stream workload.SpiffeWorkloadAPI_FetchX509BundlesServer) error {
	return push(e, stream, 0, func(_ *Workload, bundles []*spiffebundle.Bundle) (*workload.X509BundlesResponse, error) {
		return &workload.X509BundlesResponse{Bundles: x509Bundles(bundles)}, nil
	})
}

// FetchJWTBundles sends the key sets of all trust domains, ours among them.
func (e *endpoint) FetchJWTBundles(_ *workload.JWTBundlesRequest, stream workload.SpiffeWorkloadAPI_FetchJWTBundlesServer) error {
	return push(e, stream, 0, func(_ *Workload, bundles []*spiffebundle.Bundle) (*workload.JWTBundlesResponse, error) {
		sets := make(map[string][]byte, len(bundles))
		for _, b := range bundles {
			if len(b.JWTAuthorities()) == 0 {
				continue
			}
			set, err := b.JWTBundle().Marshal()
			if err != nil {
				return nil, err
			}
			sets[b.TrustDomain().IDString()] = set
		}
		return &workload.JWTBundlesResponse{Bundles: sets}, nil
	})
}

// FetchJWTSVID issues a JWT-SVID for the audience.
func (e *endpoint) FetchJWTSVID(_ context.Context, req *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
	w, _, _ := e.a.view(e)
	if w == nil || (req.SpiffeId != "" && req.SpiffeId != w.ID.String()) {
		return nil, errNoIdentity()
	}
	if len(req.Audience) == 0 {
		return nil, status.Error(codes.InvalidArgument, "an audience is needed")
	}
	for _, audience := range req.Audience {
		if audience == "" {
			return nil, status.Error(codes.InvalidArgument, "an audience is empty")
		}
	}
	token, err := e.a.issuer.jwtSVID(w.ID, req.Audience)
	if err != nil {
		return nil, err
	}
	return &workload.JWTSVIDResponse{Svids: []*workload.JWTSVID{{SpiffeId: w.ID.String(), Svid: token}}}, nil
}

// ValidateJWTSVID verifies a JWT-SVID of any of the trust domains for one audience.
func (e *endpoint) ValidateJWTSVID(_ context.Context, req *workload.ValidateJWTSVIDRequest) (*workload.ValidateJWTSVIDResponse, error) {
	w, bundles, _ := e.a.view(e)
	switch {
	case w == nil:
		return nil, errNoIdentity()
	case req.Audience == "" || req.Svid == "":
		return nil, status.Error(codes.InvalidArgument, "audience and svid are needed")
	}
	set := jwtbundle.NewSet()
	for _, b := range bundles {
		set.Add(b.JWTBundle())
	}
	svid, err := jwtsvid.ParseAndValidate(req.Svid, set, []string{req.Audience})
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	claims, err := structpb.NewStruct(svid.Claims)
	if err != nil {
		return nil, err
	}
	return &workload.ValidateJWTSVIDResponse{SpiffeId: svid.ID.String(), Claims: claims}, nil
}

// push sends what build makes: at once, after every change, and each time every has
// passed (zero: never for that reason), until the stream or the identity ends.
func push[R any](e *endpoint, stream grpc.ServerStreamingServer[R], every time.Duration, build func(*Workload, []*spiffebundle.Bundle) (*R, error)) error {
	for {
		w, bundles, changed := e.a.view(e)
		if w == nil {
			return errNoIdentity()
		}
		answer, err := build(w, bundles)
		if err != nil {
			return err
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
		var due <-chan time.Time
		if every > 0 {
			due = time.After(every)
		}
		select {
		case <-changed:
		case <-due:
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		}
	}
}

// x509Bundles gives each domain's certificates in DER, one after the other. A domain
// that has none is left out: clients take an empty bundle for a broken answer.
func x509Bundles(bundles []*spiffebundle.Bundle) map[string][]byte {
	ders := make(map[string][]byte, len(bundles))
	for _, b := range bundles {
		var der []byte
		for _, c := range b.X509Authorities() {
			der = append(der, c.Raw...)
		}
		if len(der) > 0 {
			ders[b.TrustDomain().IDString()] = der
		}
	}
	return ders
}

// errNoIdentity is in the words of SPIRE, which clients know.
func errNoIdentity() error { return status.Error(codes.PermissionDenied, "no identity issued") }

func checkHeader(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	if v := md.Get(securityHeader); len(v) != 1 || v[0] != "true" {
		return status.Error(codes.InvalidArgument, "security header missing from request")
	}
	return nil
}

func unaryHeader(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := checkHeader(ctx); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func streamHeader(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := checkHeader(stream.Context()); err != nil {
		return err
	}
	return next(srv, stream)
}
