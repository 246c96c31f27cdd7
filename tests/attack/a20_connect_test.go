package attack_test

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

const (
	clientCanary = "canary-client-6fb09a"
	codeCanary   = "canary-code-01d7e5"
)

// tokenEndpoint is a provider's: it keeps what it is sent, and demands what PKCE does.
type tokenEndpoint struct {
	*testenv.Upstream
	mu        sync.Mutex
	forms     []url.Values
	challenge string
}

func newTokenEndpoint(t *testing.T) *tokenEndpoint {
	t.Helper()
	e := &tokenEndpoint{}
	e.Upstream = testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		_ = r.ParseForm()
		e.forms = append(e.forms, r.PostForm)
		sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
		if base64.RawURLEncoding.EncodeToString(sum[:]) != e.challenge {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
			return
		}
		_, _ = w.Write([]byte(`{"access_token":"` + canary + `","token_type":"Bearer","expires_in":3600,"refresh_token":"` + canary + `r"}`))
	}))
	return e
}

func (e *tokenEndpoint) expect(challenge string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.challenge = challenge
}

func (e *tokenEndpoint) sent() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.forms)
}

// surfer is a browser over the wire: cookies, no redirects by itself.
type surfer struct {
	*http.Client
	base string
}

func newSurfer(t *testing.T, b *testenv.Broker, base string) *surfer {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	c := testenv.HTTPS(t, b.Anonymous(t))
	c.Jar = jar
	return &surfer{c, base}
}

func (s *surfer) get(t *testing.T, address string) testenv.Answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	return testenv.Fetch(t, s.Client, r)
}

// press is the POST of our page's button; header holds names and values in turn, an empty
// value takes a header away.
func (s *surfer) press(t *testing.T, link, page string, header ...string) testenv.Answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, link, strings.NewReader(url.Values{"page": {page}}.Encode()))
	require.NoError(t, err)
	r.Header.Set("Origin", s.base)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Del(header[i])
		if header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	return testenv.Fetch(t, s.Client, r)
}

var pageToken = regexp.MustCompile(`name="page" value="([A-Za-z0-9_-]{43})"`)

// opened opens a link and gives the page's token.
func (s *surfer) opened(t *testing.T, link string) string {
	t.Helper()
	answer := s.get(t, link)
	require.Equal(t, http.StatusOK, answer.Status, answer.Body)
	found := pageToken.FindStringSubmatch(answer.Body)
	require.Len(t, found, 2)
	return found[1]
}

// begun goes on by a link, and gives what is asked of the provider.
func (s *surfer) begun(t *testing.T, link string) url.Values {
	t.Helper()
	answer := s.press(t, link, s.opened(t, link))
	require.Equal(t, http.StatusOK, answer.Status, answer.Body)
	to, ok := strings.CutPrefix(answer.Header.Get("Refresh"), "0;url=")
	require.True(t, ok)
	u, err := url.Parse(to)
	require.NoError(t, err)
	return u.Query()
}

func (s *surfer) back(t *testing.T, q url.Values) testenv.Answer {
	t.Helper()
	return s.get(t, s.base+testenv.Callback+"?"+q.Encode())
}

// connecting is a broker with two connectors, each of a provider of its own: one sends
// iss, the other does not.
func connecting(t *testing.T) (b *testenv.Broker, base string, named, plain *tokenEndpoint) {
	t.Helper()
	base = testenv.ConnectURL(t)
	named, plain = newTokenEndpoint(t), newTokenEndpoint(t)
	b = testenv.NewSite(t, "", 0).Start(t, testenv.Connecting(base))
	for name, e := range map[string]*tokenEndpoint{"named": named, "plain": plain} {
		more := []string{"scopes: [a]"}
		if name == "named" {
			more = append(more, "issuer: "+e.Origin)
		}
		b.Apply(t, e.Manifest(name, testenv.OAuthSlots(e.Origin+"/authorize", e.Origin+"/token", e.CA, more...), testenv.Things))
		b.PutClient(t, name, clientCanary)
	}
	return b, base, named, plain
}

