package connect_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connect"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/idtoken"
	"github.com/onedoor/onedoor/server/lease"
	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/server/store/sqlstore"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/server/vault/vaulttest"
	"github.com/onedoor/onedoor/tests/testenv"
)

const (
	workspace    = "default"
	base         = "https://onedoor.example"
	peer         = "192.0.2.7:4711"
	subject      = "8f2c"
	clientSecret = "canary-client-5b1e"
	signInSecret = "canary-signin-77aa"
	accessToken  = "canary-access-19c4"
	refreshToken = "canary-refresh-e0d2"
)

// world is a Flow over the real store, vault, trail and keeper, before a provider and an
// issuer that write down what they are sent.
type world struct {
	*connect.Flow
	options  connect.Options
	store    *sqlstore.Store
	keys     *vault.Keyring
	keeper   *credential.Keeper
	keeping  credential.Options
	registry *connector.Registry
	provider *provider
	issuer   *testenv.Issuer
	proof    *proof
	log      *bytes.Buffer
	folder   string        // of the database
	ahead    time.Duration // of the clock
}

// tokenServer is a token endpoint: it holds what it is sent to RFC 7636, and answers what
// the test says.
type tokenServer struct {
	mu        sync.Mutex
	challenge string
	forms     []url.Values
	secrets   []string
	status    int
	body      string
}

