package connect_test

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connect"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/vault"
)

// TestConnect is the whole way: the link, the sign-in, the provider, the tokens stored.
func TestConnect(t *testing.T) {
	w := newWorld(t)
	y := w.offer(t, w.Flow)
	for range 3 {
		view, err := w.Look(t.Context(), y.link, peer)
		require.NoError(t, err)
		require.Equal(t, []any{workspace, "things", "main", subject, w.issuer.URL, w.issuer.URL, "localhost", []string{"a.read", "b.write"}},
			[]any{view.Workspace, view.Connector, view.Slot, view.User.Subject, view.User.Issuer, view.SignIn, view.Provider, view.Scopes})
	}
	y.begin(t)
	require.Equal(t, w.issuer.Origin+"/authorize", y.at)
	require.Equal(t, []string{"openid", "onedoor"}, []string{y.asked.Get("scope"), y.asked.Get("client_id")})
	require.Zero(t, w.proof.requests())
	first := y.asked

	arrived, err := y.signedIn(t, nil)
	require.NoError(t, err)
	require.Empty(t, arrived.Done)
	require.Equal(t, signInSecret, w.proof.secrets[0])
	require.Equal(t, base+"/connect/callback", w.proof.forms[0].Get("redirect_uri"))
	require.Zero(t, w.provider.requests(), "nothing is asked of the provider yet")

	y.follow(t, arrived.Next)
	require.Equal(t, w.provider.Origin+"/authorize", y.at)
	require.Equal(t, []string{"a.read b.write", "onedoor", "things", "1"},
		[]string{y.asked.Get("scope"), y.asked.Get("client_id"), y.asked.Get("audience"), y.asked.Get("tenant")})
	require.False(t, y.asked.Has("nonce"))
	for _, name := range []string{"state", "code_challenge"} {
		require.NotEqual(t, first.Get(name), y.asked.Get(name), name)
	}

	arrived, err = w.Answer(t.Context(), y.answer().Encode(), y.browser, peer)
	outcome := y.ended(t, arrived, err)
	require.Empty(t, outcome.Problem)
	require.True(t, outcome.Renews)
	require.Equal(t, []string{"things", "main", subject}, []string{outcome.Connector, outcome.Slot, outcome.User.Subject})
	require.Equal(t, clientSecret, w.provider.secrets[0])
	require.Equal(t, "canary-code-of-the-provider", w.provider.forms[0].Get("code"))
	require.True(t, w.stored(t))
	require.Equal(t, []string{"ADMIN_INTENT", "ADMIN_OUTCOME OK"}, w.acts(t, "credential.sign-in"))
	require.Equal(t, []string{"ADMIN_INTENT", "ADMIN_OUTCOME OK"}, w.acts(t, "credential.connect"))
	given := []string{y.link, y.browser, y.asked.Get("state"), first.Get("state"), arrived.Done}
	w.requireSilent(t, given...)
	w.requireNotStored(t, append(given, w.provider.forms[0].Get("code_verifier"), w.proof.forms[0].Get("code_verifier"), "canary")...)
}

// TestWhatTheProviderGives is what the user is told of it.
func TestWhatTheProviderGives(t *testing.T) {
	for name, c := range map[string]struct {
		body    string
		renews  bool
		ends    time.Duration
		missing []string
	}{
		"a refresh token":          {tokens(`"expires_in":60`, `"refresh_token":"canary-r"`), true, 0, nil},
		"no refresh token":         {tokens(`"expires_in":7200`), false, 2 * time.Hour, nil},
		"no refresh token, no end": {tokens(`"scope":"a.read b.write"`), false, 0, nil},
		"fewer scopes":             {tokens(`"refresh_token":"canary-r","scope":"a.read c"`), true, 0, []string{"b.write"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.provider.body = c.body
			y := w.offer(t, w.bearer())
			y.begin(t)
			arrived, err := y.flow.Answer(t.Context(), y.answer().Encode(), y.browser, peer)
			outcome := y.ended(t, arrived, err)
			require.Empty(t, outcome.Problem)
			require.Equal(t, c.renews, outcome.Renews)
			require.Equal(t, c.missing, outcome.Missing)
			if c.ends == 0 {
				require.Zero(t, outcome.Ends)
			} else {
				require.WithinDuration(t, w.now().Add(c.ends), outcome.Ends, time.Minute)
			}
			require.True(t, w.stored(t))
			w.requireSilent(t)
		})
	}
}