func answerOf(e *tokenEndpoint, asked url.Values) url.Values {
	e.expect(asked.Get("code_challenge"))
	return url.Values{"code": {codeCanary}, "state": {asked.Get("state")}, "iss": {e.Origin}}
}

// requireConnected says which users have an account at a connector.
func requireConnected(t *testing.T, b *testenv.Broker, connector string, users ...string) {
	t.Helper()
	list, err := b.Client(t, testenv.Operator, "").Credentials().List(t.Context(), &onedoorv1.CredentialsListRequest{Connector: connector})
	require.NoError(t, err)
	var have []string
	for _, c := range list.GetCredentials() {
		if c.GetUserSubject() != "" {
			have = append(have, c.GetUserSubject())
		}
	}
	require.ElementsMatch(t, users, have)
}

// Nobody can have a victim's account connected as their own, nor their own as the
// victim's: what a browser brings must belong to a run that this browser began.
func TestAttack20_ForcedLinking(t *testing.T) {
	b, base, named, _ := connecting(t)
	mallory, alice := newSurfer(t, b, base), newSurfer(t, b, base)

	t.Run("the attacker's code in the victim's browser", func(t *testing.T) {
		asked := mallory.begun(t, b.Connect(t, "named", "alice"))
		q := answerOf(named, asked)
		answer := alice.back(t, q)
		require.Equal(t, http.StatusForbidden, answer.Status)
		require.Contains(t, answer.Body, "not the browser in which you began")
		absent(t, "the page", answer.Body, codeCanary, asked.Get("state"))
	})
	t.Run("with a run of the victim's own under way", func(t *testing.T) {
		q := answerOf(named, mallory.begun(t, b.Connect(t, "named", "mallory")))
		alice.begun(t, b.Connect(t, "named", "alice"))
		require.Equal(t, http.StatusForbidden, alice.back(t, q).Status)
	})
	t.Run("the victim's browser is made to press the attacker's button", func(t *testing.T) {
		link := b.Connect(t, "named", "mallory")
		stolen := mallory.opened(t, link) // the attacker can see the page and its token
		own := alice.opened(t, link)
		for name, c := range map[string]struct {
			page   string
			header []string
		}{
			"the attacker's token":       {stolen, nil},
			"no token":                   {"", nil},
			"from another page":          {own, []string{"Origin", "https://evil.example"}},
			"from a page that hides":     {own, []string{"Origin", "null"}},
			"without Origin":             {own, []string{"Origin", ""}},
			"from a neighbour":           {own, []string{"Sec-Fetch-Site", "same-site"}},
			"from another site":          {own, []string{"Sec-Fetch-Site", "cross-site"}},
			"as text":                    {own, []string{"Content-Type", "text/plain"}},
			"from the clear-text origin": {own, []string{"Origin", strings.Replace(base, "https", "http", 1)}},
		} {
			answer := alice.press(t, link, c.page, c.header...)
			require.Equal(t, http.StatusForbidden, answer.Status, name)
			require.Empty(t, answer.Header.Get("Refresh"), name)
		}
		require.Equal(t, http.StatusOK, alice.press(t, link, own).Status, "and her own press works")
	})
	require.Zero(t, named.sent())
	requireConnected(t, b, "named")
	requireQuiet(t, b)
}

// A code goes to the provider that was asked, and to no other.
func TestAttack20_MixUp(t *testing.T) {
	b, base, named, plain := connecting(t)
	alice := newSurfer(t, b, base)
	for name, c := range map[string]struct {
		connector string
		iss       func(q url.Values)
	}{
		"the other provider answers":              {"named", func(q url.Values) { q.Set("iss", plain.Origin) }},
		"it says not who it is":                   {"named", func(q url.Values) { q.Del("iss") }},
		"it says it twice":                        {"named", func(q url.Values) { q.Add("iss", named.Origin) }},
		"an honest provider's code at a bad one":  {"plain", func(q url.Values) { q.Set("iss", named.Origin) }},
		"the bad one names itself, unannounced":   {"plain", func(q url.Values) { q.Set("iss", plain.Origin) }},
		"a denial that is another's is no denial": {"named", func(q url.Values) { q.Del("code"); q.Set("error", "access_denied"); q.Set("iss", plain.Origin) }},
	} {
		t.Run(name, func(t *testing.T) {
			asked := alice.begun(t, b.Connect(t, c.connector, "alice"))
			q := url.Values{"code": {codeCanary}, "state": {asked.Get("state")}, "iss": {named.Origin}}
			c.iss(q)
			answer := alice.back(t, q)
			if answer.Status == http.StatusSeeOther {
				answer = alice.get(t, base+answer.Header.Get("Location"))
				require.Contains(t, answer.Body, "The answer came from somebody else")
			}
			require.GreaterOrEqual(t, answer.Status, 400)
			require.Zero(t, named.sent()+plain.sent())
		})
	}
	requireConnected(t, b, "named")
	requireConnected(t, b, "plain")
}

