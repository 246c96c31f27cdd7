package e2e_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client/assertion"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// internal is a SPIFFE-native service: it lets in the one broker alone, and demands an
// assertion that is bound to the certificate of the very connection.
type internal struct {
	source   *workloadapi.X509Source
	origin   string
	verifier atomic.Pointer[assertion.Verifier]

	mu    sync.Mutex
	peers map[string]int // calls by the broker's certificate
	token string         // of the last call
}

const internalID = "spiffe://" + testenv.Domain + "/things"

func newInternal(t *testing.T, site *testenv.Site, broker string) *internal {
	t.Helper()
	s := &internal{source: site.Workload(t, "/things"), peers: map[string]int{}}
	config := tlsconfig.MTLSServerConfig(s.source, s.source, tlsconfig.AuthorizeID(spiffeid.RequireFromString(broker)))
	s.origin = testenv.ServeTLS(t, config, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, err := s.verifier.Load().Verify(r.Context(), r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		peer := testenv.Thumbprint(r.TLS.PeerCertificates[0])
		if claims.Confirmation.Thumbprint != peer {
			http.Error(w, "cnf is another's", http.StatusForbidden)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.peers[peer]++
		s.token = r.Header.Get("X-Onedoor-Jwt-Assertion")
	}))
	return s
}

func (s *internal) believe(t *testing.T, b *testenv.Broker) {
	t.Helper()
	v, err := assertion.NewVerifier(assertion.Options{
		Issuer: testenv.AssertionIssuer, Audience: testenv.AssertionAudience, JWKSURL: b.PublicURL + "/.well-known/jwks.json",
		HTTPClient: testenv.HTTPS(t, b.Anonymous(t)), BrokerID: b.ID, PeerVerified: true, RequireConfirmation: true,
	})
	require.NoError(t, err)
	s.verifier.Store(v)
}

// manifest describes the service as a connector; section is what stands under tls.
func (s *internal) manifest(name, section string) string {
	text := testenv.Manifest(name, s.origin, "", "", testenv.Things)
	return strings.Replace(text, "tools:\n", section+"assertion: {audience: "+testenv.AssertionAudience+"}\ntools:\n", 1)
}

const mutual = "tls: {client: svid, server_id: '" + internalID + "'}\n"

func showingItsSVID(c *config.Config) { c.Workspaces[0].SVIDUpstreams = []string{"*"} }

// TestInternalServiceKnowsTheBroker by its SPIFFE ID, over every renewal of both their
// SVIDs: no call fails under load, and each call's assertion is bound to the certificate
// that the service saw.
func TestInternalServiceKnowsTheBroker(t *testing.T) {
	t.Parallel()
	site := testenv.NewSite(t, "", 3*time.Second)
	b := site.Start(t, testenv.Signing(time.Hour, time.Hour, time.Hour), showingItsSVID)
	s := newInternal(t, site, b.ID)
	s.believe(t, b)
	b.Apply(t, s.manifest("things", mutual))
	task := b.Mint(t, nil, "things: things.* WRITE thing:*")
	var load sync.WaitGroup
	var calls atomic.Int64
	ended := make(chan struct{})
	for range 4 {
		sandbox := b.Client(t, testenv.Sandbox, task.Key)
		load.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				answer, err := sandbox.Invoke(t.Context(), "things", "things.make", map[string]string{"name": "x"})
				if err != nil || answer.Status != http.StatusOK {
					t.Errorf("call %d: %v %+v", calls.Load(), err, answer)
					return
				}
				calls.Add(1)
			}
		})
	}
	testenv.Eventually(t, "four certificates of the broker", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.peers) >= 4 || t.Failed()
	})
	close(ended)
	load.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Logf("%d calls over %d certificates", calls.Load(), len(s.peers))
	total := 0
	for _, n := range s.peers {
		total += n
	}
	require.EqualValues(t, calls.Load(), total, "none was made twice")
}

// TestTheBrokerKnowsItsInternalService, and a copied assertion is of no use: not to
// another workload, and not over another certificate of the broker itself.
func TestTheBrokerKnowsItsInternalService(t *testing.T) {
	t.Parallel()
	site := testenv.NewSite(t, "", 0)
	s := newInternal(t, site, "spiffe://"+testenv.Domain+"/broker1") // the first that is started
	b := site.Start(t, testenv.Signing(time.Hour, time.Hour, time.Hour), func(c *config.Config) { c.Workspaces[0].SVIDUpstreams = []string{s.origin} })
	s.believe(t, b)
	ca := "  ca: |\n    " + strings.ReplaceAll(strings.TrimSpace(string(site.Authority.BundlePEM())), "\n", "\n    ") + "\n"
	call := func(name string) testenv.Answer {
		task := b.Mint(t, nil, name+": things.* WRITE thing:*")
		return b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/v1/invoke",
			`{"connector":"`+name+`","tool":"things.get","arguments":{"id":"1"}}`)
	}
	for name, c := range map[string]struct {
		section string
		reason  string // empty: the call is made
	}{
		"byid":      {mutual, ""},
		"byname":    {"tls:\n  client: svid\n" + ca, ""},
		"otherid":   {"tls: {client: svid, server_id: 'spiffe://" + testenv.Domain + "/crm'}\n", "UPSTREAM_UNAVAILABLE"},
		"otherdom":  {"tls: {client: svid, server_id: 'spiffe://elsewhere.test/things'}\n", "UPSTREAM_UNAVAILABLE"},
		"anyname":   {"tls: {client: svid}\n", "UPSTREAM_UNAVAILABLE"},
		"asnobody":  {"tls: {server_id: '" + internalID + "'}\n", "OUTCOME_UNKNOWN"},
		"asnobody2": {"tls:\n" + ca, "OUTCOME_UNKNOWN"},
	} {
		b.Apply(t, s.manifest(name, c.section))
		answer := call(name)
		if c.reason != "" {
			require.Equal(t, c.reason, answer.Reason(t), name)
			continue
		}
		require.Equal(t, http.StatusOK, answer.Status, "%s: %s", name, answer.Body)
		require.Contains(t, answer.Body, `"status":200`, name)
	}

	b.Apply(t, strings.Replace(s.manifest("elsewhere", mutual), s.origin, "https://localhost:1", 1))
	require.Equal(t, "EGRESS_DENIED", call("elsewhere").Reason(t), "nobody else is shown who the broker is")

	s.mu.Lock()
	token := s.token
	s.mu.Unlock()
	show := func(as *workloadapi.X509Source) (testenv.Answer, error) {
		config := tlsconfig.MTLSClientConfig(as, as, tlsconfig.AuthorizeID(spiffeid.RequireFromString(internalID)))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.origin+"/things/1", http.NoBody)
		require.NoError(t, err)
		r.Header.Set("X-Onedoor-Jwt-Assertion", token)
		response, err := testenv.HTTPS(t, config).Do(r)
		if err != nil {
			return testenv.Answer{}, err
		}
		require.NoError(t, response.Body.Close())
		return testenv.Answer{Status: response.StatusCode}, nil
	}
	copied, err := show(site.BrokerSource(t, b))
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, copied.Status, "bound to another certificate of the same broker")
	_, err = show(site.Workload(t, "/thief"))
	require.Error(t, err, "who is not the broker does not get in at all")
}
