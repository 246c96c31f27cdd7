package attack_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// forger is the authority of a trust domain, which signs whatever it is asked to.
type forger struct {
	domain spiffeid.TrustDomain
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
}

func newForger(t *testing.T, domain string) *forger {
	t.Helper()
	f := &forger{domain: spiffeid.RequireTrustDomainFromString(domain)}
	f.key = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), URIs: []*url.URL{f.domain.ID().URL()}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, f.key.Public(), f.key)
	require.NoError(t, err)
	f.ca, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return f
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func (f *forger) bundle() *spiffebundle.Bundle {
	b := spiffebundle.New(f.domain)
	b.AddX509Authority(f.ca)
	return b
}

// sign makes a client certificate with the URIs; edit may spoil it.
func (f *forger) sign(t *testing.T, edit func(*x509.Certificate), uris ...string) tls.Certificate {
	t.Helper()
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, text := range uris {
		u, err := url.Parse(text)
		require.NoError(t, err)
		leaf.URIs = append(leaf.URIs, u)
	}
	if edit != nil {
		edit(leaf)
	}
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, leaf, f.ca, key.Public(), f.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// below makes a certificate that a workload of the domain has signed itself.
func (f *forger) below(t *testing.T, uri string) tls.Certificate {
	t.Helper()
	middle := f.sign(t, nil, uri)
	leaf, err := x509.ParseCertificate(middle.Certificate[0])
	require.NoError(t, err)
	made := (&forger{f.domain, leaf, middle.PrivateKey.(*ecdsa.PrivateKey)}).sign(t, nil, uri)
	made.Certificate = append(made.Certificate, middle.Certificate[0])
	return made
}

// knocked is what became of a request: its status, and whether TLS had resumed an
// older session.
type knocked struct {
	status  int
	resumed bool
}

// knock makes one request over a connection of its own. The error says that the
// connection did not come about.
func knock(t *testing.T, b *testenv.Broker, config *tls.Config) (knocked, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.RESTURL+"/v1/connectors", nil)
	require.NoError(t, err)
	response, err := testenv.HTTPS(t, config).Do(request)
	if err != nil {
		return knocked{}, err
	}
	require.NoError(t, response.Body.Close())
	return knocked{response.StatusCode, response.TLS.DidResume}, nil
}

// greeted says whether a server has something to say to a client: only then has it taken
// the client's certificate.
func greeted(t *testing.T, address string, config *tls.Config) error {
	t.Helper()
	config = config.Clone()
	config.NextProtos = []string{"h2"}
	conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = conn.Read(make([]byte, 1))
	return err
}

// Only a valid SVID of a trusted domain opens a connection. The friend's domain is
// federated and trusted here, its authority in the attacker's hands: it still speaks
// for its own domain alone.
func TestAttack02_Authorizer(t *testing.T) {
	friend, stranger, known := newForger(t, "friend.test"), newForger(t, "stranger.test"), newForger(t, "known.test")
	site := testenv.NewSite(t, "", 0)
	require.NoError(t, site.Authority.Federate(friend.bundle()))
	require.NoError(t, site.Authority.Federate(known.bundle())) // in the bundles, and not trusted
	b := site.Start(t, func(c *config.Config) {
		c.SPIFFE.TrustDomains = append(c.SPIFFE.TrustDomains, config.TrustDomain{TrustDomain: friend.domain})
	})
	for _, one := range []struct {
		name        string
		certificate tls.Certificate
		connects    bool
	}{
		{"a member of a trusted domain", friend.sign(t, nil, "spiffe://friend.test/x"), true},
		{"a domain that nobody knows", stranger.sign(t, nil, "spiffe://stranger.test/x"), false},
		{"a domain that is known and not trusted", known.sign(t, nil, "spiffe://known.test/x"), false},
		{"our operator, signed by the friend", friend.sign(t, nil, "spiffe://"+testenv.Domain+"/operator"), false},
		{"our operator, signed by a stranger", stranger.sign(t, nil, "spiffe://"+testenv.Domain+"/operator"), false},
		{"a domain that begins like the friend's", friend.sign(t, nil, "spiffe://friend.test.evil/x"), false},
		{"no URI", friend.sign(t, nil), false},
		{"two URIs", friend.sign(t, nil, "spiffe://friend.test/x", "spiffe://"+testenv.Domain+"/operator"), false},
		{"a URI that is no SPIFFE ID", friend.sign(t, nil, "https://friend.test/x"), false},
		{"a domain without a workload", friend.sign(t, nil, "spiffe://friend.test"), false},
		{"expired", friend.sign(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, "spiffe://friend.test/x"), false},
		{"not valid yet", friend.sign(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }, "spiffe://friend.test/x"), false},
		{"an authority as a leaf", friend.sign(t, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }, "spiffe://friend.test/x"), false},
		{"the domain's authority itself", tls.Certificate{Certificate: [][]byte{friend.ca.Raw}, PrivateKey: friend.key}, false},
		{"the domain in capitals", friend.sign(t, nil, "spiffe://FRIEND.test/x"), false},
		{"a path that climbs", friend.sign(t, nil, "spiffe://friend.test/../"+testenv.Domain+"/operator"), false},
		{"a path in escapes", friend.sign(t, nil, "spiffe://friend.test/%6fperator"), false},
		{"a user in front", friend.sign(t, nil, "spiffe://"+testenv.Domain+"@friend.test/operator"), false},
		{"a port behind", friend.sign(t, nil, "spiffe://friend.test:443/x"), false},
		{"a query", friend.sign(t, nil, "spiffe://friend.test/x?spiffe://"+testenv.Domain+"/operator"), false},
		{"a domain within another's name", friend.sign(t, nil, "spiffe://friend.test."+testenv.Domain+"/operator"), false},
		{"ours by name alone", friend.sign(t, func(c *x509.Certificate) {
			c.DNSNames = []string{testenv.Domain}
			c.Subject.CommonName = "spiffe://" + testenv.Domain + "/operator"
		}), false},
		{"signed by a leaf of the friend's", friend.below(t, "spiffe://friend.test/x"), false},
		{"none at all", tls.Certificate{}, false},
	} {
		t.Run(one.name, func(t *testing.T) {
			config := b.Anonymous(t)
			if one.certificate.PrivateKey != nil {
				config.Certificates = []tls.Certificate{one.certificate}
			}
			got, err := knock(t, b, config)
			grpc := greeted(t, b.Addr, config)
			if one.connects {
				require.NoError(t, err)
				require.NoError(t, grpc)
				require.Equal(t, http.StatusForbidden, got.status, "it may connect, and has no role")
				return
			}
			require.Error(t, grpc, "gRPC")
			require.Error(t, err, "REST")
		})
	}
}