// PKCE cannot be taken out: whatever a code was got with, the exchange proves who asked.
func TestAttack20_PKCE(t *testing.T) {
	b, base, named, _ := connecting(t)
	alice := newSurfer(t, b, base)
	asked := alice.begun(t, b.Connect(t, "named", "alice"))
	require.Equal(t, "S256", asked.Get("code_challenge_method"))
	require.Len(t, asked.Get("code_challenge"), 43)
	// The attacker's own code, which was asked for with another challenge, or with none.
	q := answerOf(named, asked)
	named.expect("")
	answer := alice.back(t, q)
	require.Equal(t, http.StatusSeeOther, answer.Status)
	require.Equal(t, http.StatusBadGateway, alice.get(t, base+answer.Header.Get("Location")).Status)
	require.Equal(t, 1, named.sent())
	require.Len(t, named.forms[0].Get("code_verifier"), 43)
	requireConnected(t, b, "named")

	// Parameters of the callback change nothing of what is sent.
	asked = alice.begun(t, b.Connect(t, "named", "alice"))
	q = answerOf(named, asked)
	for _, name := range []string{"code_verifier", "redirect_uri", "client_id", "grant_type", "code_challenge"} {
		q.Set(name, "evil")
	}
	require.Equal(t, http.StatusSeeOther, alice.back(t, q).Status)
	require.Equal(t, []string{"authorization_code", base + testenv.Callback, codeCanary},
		[]string{named.forms[1].Get("grant_type"), named.forms[1].Get("redirect_uri"), named.forms[1].Get("code")})
	requireConnected(t, b, "named", "alice")
	requireQuiet(t, b)
}

// What was used once is used up; and no request leads the browser where its sender wants.
func TestAttack20_ReplayAndRedirect(t *testing.T) {
	b, base, named, _ := connecting(t)
	alice := newSurfer(t, b, base)
	link := b.Connect(t, "named", "alice")
	page := alice.opened(t, link)
	for _, more := range []string{"?next=https://evil.example", "?redirect_uri=https://evil.example&return_to=//evil.example"} {
		answer := alice.get(t, link+more)
		require.Equal(t, http.StatusOK, answer.Status)
		require.NotContains(t, answer.Body, "evil.example")
	}
	answer := alice.press(t, link+"?redirect_uri=https://evil.example", page)
	require.Equal(t, http.StatusOK, answer.Status)
	require.NotContains(t, answer.Body+answer.Header.Get("Refresh"), "evil.example")
	require.True(t, strings.HasPrefix(answer.Header.Get("Refresh"), "0;url="+named.Origin+"/authorize?"))
	require.Equal(t, http.StatusGone, alice.press(t, link, page).Status, "the link")

	u, err := url.Parse(strings.TrimPrefix(answer.Header.Get("Refresh"), "0;url="))
	require.NoError(t, err)
	q := answerOf(named, u.Query())
	head, err := http.NewRequestWithContext(t.Context(), http.MethodHead, base+testenv.Callback+"?"+q.Encode(), nil)
	require.NoError(t, err)
	testenv.Fetch(t, alice.Client, head)
	require.Zero(t, named.sent(), "a HEAD uses nothing up")
	q.Set("return_to", "https://evil.example")
	answer = alice.back(t, q)
	require.Equal(t, http.StatusSeeOther, answer.Status)
	require.Regexp(t, `^/connect/done/[A-Za-z0-9_-]{43}$`, answer.Header.Get("Location"))
	require.Equal(t, "no-referrer", answer.Header.Get("Referrer-Policy"))
	for range 3 {
		require.Equal(t, http.StatusNotFound, alice.back(t, q).Status)
	}
	require.Equal(t, 1, named.sent())
	done := base + answer.Header.Get("Location")
	require.Equal(t, http.StatusOK, alice.get(t, done).Status)
	require.Equal(t, http.StatusForbidden, newSurfer(t, b, base).get(t, done).Status)
	requireQuiet(t, b)
}

