package assertiongrpc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/onedoor/onedoor/client/assertion"
	"github.com/onedoor/onedoor/client/assertion/assertiongrpc"
	"github.com/onedoor/onedoor/client/internal/brokertest"
)

// service answers only where it finds claims.
type service struct {
	healthv1.UnimplementedHealthServer
}

func known(ctx context.Context) error {
	if c, ok := assertion.FromContext(ctx); !ok || c.Subject != "usr_1" {
		return status.Error(codes.Internal, "no claims")
	}
	return nil
}

func (service) Check(ctx context.Context, _ *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	return &healthv1.HealthCheckResponse{}, known(ctx)
}

func (service) Watch(_ *healthv1.HealthCheckRequest, s grpc.ServerStreamingServer[healthv1.HealthCheckResponse]) error {
	return known(s.Context())
}

// start gives a client of a server that demands assertions of v, over TLS or without.
func start(t *testing.T, v *assertion.Verifier, server, client credentials.TransportCredentials) healthv1.HealthClient {
	t.Helper()
	s := grpc.NewServer(grpc.Creds(server), grpc.UnaryInterceptor(assertiongrpc.Unary(v)), grpc.StreamInterceptor(assertiongrpc.Stream(v)))
	healthv1.RegisterHealthServer(s, service{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(s.Stop)
	c, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(client))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return healthv1.NewHealthClient(c)
}

func TestInterceptors(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	broker := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "one"}}})
	}))
	defer broker.Close()
	options := assertion.Options{
		Issuer: "https://broker.example", Audience: "grpc.internal", JWKSURL: broker.URL, HTTPClient: broker.Client(),
	}
	bound, err := assertion.NewVerifier(options)
	require.NoError(t, err)
	options.BrokerID = "spiffe://home.test/onedoor"
	fromBroker, err := assertion.NewVerifier(options)
	require.NoError(t, err)

	serial := 0
	token := func(audience string) string {
		serial++
		now := time.Now().Unix()
		return sign(t, key, map[string]any{
			"iss": "https://broker.example", "aud": audience, "sub": "usr_1", "txn": "inv", "jti": "jti_" + strconv.Itoa(serial),
			"iat": now, "exp": now + 60, "req_wl": "spiffe://home.test/sandbox", "scope": "a.b",
			"htm": "GET", "htu": "https://elsewhere.internal/",
		})
	}
	used := token("grpc.internal")
	plain := insecure.NewCredentials()
	for _, c := range []struct {
		name     string
		verifier *assertion.Verifier
		tokens   []string
		code     codes.Code
		says     string
	}{
		{"valid", bound, []string{used}, codes.OK, ""},
		{"valid, as a stream", bound, []string{token("grpc.internal")}, codes.OK, ""},
		{"replayed", bound, []string{used}, codes.Unauthenticated, "assertion refused: REPLAYED"},
		{"none", bound, nil, codes.Unauthenticated, "assertion refused: HEADER_MISSING"},
		{"two", bound, []string{token("grpc.internal"), token("grpc.internal")}, codes.Unauthenticated, "assertion refused: HEADER_REPEATED"},
		{"for another", bound, []string{token("https://payroll.internal")}, codes.Unauthenticated, "assertion refused: AUDIENCE_WRONG"},
		{"not from the broker", fromBroker, []string{token("grpc.internal")}, codes.Unauthenticated, "assertion refused: PEER_WRONG"},
		{"not configured", &assertion.Verifier{}, []string{token("grpc.internal")}, codes.Unavailable, "assertion refused: NOT_CONFIGURED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := start(t, c.verifier, plain, plain)
			ctx := t.Context()
			for _, token := range c.tokens {
				ctx = metadata.AppendToOutgoingContext(ctx, "x-onedoor-jwt-assertion", token)
			}
			check := func(err error) {
				t.Helper()
				if c.code == codes.OK && status.Code(err) == codes.OK {
					return
				}
				require.Equal(t, c.code, status.Code(err), "%v", err)
				require.Equal(t, c.says, status.Convert(err).Message())
			}
			if c.name != "valid, as a stream" {
				_, err := client.Check(ctx, &healthv1.HealthCheckRequest{})
				check(err)
			}
			if c.name != "valid" {
				stream, err := client.Watch(ctx, &healthv1.HealthCheckRequest{})
				require.NoError(t, err)
				if _, err = stream.Recv(); c.code == codes.OK {
					require.EqualError(t, err, "EOF")
					return
				}
				check(err)
			}
		})
	}
}

// TestThePeerIsSeen: over mutual TLS, with a SPIFFE ID that is the broker's or is not, and
// an assertion that is bound to the peer's certificate or is not.
func TestThePeerIsSeen(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	broker := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "one"}}})
	}))
	defer broker.Close()
	authority, err := brokertest.NewAuthority("home.test")
	require.NoError(t, err)
	issue := func(path string) *x509svid.SVID {
		svid, err := authority.Issue(path)
		require.NoError(t, err)
		return svid
	}
	for _, c := range []struct {
		name, path string
		bound      string // to whose certificate: own, other, or none
		want       codes.Code
	}{
		{"the broker", "/onedoor", "own", codes.OK},
		{"a sandbox", "/sandbox", "own", codes.Unauthenticated},
		{"bound to another certificate of the broker", "/onedoor", "other", codes.Unauthenticated},
		{"not bound", "/onedoor", "", codes.Unauthenticated},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := assertion.NewVerifier(assertion.Options{
				Issuer: "https://broker.example", Audience: "grpc.internal", JWKSURL: broker.URL, HTTPClient: broker.Client(),
				BrokerID: "spiffe://home.test/onedoor", PeerVerified: true, RequireConfirmation: true,
			})
			require.NoError(t, err)
			service, peer := issue("/service"), issue(c.path)
			client := start(t, v,
				credentials.NewTLS(tlsconfig.MTLSServerConfig(service, authority.Bundle(), tlsconfig.AuthorizeAny())),
				credentials.NewTLS(tlsconfig.MTLSClientConfig(peer, authority.Bundle(), tlsconfig.AuthorizeID(service.ID))))
			now := time.Now().Unix()
			claims := map[string]any{
				"iss": "https://broker.example", "aud": "grpc.internal", "sub": "usr_1", "txn": "inv", "jti": "jti",
				"iat": now, "exp": now + 60, "req_wl": "spiffe://home.test/sandbox", "scope": "a.b",
			}
			for whose, svid := range map[string]*x509svid.SVID{"own": peer, "other": issue(c.path)} {
				if c.bound == whose {
					sum := sha256.Sum256(svid.Certificates[0].Raw)
					claims["cnf"] = map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}
				}
			}
			ctx := metadata.AppendToOutgoingContext(t.Context(), "x-onedoor-jwt-assertion", sign(t, key, claims))
			_, err = client.Check(ctx, &healthv1.HealthCheckRequest{})
			require.Equal(t, c.want, status.Code(err), "%v", err)
		})
	}
}

func sign(t *testing.T, key crypto.Signer, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "one"}},
		(&jose.SignerOptions{}).WithType("onedoor-assertion+jwt"))
	require.NoError(t, err)
	text, err := json.Marshal(claims)
	require.NoError(t, err)
	signed, err := signer.Sign(text)
	require.NoError(t, err)
	token, err := signed.CompactSerialize()
	require.NoError(t, err)
	return token
}
