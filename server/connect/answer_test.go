package connect_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connect"
	"github.com/onedoor/onedoor/server/credential"
)

// TestForeignAnswers are those that belong to no run of this browser. They are refused
// before a code is sent, they end nothing, and the right answer is still taken after.
func TestForeignAnswers(t *testing.T) {
	w := newWorld(t)
	other := w.atProvider(t) // somebody else's run, at the same provider
	for name, c := range map[string]struct {
		change func(q url.Values, browser *string)
		kind   connect.Kind
	}{
		"another browser":               {func(_ url.Values, b *string) { *b = token(t) }, connect.OtherBrowser},
		"the browser of another run":    {func(_ url.Values, b *string) { *b = other.browser }, connect.OtherBrowser},
		"the state of another run":      {func(q url.Values, _ *string) { q.Set("state", other.asked.Get("state")) }, connect.OtherBrowser},
		"a browser without the cookie":  {func(_ url.Values, b *string) { *b = "" }, connect.OtherBrowser},
		"a cookie that is none of ours": {func(_ url.Values, b *string) { *b = "x" }, connect.OtherBrowser},
		"a state that nobody gave":      {func(q url.Values, _ *string) { q.Set("state", token(t)) }, connect.Unknown},
		"no state":                      {func(q url.Values, _ *string) { q.Del("state") }, connect.Malformed},
		"a state that is none":          {func(q url.Values, _ *string) { q.Set("state", "x") }, connect.Malformed},
		"two states":                    {func(q url.Values, _ *string) { q.Add("state", other.asked.Get("state")) }, connect.Malformed},
		"no code":                       {func(q url.Values, _ *string) { q.Del("code") }, connect.Malformed},
		"two codes":                     {func(q url.Values, _ *string) { q.Add("code", "b") }, connect.Malformed},
		"a code and an error":           {func(q url.Values, _ *string) { q.Set("error", "access_denied") }, connect.Malformed},
		"two issuers":                   {func(q url.Values, _ *string) { q.Add("iss", w.provider.Origin) }, connect.Malformed},
		"an endless code":               {func(q url.Values, _ *string) { q.Set("code", strings.Repeat("a", 9<<10)) }, connect.Malformed},
		"an endless query":              {func(q url.Values, _ *string) { q.Set("x", strings.Repeat("a", 17<<10)) }, connect.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			y := w.atProvider(t)
			sent := w.provider.requests()
			q, browser := y.answer(), y.browser
			c.change(q, &browser)
			arrived, err := w.Answer(t.Context(), q.Encode(), browser, peer)
			requireKind(t, c.kind, err)
			require.Zero(t, arrived)
			require.Equal(t, sent, w.provider.requests(), "no code was sent")
			arrived, err = w.Answer(t.Context(), y.answer().Encode(), y.browser, peer)
			require.Empty(t, y.ended(t, arrived, err).Problem)
		})
	}
	require.Contains(t, w.refusals(t, workspace), "other_browser")
	w.requireSilent(t)
}

// TestAnswersThatEndTheRun: no code is sent, nothing is stored, and this browser finds
// out why; the very same answer does nothing more.
func TestAnswersThatEndTheRun(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, q url.Values)
		kind   connect.Kind
	}{
		"no iss":               {func(_ *world, q url.Values) { q.Del("iss") }, connect.WrongIssuer},
		"another's iss":        {func(w *world, q url.Values) { q.Set("iss", w.issuer.URL) }, connect.WrongIssuer},
		"nearly its iss":       {func(w *world, q url.Values) { q.Set("iss", w.provider.Origin+"/") }, connect.WrongIssuer},
		"an empty iss":         {func(_ *world, q url.Values) { q.Set("iss", "") }, connect.WrongIssuer},
		"a denial":             {fail("access_denied"), connect.Denied},
		"a denial of another":  {func(w *world, q url.Values) { fail("access_denied")(w, q); q.Set("iss", w.issuer.URL) }, connect.WrongIssuer},
		"a failure":            {fail("server_error"), connect.Unreachable},
		"a wrong scope":        {fail("invalid_scope"), connect.Refused},
		"what nobody knows":    {fail("canary<script>"), connect.Refused},
		"the time is up":       {func(w *world, _ url.Values) { w.ahead = 10*time.Minute + time.Second }, connect.Expired},
		"another revision":     {func(w *world, _ url.Values) { w.apply(t, "refresh_tokens: reusable") }, connect.Changed},
		"it was withdrawn":     {func(w *world, _ url.Values) { w.withdraw(t) }, connect.Changed},
		"no secret any more":   {func(w *world, _ url.Values) { w.removeClient(t) }, connect.NotSetUp},
		"nobody to sign in at": {func(w *world, _ url.Values) { w.Flow = w.with(func(o *connect.Options) { o.SignIns = nil }) }, connect.NotSetUp},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			y := w.atProvider(t)
			q := y.answer()
			c.change(w, q)
			arrived, err := w.Answer(t.Context(), q.Encode(), y.browser, peer)
			if c.kind == connect.Expired {
				requireKind(t, c.kind, err)
			} else {
				require.Equal(t, c.kind, y.ended(t, arrived, err).Problem)
				_, err = w.Answer(t.Context(), q.Encode(), y.browser, peer)
				requireKind(t, connect.Unknown, err)
			}
			require.Zero(t, w.provider.requests())
			require.False(t, w.stored(t))
			require.Empty(t, w.acts(t, "credential.connect"))
			require.Contains(t, w.refusals(t, workspace), string(c.kind))
			w.requireSilent(t)
		})
	}
}