// Whoever guesses links is slowed down, and learns nothing.
func TestAttack20_Guessing(t *testing.T) {
	b, base, _, _ := connecting(t)
	link := b.Connect(t, "named", "alice")
	mallory := newSurfer(t, b, base)
	statuses := map[int]int{}
	for i := range 200 {
		guess := base + "/connect/" + strings.Repeat(string(rune('A'+i%26)), 42) + "A"
		if i%2 == 0 {
			guess = base + testenv.Callback + "?code=x&state=" + strings.Repeat(string(rune('a'+i%26)), 42) + "A"
		}
		statuses[mallory.get(t, guess).Status]++
	}
	require.Greater(t, statuses[http.StatusTooManyRequests], 50)
	require.Equal(t, 200, statuses[http.StatusTooManyRequests]+statuses[http.StatusNotFound], "%v", statuses)
	require.Equal(t, http.StatusTooManyRequests, mallory.get(t, link).Status, "a right one is not told apart meanwhile")
	var refused int
	for _, e := range b.ListEvents(t, &onedoorv1.AuditListRequest{}) {
		if e.GetKind() == "REFUSAL" {
			refused++
		}
	}
	require.LessOrEqual(t, refused, 20, "strangers do not fill the trail")
}

// Every page forbids to be framed, kept, or to tell others its address.
func TestAttack20_Headers(t *testing.T) {
	b, base, named, _ := connecting(t)
	alice := newSurfer(t, b, base)
	link := b.Connect(t, "named", "alice")
	offer := alice.get(t, link)
	cookie := offer.Header.Get("Set-Cookie")
	require.Regexp(t, `^__Host-onedoor-connect=[A-Za-z0-9_-]{43}; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax$`, cookie)
	onward := alice.press(t, link, alice.opened(t, link))
	for name, answer := range map[string]testenv.Answer{
		"offer": offer, "onward": onward, "used": alice.get(t, link), "unknown": alice.get(t, base+"/connect/x"),
		"malformed": alice.get(t, base+testenv.Callback+"?code=<script>alert(1)</script>&state=\"><script>"),
		"forged":    alice.press(t, b.Connect(t, "named", "bob"), "x"),
	} {
		h := answer.Header
		policy := h.Get("Content-Security-Policy")
		require.True(t, strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-"), "%s: %s", name, policy)
		require.NotContains(t, policy, "unsafe")
		for _, part := range []string{"form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			require.Contains(t, policy, part, name)
		}
		require.Equal(t, []string{"no-store", "nosniff", "DENY"}, []string{h.Get("Cache-Control"), h.Get("X-Content-Type-Options"), h.Get("X-Frame-Options")}, name)
		want := "no-referrer"
		if name == "offer" {
			want = "same-origin" // else the button's Origin would be null
		}
		require.Equal(t, want, h.Get("Referrer-Policy"), name)
		require.Equal(t, "text/html; charset=utf-8", h.Get("Content-Type"), name)
		require.NotContains(t, answer.Body, "<script", name)
	}
	require.Zero(t, named.sent())
}

// requireQuiet: nothing that a browser or a provider brought stands in the log, the trail
// or the ops pages.
func requireQuiet(t *testing.T, b *testenv.Broker) {
	t.Helper()
	var trail strings.Builder
	for _, e := range b.ListEvents(t, &onedoorv1.AuditListRequest{}) {
		trail.WriteString(e.String())
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.OpsURL+"/metrics", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	metrics, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	for where, text := range map[string]string{"the log": b.Log(), "the trail": trail.String(), "the metrics": string(metrics)} {
		absent(t, where, text, canary, clientCanary, codeCanary)
	}
}