// TestADeadConnectionIsRenewed: what was found dead is not, once the user has connected
// the account again, and running tasks find the new one.
func TestADeadConnectionIsRenewed(t *testing.T) {
	w := newWorld(t)
	y := w.atProvider(t)
	arrived, err := w.Answer(t.Context(), y.answer().Encode(), y.browser, peer)
	require.Empty(t, y.ended(t, arrived, err).Problem)
	list, err := w.keeper.List(t.Context(), workspace, "things")
	require.NoError(t, err)
	old := list[len(list)-1]
	require.Equal(t, "authorization_code", old.Kind)
	s := w.store.Credentials()
	lease, err := s.Take(t.Context(), workspace, old.ID, "broker", w.now(), w.now().Add(time.Minute))
	require.NoError(t, err)
	require.NoError(t, s.Release(t.Context(), lease, credential.RefreshEnd{Dead: old.Version, Reason: "it is dead", At: w.now()}))
	_, err = w.keeper.Find(t.Context(), w.current(t), old.UserID)
	require.True(t, fault.Is(err, fault.CredentialNeedsReconnect), "%v", err)
	require.ErrorContains(t, err, "onedoor credential connect")

	y = w.atProvider(t)
	arrived, err = w.Answer(t.Context(), y.answer().Encode(), y.browser, peer)
	require.Empty(t, y.ended(t, arrived, err).Problem)
	records, err := w.keeper.Find(t.Context(), w.current(t), old.UserID)
	require.NoError(t, err)
	require.Equal(t, []any{old.ID, old.Version + 1, "operator"}, []any{records[0].ID, records[0].Version, records[0].CreatedBy})
}

// TestOffers: what an operator may not have a user connect, and which field says so.
func TestOffers(t *testing.T) {
	w := newWorld(t)
	good := connect.Offer{Workspace: workspace, Connector: "things", Issuer: w.issuer.URL, Subject: subject, By: "operator"}
	_, _, err := w.Flow.Offer(t.Context(), good)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		flow   *connect.Flow
		change func(o *connect.Offer)
		reason fault.Reason
		says   string
	}{
		"no URL":                 {w.with(func(o *connect.Options) { o.URL = "" }), nil, fault.CredentialMissing, "connect.url"},
		"a user without issuer":  {w.Flow, func(o *connect.Offer) { o.Issuer = "local" }, fault.ArgumentInvalid, "issuers.sign_in"},
		"an issuer nobody knows": {w.bearer(), func(o *connect.Offer) { o.Issuer = "https://x.example" }, fault.ArgumentInvalid, "issuer: not one"},
		"another workspace's":    {w.bearer(), func(o *connect.Offer) { o.Workspace = "other" }, fault.ArgumentInvalid, "issuer: not one"},
		"an issuer without sign-in, in production": {
			w.with(func(o *connect.Options) { o.SignIns = nil }), nil, fault.ArgumentInvalid, "issuers.sign_in",
		},
		"no such connector": {w.Flow, func(o *connect.Offer) { o.Connector = "x" }, fault.ConnectorUnknown, "x"},
		"no such slot":      {w.Flow, func(o *connect.Offer) { o.Slot = "x" }, fault.ArgumentInvalid, "slot"},
		"the client's slot": {w.Flow, func(o *connect.Offer) { o.Slot = "client" }, fault.ArgumentInvalid, "workspace's"},
		"no user":           {w.Flow, func(o *connect.Offer) { o.Subject = "" }, fault.ArgumentInvalid, "owner"},
		"no randomness":     {w.with(func(o *connect.Options) { o.Random = strings.NewReader("short") }), nil, fault.Internal, "internal error"},
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			if c.change != nil {
				c.change(&o)
			}
			link, _, err := c.flow.Offer(t.Context(), o)
			require.Empty(t, link)
			require.True(t, fault.Is(err, c.reason), "%v", err)
			require.ErrorContains(t, err, c.says)
		})
	}
	// In development a link is enough, also for whom no issuer names.
	_, _, err = w.bearer().Offer(t.Context(), connect.Offer{Workspace: workspace, Connector: "things", Issuer: "local", Subject: "alice"})
	require.NoError(t, err)
	require.NoError(t, w.keeper.Delete(t.Context(), workspace, w.clientID(t)))
	_, _, err = w.Flow.Offer(t.Context(), good)
	require.True(t, fault.Is(err, fault.CredentialMissing), "the client's secret is missed before the user goes anywhere: %v", err)
}

func (w *world) clientID(t *testing.T) string {
	t.Helper()
	list, err := w.keeper.List(t.Context(), workspace, "things")
	require.NoError(t, err)
	for _, r := range list {
		if r.Slot == "client" {
			return r.ID
		}
	}
	t.Fatal("there is no client's secret")
	return ""
}

// TestABearerSlotIsNotConnected: where the manifest has no oauth, nothing can be.
func TestABearerSlotIsNotConnected(t *testing.T) {
	w := newWorld(t)
	_, _, err := w.registry.Apply(t.Context(), workspace, w.provider.Manifest("plain", "{main: {owner: user, attach: bearer}}", things), "operator", w.now())
	require.NoError(t, err)
	_, _, err = w.Flow.Offer(t.Context(), connect.Offer{Workspace: workspace, Connector: "plain", Issuer: w.issuer.URL, Subject: subject})
	require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
	require.ErrorContains(t, err, "use put")
}

const things = `  - {name: get, severity: READ, method: GET, path: /get, resources: ["thing:*"]}
`

