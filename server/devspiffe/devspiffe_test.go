package devspiffe_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/onedoor/onedoor/server/devspiffe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	home  = spiffeid.RequireTrustDomainFromString("home.test")
	alice = spiffeid.RequireFromString("spiffe://home.test/alice")
	bob   = spiffeid.RequireFromString("spiffe://home.test/bob")
)

// shortDir is a folder whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "od")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func newAuthority(t *testing.T, o devspiffe.Options) *devspiffe.Authority {
	t.Helper()
	if o.TrustDomain.IsZero() {
		o.TrustDomain = home
	}
	if o.Dir == "" {
		o.Dir = shortDir(t)
	}
	a, err := devspiffe.New(o)
	require.NoError(t, err)
	t.Cleanup(a.Close)
	return a
}

func add(t *testing.T, a *devspiffe.Authority, id spiffeid.ID) string {
	t.Helper()
	addr, err := a.Add(devspiffe.Workload{ID: id, Socket: strings.TrimPrefix(id.Path(), "/")})
	require.NoError(t, err)
	return addr
}

func x509Source(t *testing.T, addr string) *workloadapi.X509Source {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(workloadapi.WithAddr(addr)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func svidOf(t *testing.T, s *workloadapi.X509Source) *x509svid.SVID {
	t.Helper()
	svid, err := s.GetX509SVID()
	require.NoError(t, err)
	return svid
}

// rawClient speaks the Workload API without go-spiffe's care.
func rawClient(t *testing.T, addr string) workload.SpiffeWorkloadAPIClient {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return workload.NewSpiffeWorkloadAPIClient(conn)
}

func withHeader(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return metadata.AppendToOutgoingContext(ctx, "workload.spiffe.io", "true")
}

func TestX509SVID(t *testing.T) {
	a := newAuthority(t, devspiffe.Options{})
	addr, err := a.Add(devspiffe.Workload{
		ID: alice, Socket: "alice", DNSNames: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)},
	})
	require.NoError(t, err)
	s := x509Source(t, addr)
	svid := svidOf(t, s)
	require.Equal(t, alice, svid.ID)

	leaf := svid.Certificates[0]
	require.Len(t, leaf.URIs, 1)
	require.False(t, leaf.IsCA)
	require.Equal(t, x509.KeyUsageDigitalSignature, leaf.KeyUsage)
	require.ElementsMatch(t, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, leaf.ExtKeyUsage)
	require.Equal(t, []string{"localhost"}, leaf.DNSNames)
	require.Len(t, leaf.IPAddresses, 1)
	require.WithinDuration(t, time.Now().Add(devspiffe.DefaultLife), leaf.NotAfter, 10*time.Second)
	require.Greater(t, leaf.SerialNumber.BitLen(), 64)

	bundle, err := s.GetX509BundleForTrustDomain(home)
	require.NoError(t, err)
	ca := bundle.X509Authorities()[0]
	require.Equal(t, "spiffe://home.test", ca.URIs[0].String())
	require.NotEqual(t, ca.SerialNumber, leaf.SerialNumber)

	// A client that reads the PEM file and verifies host names accepts it as well.
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(a.BundlePEM()))
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost", KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	require.NoError(t, err)
}

func TestMutualTLS(t *testing.T) {
	a := newAuthority(t, devspiffe.Options{})
	left, right := x509Source(t, add(t, a, alice)), x509Source(t, add(t, a, bob))
	tests := []struct {
		name   string
		accept spiffeid.ID
		ok     bool
	}{{"the right peer", bob, true}, {"somebody else", alice, false}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := tlsconfig.MTLSServerConfig(left, left, tlsconfig.AuthorizeID(tt.accept))
			server.MinVersion = tls.VersionTLS13
			l, err := tls.Listen("tcp", "127.0.0.1:0", server)
			require.NoError(t, err)
			defer func() { _ = l.Close() }()
			go func() {
				if conn, err := l.Accept(); err == nil {
					_, _ = conn.Write([]byte("ok"))
					_ = conn.Close()
				}
			}()
			conn, err := tls.Dial("tcp", l.Addr().String(), tlsconfig.MTLSClientConfig(right, right, tlsconfig.AuthorizeID(alice)))
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			said, err := io.ReadAll(conn)
			if !tt.ok {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "ok", string(said))
			require.Equal(t, uint16(tls.VersionTLS13), conn.ConnectionState().Version)
		})
	}
}

func TestRotation(t *testing.T) {
	tests := []struct {
		name   string
		life   time.Duration
		rotate bool
	}{{"when told to", time.Minute, true}, {"at half-life", 6 * time.Second, false}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuthority(t, devspiffe.Options{SVIDLife: tt.life})
			s := x509Source(t, add(t, a, alice))
			before, began := svidOf(t, s), time.Now()
			if tt.rotate {
				a.Rotate()
			}
			require.Eventually(t, func() bool {
				return svidOf(t, s).Certificates[0].SerialNumber.Cmp(before.Certificates[0].SerialNumber) != 0
			}, 30*time.Second, 10*time.Millisecond)
			require.Less(t, time.Since(began), tt.life, "before the old one expires")
			require.Equal(t, alice, svidOf(t, s).ID)
			require.NotEqual(t, before.PrivateKey.Public(), svidOf(t, s).PrivateKey.Public())
		})
	}
}

