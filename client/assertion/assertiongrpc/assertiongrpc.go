// Package assertiongrpc demands a Onedoor assertion of every call to a gRPC server, in
// the metadata field that is named like the HTTP header: x-onedoor-jwt-assertion.
//
// What is checked: the field, exactly once; alg, typ, key and signature; iss, aud, exp,
// iat, jti and life; the TLS peer and cnf; and that the assertion was not used before,
// for every method, since none is known to be idempotent.
//
// What is not: htm, htu, the query and the body's digest. They speak of an HTTP request,
// which a gRPC method is not, or no longer is behind a gateway that translates. So an
// assertion for one method of an audience is good for another one. Where that matters
// give the gRPC server an audience of its own, let only the broker connect
// (assertion.Options.BrokerID), and compare Claims.Context.Tool with the method.
//
// It is a package of its own so that HTTP services need not link gRPC.
package assertiongrpc

import (
	"context"
	"crypto/tls"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/onedoor/onedoor/client/assertion"
)

// Unary gives an interceptor for unary methods. Refused calls end with Unauthenticated,
// or Unavailable where the verifier cannot tell, and the reason as text; others find
// their claims by assertion.FromContext.
func Unary(v *assertion.Verifier) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		ctx, err := verify(ctx, v)
		if err != nil {
			return nil, err
		}
		return next(ctx, request)
	}
}

// Stream gives an interceptor for streaming methods. The assertion is judged once, when
// the stream begins.
func Stream(v *assertion.Verifier) grpc.StreamServerInterceptor {
	return func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		ctx, err := verify(stream.Context(), v)
		if err != nil {
			return err
		}
		return next(server, &verified{stream, ctx})
	}
}

// verified is a stream whose context carries the claims.
type verified struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *verified) Context() context.Context { return s.ctx }

func verify(ctx context.Context, v *assertion.Verifier) (context.Context, error) {
	var connection *tls.ConnectionState
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			connection = &info.State
		}
	}
	values := metadata.ValueFromIncomingContext(ctx, strings.ToLower(v.Header()))
	claims, err := v.VerifyToken(ctx, values, connection)
	if err != nil {
		reason := assertion.ReasonOf(err)
		return nil, status.Error(code(reason), "assertion refused: "+string(reason))
	}
	return assertion.NewContext(ctx, claims), nil
}

func code(r assertion.Reason) codes.Code {
	switch r {
	case assertion.NotConfigured, assertion.KeysUnavailable, assertion.ReplayUnknown:
		return codes.Unavailable
	}
	return codes.Unauthenticated
}