// TestBegin: a link is used up by our own page alone, once.
func TestBegin(t *testing.T) {
	w := newWorld(t)
	stranger := token(t)
	for name, c := range map[string]struct {
		change func(y *try) (link, browser, page string)
		kind   connect.Kind
	}{
		"no page token": {func(y *try) (string, string, string) { return y.link, y.browser, "" }, connect.Forged},
		"the page token of another link": {func(y *try) (string, string, string) {
			return y.link, y.browser, w.PageToken(y.browser, stranger)
		}, connect.Forged},
		"the page token of another browser": {func(y *try) (string, string, string) {
			return y.link, stranger, w.PageToken(y.browser, y.link)
		}, connect.Forged},
		"no browser": {func(y *try) (string, string, string) { return y.link, "", w.PageToken("", y.link) }, connect.Forged},
		"another link": {func(y *try) (string, string, string) {
			return stranger, y.browser, w.PageToken(y.browser, stranger)
		}, connect.Unknown},
		"no link at all": {func(y *try) (string, string, string) { return "../x", y.browser, "" }, connect.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			y := w.offer(t, w.Flow)
			link, browser, page := c.change(y)
			next, err := w.Begin(t.Context(), link, browser, page, peer)
			requireKind(t, c.kind, err)
			require.Zero(t, next)
			y.begin(t) // it was not used up
		})
	}
	t.Run("in time", func(t *testing.T) {
		y := w.offer(t, w.Flow)
		w.ahead = 10*time.Minute + time.Second
		defer func() { w.ahead = 0 }()
		_, err := w.Look(t.Context(), y.link, peer)
		requireKind(t, connect.Expired, err)
		_, err = w.Begin(t.Context(), y.link, y.browser, w.PageToken(y.browser, y.link), peer)
		requireKind(t, connect.Expired, err)
	})
	t.Run("once", func(t *testing.T) {
		y := w.offer(t, w.Flow)
		var won int
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				_, err := w.Begin(t.Context(), y.link, y.browser, w.PageToken(y.browser, y.link), peer)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				}
			})
		}
		all.Wait()
		require.Equal(t, 1, won)
		_, err := w.Look(t.Context(), y.link, peer)
		requireKind(t, connect.Used, err)
	})
	require.Contains(t, w.refusals(t, workspace), "forged")
	require.Contains(t, w.refusals(t, "_system"), "unknown")
}

// TestBeginWhere: at a broker or with an issuer that cannot have the user sign in.
func TestBeginWhere(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		flow   *connect.Flow
		broken func(t *testing.T)
		kind   connect.Kind
		// shown says that the page before shows it already.
		shown bool
	}{
		"a broker without sign-in": {w.with(func(o *connect.Options) { o.SignIns = nil }), nil, connect.NotSetUp, true},
		"the issuer is down":       {w.Flow, func(t *testing.T) { w.issuer.Down(true); t.Cleanup(func() { w.issuer.Down(false) }) }, connect.Unreachable, false},
		"no randomness":            {w.with(func(o *connect.Options) { o.Random = failing{} }), nil, connect.Internal, false},
		"another revision":         {w.Flow, func(t *testing.T) { w.apply(t, "refresh_tokens: reusable") }, connect.Changed, true},
	} {
		t.Run(name, func(t *testing.T) {
			y := w.offer(t, w.Flow)
			if c.broken != nil {
				c.broken(t)
			}
			before := len(w.refusals(t, workspace))
			_, err := c.flow.Look(t.Context(), y.link, peer)
			if c.shown {
				requireKind(t, c.kind, err)
				require.Len(t, w.refusals(t, workspace), before+1, "what a page sends people to an administrator for is recorded")
			}
			require.Equal(t, c.shown, err != nil)
			_, err = c.flow.Begin(t.Context(), y.link, y.browser, w.PageToken(y.browser, y.link), peer)
			requireKind(t, c.kind, err)
		})
	}
	require.Contains(t, w.log.String(), "the user's issuer has no issuers.sign_in")
	require.Zero(t, w.proof.requests()+w.provider.requests())
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("no randomness") }

var _ io.Reader = failing{}

// TestAPepperMayRotateOnTheWay: what was given out before is still known.
func TestAPepperMayRotateOnTheWay(t *testing.T) {
	w := newWorld(t)
	rotate := func() {
		_, err := w.keys.Rotate(t.Context(), vault.Pepper)
		require.NoError(t, err)
		require.NoError(t, w.keys.Poll(t.Context()))
	}
	y := w.offer(t, w.Flow)
	page := w.PageToken(y.browser, y.link)
	rotate()
	next, err := w.Begin(t.Context(), y.link, y.browser, page, peer)
	require.NoError(t, err)
	y.follow(t, next)
	rotate()
	arrived, err := y.signedIn(t, nil)
	require.NoError(t, err)
	y.follow(t, arrived.Next)
	rotate()
	arrived, err = w.Answer(t.Context(), y.answer().Encode(), y.browser, peer)
	rotate()
	require.Empty(t, y.ended(t, arrived, err).Problem)
}