func TestJWTSVID(t *testing.T) {
	a := newAuthority(t, devspiffe.Options{JWTLife: time.Minute})
	addr := add(t, a, alice)
	s, err := workloadapi.NewJWTSource(t.Context(), workloadapi.WithClientOptions(workloadapi.WithAddr(addr)))
	require.NoError(t, err)
	defer func() { _ = s.Close() }()

	svid, err := s.FetchJWTSVID(t.Context(), jwtsvid.Params{Audience: "onedoor", ExtraAudiences: []string{"other"}})
	require.NoError(t, err)
	require.Equal(t, alice, svid.ID)
	require.Equal(t, []string{"onedoor", "other"}, svid.Audience)
	require.WithinDuration(t, time.Now().Add(time.Minute), svid.Expiry, 5*time.Second)

	_, err = jwtsvid.ParseAndValidate(svid.Marshal(), s, []string{"onedoor"})
	require.NoError(t, err)
	_, err = jwtsvid.ParseAndValidate(svid.Marshal(), a.Bundle(), []string{"onedoor"})
	require.NoError(t, err)
	_, err = jwtsvid.ParseAndValidate(svid.Marshal(), s, []string{"somebody else"})
	require.ErrorContains(t, err, "audience")
	_, err = jwtsvid.ParseAndValidate(svid.Marshal(), newAuthority(t, devspiffe.Options{}).Bundle(), []string{"onedoor"})
	require.ErrorContains(t, err, "no JWT authority")

	client := rawClient(t, addr)
	valid, err := client.ValidateJWTSVID(withHeader(t), &workload.ValidateJWTSVIDRequest{Audience: "other", Svid: svid.Marshal()})
	require.NoError(t, err)
	require.Equal(t, alice.String(), valid.SpiffeId)
	require.Equal(t, alice.String(), valid.Claims.Fields["sub"].GetStringValue())
}

func TestRefusals(t *testing.T) {
	a := newAuthority(t, devspiffe.Options{})
	addr := add(t, a, alice)
	client, ctx := rawClient(t, addr), withHeader(t)
	token, err := client.FetchJWTSVID(ctx, &workload.JWTSVIDRequest{Audience: []string{"onedoor"}})
	require.NoError(t, err)
	jwtSVID := func(ctx context.Context, r *workload.JWTSVIDRequest) error {
		_, err := client.FetchJWTSVID(ctx, r)
		return err
	}
	validate := func(r *workload.ValidateJWTSVIDRequest) error {
		_, err := client.ValidateJWTSVID(ctx, r)
		return err
	}
	x509SVID := func(ctx context.Context) error {
		stream, err := client.FetchX509SVID(ctx, &workload.X509SVIDRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	tests := []struct {
		name string
		err  error
		code codes.Code
	}{
		{"a stream without the header", x509SVID(t.Context()), codes.InvalidArgument},
		{"a stream with the header false", x509SVID(metadata.AppendToOutgoingContext(t.Context(), "workload.spiffe.io", "false")), codes.InvalidArgument},
		{"a call without the header", jwtSVID(t.Context(), &workload.JWTSVIDRequest{Audience: []string{"x"}}), codes.InvalidArgument},
		{"no audience", jwtSVID(ctx, &workload.JWTSVIDRequest{}), codes.InvalidArgument},
		{"an empty audience", jwtSVID(ctx, &workload.JWTSVIDRequest{Audience: []string{"x", ""}}), codes.InvalidArgument},
		{"somebody else's JWT-SVID", jwtSVID(ctx, &workload.JWTSVIDRequest{Audience: []string{"x"}, SpiffeId: bob.String()}), codes.PermissionDenied},
		{"its own by name", jwtSVID(ctx, &workload.JWTSVIDRequest{Audience: []string{"x"}, SpiffeId: alice.String()}), codes.OK},
		{"validation for nobody", validate(&workload.ValidateJWTSVIDRequest{Svid: token.Svids[0].Svid}), codes.InvalidArgument},
		{"validation for another audience", validate(&workload.ValidateJWTSVIDRequest{Svid: token.Svids[0].Svid, Audience: "x"}), codes.InvalidArgument},
		{"validation of nonsense", validate(&workload.ValidateJWTSVIDRequest{Svid: "a.b.c", Audience: "x"}), codes.InvalidArgument},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.code, status.Code(tt.err), "%v", tt.err) })
	}
}