func fail(code string) func(*world, url.Values) {
	return func(_ *world, q url.Values) {
		q.Del("code")
		q.Set("error", code)
		q.Set("error_description", "canary")
	}
}

func (w *world) withdraw(t *testing.T) {
	t.Helper()
	require.NoError(t, w.registry.Withdraw(t.Context(), workspace, "things", 0, w.now()))
}

func (w *world) removeClient(t *testing.T) {
	t.Helper()
	require.NoError(t, w.keeper.Delete(t.Context(), workspace, w.clientID(t)))
}

// TestAnIssuerThatWasNotExpected: where the manifest names none, whoever names one is
// another (RFC 9207, section 2.4).
func TestAnIssuerThatWasNotExpected(t *testing.T) {
	w := newWorld(t)
	w.apply(t, "refresh_tokens: single-use")
	y := w.atProvider(t)
	arrived, err := w.Answer(t.Context(), y.answer().Encode(), y.browser, peer)
	require.Equal(t, connect.WrongIssuer, y.ended(t, arrived, err).Problem)
	require.Zero(t, w.provider.requests())
	y = w.atProvider(t)
	q := y.answer()
	q.Del("iss")
	arrived, err = w.Answer(t.Context(), q.Encode(), y.browser, peer)
	require.Empty(t, y.ended(t, arrived, err).Problem)
}

// TestWhatTheProviderSaysToACode: the code is sent once, whatever comes of it.
func TestWhatTheProviderSaysToACode(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		kind   connect.Kind
	}{
		"it refuses":        {http.StatusBadRequest, `{"error":"invalid_grant","error_description":"canary"}`, connect.Refused},
		"the wrong client":  {http.StatusUnauthorized, `{"error":"invalid_client"}`, connect.Refused},
		"it fails":          {http.StatusInternalServerError, `canary`, connect.Unreachable},
		"it is busy":        {http.StatusServiceUnavailable, ``, connect.Unreachable},
		"no sense":          {http.StatusOK, `canary`, connect.Unreachable},
		"no token":          {http.StatusOK, `{"token_type":"bearer"}`, connect.Unreachable},
		"a redirect":        {http.StatusFound, ``, connect.Unreachable},
		"a token of a kind": {http.StatusOK, `{"access_token":"canary-a","token_type":"DPoP"}`, connect.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.provider.status, w.provider.body = c.status, c.body
			y := w.atProvider(t)
			arrived, err := w.Answer(t.Context(), y.answer().Encode(), y.browser, peer)
			require.Equal(t, c.kind, y.ended(t, arrived, err).Problem)
			require.Equal(t, 1, w.provider.requests())
			require.False(t, w.stored(t))
			require.Equal(t, []string{"ADMIN_INTENT", "ADMIN_OUTCOME FAILED"}, w.acts(t, "credential.connect"))
			w.requireSilent(t)
		})
	}
}