func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = r.ParseForm()
	_, secret, _ := r.BasicAuth()
	s.forms, s.secrets = append(s.forms, r.PostForm), append(s.secrets, secret)
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	w.Header().Set("Content-Type", "application/json")
	if base64.RawURLEncoding.EncodeToString(sum[:]) != s.challenge {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"canary-from-the-provider"}`))
		return
	}
	w.WriteHeader(s.status)
	_, _ = w.Write([]byte(s.body))
}

func (s *tokenServer) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.forms)
}

// provider is that of the connector, proof that of the user's issuer.
type provider struct {
	tokenServer
	*testenv.Upstream
}

type proof struct{ tokenServer }

// loopback resolves every name to this machine.
type loopback struct{}

func (loopback) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

func (w *world) now() time.Time { return time.Now().Add(w.ahead).UTC().Truncate(time.Microsecond) }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{log: &bytes.Buffer{}, provider: &provider{}, proof: &proof{}}
	w.provider.status, w.provider.body = http.StatusOK, tokens(`"expires_in":3600`, `"refresh_token":"`+refreshToken+`"`)
	w.provider.Upstream = testenv.NewUpstream(t, &w.provider.tokenServer)
	w.issuer = testenv.NewIssuer(t)
	w.proof.status = http.StatusOK
	w.issuer.Tokens = w.proof.ServeHTTP
	w.folder = t.TempDir()
	s := testenv.SQLite(t, w.folder)
	w.store = s
	log := slog.New(slog.NewTextHandler(w.log, nil))
	master, err := subtle.NewAESGCM(make([]byte, 32))
	require.NoError(t, err)
	w.keys = vault.NewKeyring(vault.Options{Store: &vaulttest.Store{}, Master: master, Rand: rand.Reader, Now: w.now, NewID: uuid.NewString, Log: log})
	require.NoError(t, w.keys.Load(t.Context()))
	trail, err := audit.Open(t.Context(), audit.Options{
		Store: s.Audit(), Signer: w.keys, Now: time.Now, NewID: uuid.NewString, BrokerID: "broker", Incarnation: "incarnation", Log: log,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, trail.Close(context.Background())) })
	trail.Live(time.Now().Add(time.Hour))
	door := egress.New(egress.Options{Resolver: loopback{}})
	t.Cleanup(door.Close)
	client := oauth.New(door, time.Now, rand.Reader)
	w.keeping = credential.Options{
		Store: s.Credentials(), Sealer: vault.New(w.keys), Digester: w.keys, OAuth: client, Trail: trail,
		BrokerID: "broker", Incarnation: "incarnation", NewID: uuid.NewString, Now: w.now, Log: log,
		Records:  lease.New[credential.Place, credential.Record](time.Nanosecond, time.Now, 100),
		Opened:   lease.New[credential.Version, egress.Attachment](time.Nanosecond, time.Now, 100),
		Fleeting: lease.New[credential.Version, egress.Attachment](time.Nanosecond, time.Now, 100),
	}
	w.keeper = credential.NewKeeper(w.keeping)
	w.registry = connector.NewRegistry(s.Connectors(), time.Nanosecond, time.Now)
	verifier, err := idtoken.New(idtoken.Options{Door: door, Now: time.Now, Issuers: []idtoken.Issuer{{
		URL: w.issuer.URL, Audiences: []string{testenv.Audience}, Workspaces: []string{workspace},
		Policy: egress.Policy{RootCAs: []byte(w.issuer.CA), AllowRanges: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	}}})
	require.NoError(t, err)
	w.options = connect.Options{
		URL: base, SignIns: []connect.SignIn{{
			Workspaces: []string{workspace}, Issuer: w.issuer.URL, ClientID: testenv.Audience, Auth: connector.ClientBasic,
			Secret: vault.NewSecret([]byte(signInSecret)), Scope: "openid",
		}},
		Store: s.Connects(), Connectors: w.registry, Credentials: w.keeper, Users: s.Tasks(), Issuers: verifier, OAuth: client,
		Digester: w.keys, Trail: trail, BrokerID: "broker", Random: rand.Reader, NewID: uuid.NewString, Now: w.now, Log: log,
	}
	w.Flow = connect.New(w.options)
	w.apply(t)
	w.putClient(t)
	return w
}

// with is another broker, set up in another way, on the same store.
func (w *world) with(change func(o *connect.Options)) *connect.Flow {
	o := w.options
	change(&o)
	return connect.New(o)
}

// bearer is a Flow of a development broker, where a link alone is believed.
func (w *world) bearer() *connect.Flow {
	return w.with(func(o *connect.Options) { o.SignIns, o.Bearer = nil, true })
}

// tokens is a token endpoint's answer.
func tokens(more ...string) string {
	return `{"access_token":"` + accessToken + `","token_type":"Bearer",` + strings.Join(more, ",") + `}`
}

// apply applies the connector's manifest; more goes into its oauth.
func (w *world) apply(t *testing.T, more ...string) {
	t.Helper()
	if more == nil {
		more = []string{"issuer: " + w.provider.Origin}
	}
	more = append(more, "scopes: [a.read, b.write]", "parameters: {audience: things}")
	text := w.provider.Manifest("things", testenv.OAuthSlots(w.provider.Origin+"/authorize?tenant=1", w.provider.Origin+"/token", w.provider.CA, more...), testenv.Things)
	_, _, err := w.registry.Apply(t.Context(), workspace, text, "operator", w.now())
	require.NoError(t, err)
}

func (w *world) current(t *testing.T) *connector.Connector {
	t.Helper()
	rev, err := w.registry.Current(t.Context(), workspace, "things")
	require.NoError(t, err)
	c, err := w.registry.Parsed(t.Context(), rev)
	require.NoError(t, err)
	return c
}

func (w *world) putClient(t *testing.T) {
	t.Helper()
	_, err := w.keeper.Put(t.Context(), credential.Put{Connector: w.current(t), Slot: "client", Secret: vault.NewSecret([]byte(clientSecret)), By: "operator"})
	require.NoError(t, err)
}

// try is one user's way, in one browser.
type try struct {
	w             *world
	flow          *connect.Flow
	link, browser string
	asked         url.Values // what the browser's address asks of the provider
	at            string
}

func token(t *testing.T) string {
	t.Helper()
	text, err := connect.NewToken(rand.Reader)
	require.NoError(t, err)
	return text
}

func (w *world) offer(t *testing.T, f *connect.Flow) *try {
	t.Helper()
	address, expires, err := f.Offer(t.Context(), connect.Offer{Workspace: workspace, Connector: "things", Issuer: w.issuer.URL, Subject: subject, By: "operator"})
	require.NoError(t, err)
	require.WithinDuration(t, w.now().Add(10*time.Minute), expires, time.Minute)
	link, ok := strings.CutPrefix(address, base+"/connect/")
	require.True(t, ok, address)
	return &try{w: w, flow: f, link: link, browser: token(t)}
}

// begin presses the button on our page.
func (y *try) begin(t *testing.T) {
	t.Helper()
	next, err := y.flow.Begin(t.Context(), y.link, y.browser, y.flow.PageToken(y.browser, y.link), peer)
	require.NoError(t, err)
	y.follow(t, next)
}

// follow reads the address to which the browser is led.
func (y *try) follow(t *testing.T, next connect.Next) {
	t.Helper()
	u, err := url.Parse(next.URL)
	require.NoError(t, err)
	require.Equal(t, u.Hostname(), next.Host)
	y.asked, y.at = u.Query(), "https://"+u.Host+u.Path
	for name, values := range y.asked {
		require.Len(t, values, 1, name)
	}
	require.Equal(t, "code", y.asked.Get("response_type"))
	require.Equal(t, "S256", y.asked.Get("code_challenge_method"))
	require.Equal(t, base+"/connect/callback", y.asked.Get("redirect_uri"))
	server := &y.w.provider.tokenServer
	if y.asked.Has("nonce") {
		server = &y.w.proof.tokenServer
	}
	server.mu.Lock()
	server.challenge = y.asked.Get("code_challenge")
	server.mu.Unlock()
}

// signedIn goes through the issuer as a user, whose ID token is edited.
func (y *try) signedIn(t *testing.T, edit func(claims map[string]any)) (connect.Arrived, error) {
	t.Helper()
	claims := y.w.issuer.Claims(subject)
	claims["nonce"] = y.asked.Get("nonce")
	if edit != nil {
		edit(claims)
	}
	y.w.proof.mu.Lock()
	y.w.proof.body = tokens(`"id_token":"` + y.w.issuer.Sign(t, claims) + `"`)
	y.w.proof.mu.Unlock()
	return y.flow.Answer(t.Context(), url.Values{"code": {"canary-code-of-the-issuer"}, "state": {y.asked.Get("state")}}.Encode(), y.browser, peer)
}

// answer is what the provider sends the browser back with.
func (y *try) answer() url.Values {
	return url.Values{"code": {"canary-code-of-the-provider"}, "state": {y.asked.Get("state")}, "iss": {y.w.provider.Origin}}
}

// atProvider is a user who has signed in and stands before the provider.
func (w *world) atProvider(t *testing.T) *try {
	t.Helper()
	y := w.offer(t, w.Flow)
	y.begin(t)
	arrived, err := y.signedIn(t, nil)
	require.NoError(t, err)
	require.Empty(t, arrived.Done)
	y.follow(t, arrived.Next)
	return y
}

// ended gives how the run ended that has arrived.
func (y *try) ended(t *testing.T, arrived connect.Arrived, err error) connect.Outcome {
	t.Helper()
	require.NoError(t, err)
	require.Zero(t, arrived.Next)
	outcome, err := y.flow.Outcome(t.Context(), arrived.Done, y.browser)
	require.NoError(t, err)
	return outcome
}

func requireKind(t *testing.T, want connect.Kind, err error) {
	t.Helper()
	var p *connect.Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, want, p.Kind)
}