func TestRemove(t *testing.T) {
	a := newAuthority(t, devspiffe.Options{})
	client, ctx := rawClient(t, add(t, a, alice)), withHeader(t)
	other := rawClient(t, add(t, a, bob))
	open, err := client.FetchX509SVID(ctx, &workload.X509SVIDRequest{})
	require.NoError(t, err)
	_, err = open.Recv()
	require.NoError(t, err)

	a.Remove(alice)
	_, err = open.Recv()
	require.Equal(t, codes.PermissionDenied, status.Code(err), "an open stream ends")
	require.ErrorContains(t, err, "no identity issued")
	_, err = client.FetchJWTSVID(ctx, &workload.JWTSVIDRequest{Audience: []string{"x"}})
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	_, err = client.ValidateJWTSVID(ctx, &workload.ValidateJWTSVIDRequest{Audience: "x", Svid: "y"})
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	bundles, err := client.FetchX509Bundles(ctx, &workload.X509BundlesRequest{})
	require.NoError(t, err)
	_, err = bundles.Recv()
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	_, err = other.FetchJWTSVID(ctx, &workload.JWTSVIDRequest{Audience: []string{"x"}})
	require.NoError(t, err, "others are served as before")

	add(t, a, alice)
	_, err = client.FetchJWTSVID(ctx, &workload.JWTSVIDRequest{Audience: []string{"x"}})
	require.NoError(t, err, "it may come back on its old socket")
}

func TestFederation(t *testing.T) {
	abroad := spiffeid.RequireTrustDomainFromString("foreign.test")
	a, b := newAuthority(t, devspiffe.Options{}), newAuthority(t, devspiffe.Options{TrustDomain: abroad})
	addr := add(t, a, alice)
	s := x509Source(t, addr)
	_, err := s.GetX509BundleForTrustDomain(abroad)
	require.Error(t, err)

	require.NoError(t, a.Federate(b.Bundle()))
	require.Eventually(t, func() bool {
		_, err := s.GetX509BundleForTrustDomain(abroad)
		return err == nil
	}, 30*time.Second, 10*time.Millisecond, "an open source hears of it")
	visitor := x509Source(t, add(t, b, spiffeid.RequireFromString("spiffe://foreign.test/visitor")))
	_, _, err = x509svid.Verify(svidOf(t, visitor).Certificates, s)
	require.NoError(t, err)

	client, err := workloadapi.New(t.Context(), workloadapi.WithAddr(addr))
	require.NoError(t, err)
	defer func() { _ = client.Close() }()
	x509s, err := client.FetchX509Bundles(t.Context())
	require.NoError(t, err)
	require.True(t, x509s.Has(home) && x509s.Has(abroad))
	jwts, err := client.FetchJWTBundles(t.Context())
	require.NoError(t, err)
	require.True(t, jwts.Has(home) && jwts.Has(abroad))

	require.NoError(t, a.Federate(spiffebundle.New(abroad)), "an empty bundle takes the trust away")
	require.Eventually(t, func() bool {
		_, err := s.GetX509BundleForTrustDomain(abroad)
		return err != nil
	}, 30*time.Second, 10*time.Millisecond)
	require.ErrorContains(t, a.Federate(spiffebundle.New(home)), "our own")
}

func TestOptions(t *testing.T) {
	open := shortDir(t)
	require.NoError(t, os.Mkdir(open, 0o755))
	tests := []struct {
		name string
		o    devspiffe.Options
		err  string
	}{
		{"no trust domain", devspiffe.Options{Dir: "x"}, "no trust domain"},
		{"no folder", devspiffe.Options{TrustDomain: home}, "no folder"},
		{"a folder open to others", devspiffe.Options{TrustDomain: home, Dir: open}, "chmod 700"},
		{"JWT-SVIDs that live too long", devspiffe.Options{TrustDomain: home, Dir: "x", JWTLife: 6 * time.Minute}, "JWT-SVIDs"},
		{"X.509-SVIDs that do not live", devspiffe.Options{TrustDomain: home, Dir: "x", SVIDLife: -1}, "X.509-SVIDs"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := devspiffe.New(tt.o)
			require.ErrorContains(t, err, tt.err)
		})
	}
}

func TestAddRefuses(t *testing.T) {
	a := newAuthority(t, devspiffe.Options{})
	add(t, a, alice)
	tests := []struct {
		name string
		w    devspiffe.Workload
		err  string
	}{
		{"a foreign ID", devspiffe.Workload{ID: spiffeid.RequireFromString("spiffe://foreign.test/x"), Socket: "x"}, "not the ID of a workload"},
		{"the trust domain itself", devspiffe.Workload{ID: home.ID(), Socket: "x"}, "not the ID of a workload"},
		{"no ID", devspiffe.Workload{Socket: "x"}, "not the ID of a workload"},
		{"no socket", devspiffe.Workload{ID: bob}, "not a file name"},
		{"a socket elsewhere", devspiffe.Workload{ID: bob, Socket: "../bob"}, "not a file name"},
		{"a socket at the root", devspiffe.Workload{ID: bob, Socket: "/"}, "not a file name"},
		{"the folder above", devspiffe.Workload{ID: bob, Socket: ".."}, "not a file name"},
		{"an ID twice", devspiffe.Workload{ID: alice, Socket: "alice2"}, "already"},
		{"a socket twice", devspiffe.Workload{ID: bob, Socket: "alice"}, "already"},
		{"a path too long", devspiffe.Workload{ID: bob, Socket: strings.Repeat("b", 107)}, "choose a shorter --dir"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := a.Add(tt.w)
			require.ErrorContains(t, err, tt.err)
		})
	}
}