// TestSigningIn: whoever is not the user for whom the link was made comes no further.
func TestSigningIn(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(w *world, claims map[string]any)
		kind connect.Kind
	}{
		"somebody else":           {func(_ *world, c map[string]any) { c["sub"] = "mallory" }, connect.OtherUser},
		"in another case":         {func(_ *world, c map[string]any) { c["sub"] = strings.ToUpper(subject) }, connect.OtherUser},
		"another sign-in's token": {func(_ *world, c map[string]any) { c["nonce"] = "n" }, connect.NotProven},
		"a token without nonce":   {func(_ *world, c map[string]any) { delete(c, "nonce") }, connect.NotProven},
		"another audience":        {func(_ *world, c map[string]any) { c["aud"] = "x" }, connect.NotProven},
		"an old token":            {func(_ *world, c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() }, connect.NotProven},
		"another issuer's":        {func(_ *world, c map[string]any) { c["iss"] = "https://x.example" }, connect.NotProven},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			y := w.offer(t, w.Flow)
			y.begin(t)
			arrived, err := y.signedIn(t, func(claims map[string]any) { c.edit(w, claims) })
			require.Equal(t, c.kind, y.ended(t, arrived, err).Problem)
			require.Zero(t, w.provider.requests())
			require.Equal(t, []string{"ADMIN_INTENT", "ADMIN_OUTCOME FAILED"}, w.acts(t, "credential.sign-in"))
			w.requireSilent(t)
		})
	}
}

// TestSigningInGoesWrong: what the issuer, or somebody in its place, answers.
func TestSigningInGoesWrong(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, q url.Values)
		kind   connect.Kind
		asked  int
	}{
		"a denial":                   {func(w *world, q url.Values) { fail("access_denied")(w, q); q.Del("iss") }, connect.Denied, 0},
		"no login":                   {func(w *world, q url.Values) { fail("login_required")(w, q); q.Del("iss") }, connect.Refused, 0},
		"the provider's iss":         {func(w *world, q url.Values) { q.Set("iss", w.provider.Origin) }, connect.WrongIssuer, 0},
		"no iss, and it sends one":   {func(w *world, _ url.Values) { w.issuer.NamesIssuer = true }, connect.WrongIssuer, 0},
		"it is down":                 {func(w *world, _ url.Values) { w.issuer.Down(true) }, connect.Unreachable, 0},
		"it refuses the code":        {func(w *world, _ url.Values) { w.proof.status, w.proof.body = 400, `{"error":"invalid_grant"}` }, connect.Refused, 1},
		"it fails":                   {func(w *world, _ url.Values) { w.proof.status = 500 }, connect.Unreachable, 1},
		"it gives no ID token":       {func(w *world, _ url.Values) { w.proof.body = tokens(`"x":1`) }, connect.NotProven, 1},
		"it gives no token":          {func(w *world, _ url.Values) { w.proof.body = tokens(`"id_token":"canary"`) }, connect.NotProven, 1},
		"it is not configured here":  {func(w *world, _ url.Values) { w.Flow = w.bearer() }, connect.NotSetUp, 0},
		"nothing is configured here": {func(w *world, _ url.Values) { w.Flow = w.with(func(o *connect.Options) { o.SignIns = nil }) }, connect.NotSetUp, 0},
		"another revision":           {func(w *world, _ url.Values) { w.apply(t, "refresh_tokens: reusable") }, connect.Changed, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			y := w.offer(t, w.Flow)
			y.begin(t)
			q := url.Values{"code": {"canary-code"}, "state": {y.asked.Get("state")}}
			c.change(w, q)
			arrived, err := w.Answer(t.Context(), q.Encode(), y.browser, peer)
			require.Equal(t, c.kind, y.ended(t, arrived, err).Problem)
			require.Equal(t, c.asked, w.proof.requests())
			require.Zero(t, w.provider.requests())
			w.requireSilent(t)
		})
	}
}

// TestNobodyPassesWithoutSigningIn: a run that a development broker let through to the
// provider is not finished by one that has users sign in.
func TestNobodyPassesWithoutSigningIn(t *testing.T) {
	w := newWorld(t)
	y := w.offer(t, w.bearer())
	y.begin(t)
	require.Equal(t, w.provider.Origin+"/authorize", y.at)
	arrived, err := w.Answer(t.Context(), y.answer().Encode(), y.browser, peer)
	y.flow = w.Flow
	require.Equal(t, connect.NotProven, y.ended(t, arrived, err).Problem)
	require.Zero(t, w.provider.requests())
}