// Who was let in once is judged anew at the next connection, with a session ticket or
// without: the bundle that vouched for them has changed since, or they were denied.
func TestAttack02_ResumedSession(t *testing.T) {
	friend := newForger(t, "friend.test")
	site := testenv.NewSite(t, "", 0)
	require.NoError(t, site.Authority.Federate(friend.bundle()))
	b := site.Start(t, func(c *config.Config) {
		c.SPIFFE.TrustDomains = append(c.SPIFFE.TrustDomains, config.TrustDomain{TrustDomain: friend.domain})
	})
	config := b.Anonymous(t)
	config.Certificates = []tls.Certificate{friend.sign(t, nil, "spiffe://friend.test/x")}
	config.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	for range 2 {
		got, err := knock(t, b, config)
		require.NoError(t, err)
		require.False(t, got.resumed, "the broker gives out no tickets")
	}
	require.NoError(t, site.Authority.Federate(newForger(t, "friend.test").bundle()))
	testenv.Eventually(t, "the new bundle's arrival", func() bool {
		_, err := knock(t, b, config)
		return err != nil
	})
}

// A SPIFFE ID on the deny-list is refused whatever it presents, and comes back when it
// is taken off.
func TestAttack02_DeniedID(t *testing.T) {
	list := filepath.Join(t.TempDir(), "denied")
	require.NoError(t, os.WriteFile(list, nil, 0o600))
	b, _ := target(t, func(http.ResponseWriter, *http.Request) {}, func(c *config.Config) { c.SPIFFE.DeniedIDsFile = list })
	task := b.Mint(t, nil, readThings)
	rest := b.REST(t, testenv.Sandbox, task.Key)
	tools := func() int { return rest.Do(t, http.MethodGet, "/v1/tools", "").Status }
	require.Equal(t, http.StatusOK, tools())
	require.NoError(t, os.WriteFile(list, []byte(b.SPIFFEID(testenv.Sandbox)+"\n"), 0o600))
	testenv.Eventually(t, "the denial", func() bool { return tools() == http.StatusForbidden })
}

// The prefix under which an orchestrator may bind tasks ends at a path segment.
func TestAttack02_SandboxPrefix(t *testing.T) {
	b := testenv.Dev(t)
	orchestrator := b.Client(t, testenv.Orchestrator, "")
	for _, id := range []string{
		"spiffe://onedoor.dev/sandbox-evil/one", "spiffe://onedoor.dev/sandboxes", "spiffe://onedoor.dev/operator",
		"spiffe://evil.dev/sandbox/one", "spiffe://onedoor.dev", "spiffe://onedoor.dev/sandbox/../operator", "onedoor.dev/sandbox/one",
	} {
		_, err := orchestrator.Tasks().Create(t.Context(), &onedoorv1.TasksCreateRequest{
			Agent: "a", User: "alice", Sandbox: id, Grants: []string{"crm: contacts.get READ contact:*"}, Ttl: durationpb.New(time.Minute),
		})
		require.Contains(t, []client.Reason{client.CallerNotAllowed, client.ArgumentInvalid}, client.ReasonOf(err), id)
	}
}