// TestWhatIsNotRecordedIsNotDone.
func TestWhatIsNotRecordedIsNotDone(t *testing.T) {
	w := newWorld(t)
	y := w.offer(t, w.Flow)
	y.begin(t)
	w.Flow = w.with(func(o *connect.Options) { o.Trail = deaf{o.Trail} })
	y.flow = w.Flow
	arrived, err := y.signedIn(t, nil)
	require.Equal(t, connect.Later, y.ended(t, arrived, err).Problem)
	require.Zero(t, w.proof.requests())

	w = newWorld(t)
	y = w.atProvider(t)
	w.keeping.Trail = deaf{w.options.Trail}
	w.Flow = w.with(func(o *connect.Options) { o.Credentials = credential.NewKeeper(w.keeping) })
	arrived, err = w.Answer(t.Context(), y.answer().Encode(), y.browser, peer)
	require.Equal(t, connect.Later, y.ended(t, arrived, err).Problem)
	require.Zero(t, w.provider.requests())
	require.False(t, w.stored(t))
}

// TestOutcomesAreForTheirBrowser, and only once there is one.
func TestOutcomesAreForTheirBrowser(t *testing.T) {
	w := newWorld(t)
	y := w.atProvider(t)
	_, err := w.Outcome(t.Context(), y.asked.Get("state"), y.browser)
	requireKind(t, connect.Unknown, err)
	arrived, err := w.Answer(t.Context(), y.answer().Encode(), y.browser, peer)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		done, browser string
		kind          connect.Kind
	}{
		"another browser": {arrived.Done, token(t), connect.OtherBrowser},
		"no browser":      {arrived.Done, "", connect.OtherBrowser},
		"another run":     {token(t), y.browser, connect.Unknown},
		"nothing":         {"", y.browser, connect.Unknown},
	} {
		_, err := w.Outcome(t.Context(), c.done, c.browser)
		requireKind(t, c.kind, err)
		require.NotEmpty(t, name)
	}
	_, err = w.Answer(t.Context(), url.Values{"code": {"x"}, "state": {arrived.Done}, "iss": {w.provider.Origin}}.Encode(), y.browser, peer)
	requireKind(t, connect.Used, err)
	require.Equal(t, 1, w.provider.requests())
}

// TestExpiredRunsAreRemoved after an hour in which they could be called so.
func TestExpiredRunsAreRemoved(t *testing.T) {
	w := newWorld(t)
	y := w.offer(t, w.Flow)
	for _, c := range []struct {
		ahead time.Duration
		kind  connect.Kind
	}{{69 * time.Minute, connect.Expired}, {71 * time.Minute, connect.Unknown}} {
		w.ahead = c.ahead
		require.NoError(t, w.Prune(t.Context()))
		_, err := w.Look(t.Context(), y.link, peer)
		requireKind(t, c.kind, err)
	}
}

// TestEveryKindHasItsWords, all of them different.
func TestEveryKindHasItsWords(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range []connect.Kind{
		connect.Unknown, connect.Used, connect.Expired, connect.OtherBrowser, connect.Forged, connect.Malformed, connect.Denied,
		connect.OtherUser, connect.WrongIssuer, connect.NotProven, connect.Refused, connect.Unreachable, connect.Changed,
		connect.NotSetUp, connect.TooMany, connect.Later, connect.Unshown, connect.Internal,
	} {
		text := k.Text()
		require.NotEmpty(t, text.Title)
		require.NotEmpty(t, text.What)
		require.NotEmpty(t, text.Do)
		require.False(t, seen[text.Title], "%s", k)
		seen[text.Title] = true
	}
}

// FuzzReadAnswer: whatever a browser brings is read or refused, and only what has the
// right form is given on.
func FuzzReadAnswer(f *testing.F) {
	state := strings.Repeat("A", 43)
	for _, q := range []string{
		"", "code=a&state=" + state, "code=a&state=" + state + "&iss=https%3A%2F%2Fp.example", "error=access_denied&state=" + state,
		"code=a&code=b&state=" + state, "code=%00&state=" + state, "code=a;state=" + state, "state=" + state + "&error=x&error_description=%3Cb%3E", "%zz",
	} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		a, err := connect.ReadAnswer(query)
		if err != nil {
			if a.State != "" || a.Error != "" || len(a.Code.Reveal()) > 0 {
				t.Fatal("a refused answer says something")
			}
			return
		}
		if !connect.IsToken(a.State) || (a.Error == "") == (len(a.Code.Reveal()) == 0) {
			t.Fatal("neither an answer nor a refusal")
		}
		for _, c := range a.Code.Reveal() {
			if c < ' ' || c > '~' {
				t.Fatal("a code that no form can hold")
			}
		}
	})
}
