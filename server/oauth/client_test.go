package oauth_test

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/tests/testenv"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// endpoint is a token endpoint that answers with what the test says.
type endpoint struct {
	*testenv.Upstream
	client *oauth.Client
	answer http.HandlerFunc
	form   url.Values
	head   http.Header
}

func newEndpoint(t *testing.T, answer http.HandlerFunc) *endpoint {
	t.Helper()
	e := &endpoint{answer: answer}
	e.Upstream = testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		e.form, e.head = r.PostForm, r.Header
		e.answer(w, r)
	}))
	door := egress.New(egress.Options{})
	t.Cleanup(door.Close)
	e.client = oauth.New(door, func() time.Time { return noon }, rand.Reader)
	return e
}

// at is the section oauth of a manifest, read by the real parser.
func (e *endpoint) at(t *testing.T, client string) *connector.OAuth {
	t.Helper()
	secret := ""
	if client != "{id: \"a b\", auth: none}" {
		secret = "c: {owner: workspace, attach: token-endpoint},"
	}
	provider := testenv.AuthServer{Upstream: e.Upstream}
	c, err := connector.Parse([]byte(e.Manifest("crm", "{"+secret+" main: {owner: user, attach: bearer, oauth: "+
		provider.OAuth("authorization_code", client)+"}}", testenv.Things)))
	require.NoError(t, err)
	return c.Slots["main"].OAuth
}

func (e *endpoint) ask(t *testing.T, o *connector.OAuth, secret string) (oauth.Token, error) {
	t.Helper()
	return e.client.Ask(t.Context(), oauth.Request{
		Workspace: "default", Connector: "crm", OAuth: o, GrantType: "refresh_token",
		Form: map[string]vault.Secret{"refresh_token": vault.NewSecret([]byte("r&=% x"))}, ClientSecret: vault.NewSecret([]byte(secret)),
	})
}

func text(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestAsk(t *testing.T) {
	e := newEndpoint(t, text(200, `{"access_token":"at","token_type":"BEARER","refresh_token":"rt","expires_in":60,"scope":"a","more":{}}`))
	for name, k := range map[string]struct {
		client, secret string
		form           url.Values
		basic          []string
	}{
		"none":  {`{id: "a b", auth: none}`, "", url.Values{"client_id": {"a b"}}, nil},
		"post":  {`{id: "a b", auth: post, secret: c}`, "s:%", url.Values{"client_id": {"a b"}, "client_secret": {"s:%"}}, nil},
		"basic": {`{id: "a b", auth: basic, secret: c}`, "s:% ", url.Values{}, []string{"a+b", "s%3A%25+"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := e.ask(t, e.at(t, k.client), k.secret)
			require.NoError(t, err)
			require.Equal(t, "at", string(got.Access.Reveal()))
			require.Equal(t, "rt", string(got.Refresh.Reveal()))
			require.Equal(t, time.Minute, got.Life)
			require.Equal(t, "a", got.Scope)
			want := k.form
			want["grant_type"], want["refresh_token"] = []string{"refresh_token"}, []string{"r&=% x"}
			require.Equal(t, want, e.form)
			id, secret, ok := (&http.Request{Header: e.head}).BasicAuth()
			require.Equal(t, k.basic != nil, ok)
			if ok {
				require.Equal(t, k.basic, []string{id, secret})
			}
			require.Equal(t, "application/json", e.head.Get("Accept"))
		})
	}
	t.Run("a client without its secret", func(t *testing.T) {
		before := e.Requests()
		_, err := e.ask(t, e.at(t, `{id: "a b", auth: basic, secret: c}`), "")
		require.ErrorContains(t, err, "cannot be proven")
		require.Equal(t, before, e.Requests(), "nothing is sent")
	})
}

func TestAnswers(t *testing.T) {
	date := noon.Add(90 * time.Second).Format(http.TimeFormat)
	for name, k := range map[string]struct {
		answer http.HandlerFunc
		want   oauth.Error
	}{
		"invalid_grant":             {text(400, `{"error":"invalid_grant"}`), oauth.Error{Kind: oauth.Refused, Code: "invalid_grant", Status: 400}},
		"an error with status 200":  {text(200, `{"error":"invalid_grant"}`), oauth.Error{Kind: oauth.Refused, Code: "invalid_grant"}},
		"server_error, status 200":  {text(200, `{"error":"server_error"}`), oauth.Error{Kind: oauth.Unclear}},
		"a busy one, status 200":    {text(200, `{"error":"temporarily_unavailable"}`), oauth.Error{Kind: oauth.Busy, Code: "temporarily_unavailable"}},
		"an unknown code":           {text(400, `{"error":"canary"}`), oauth.Error{Kind: oauth.Refused, Code: "other_error", Status: 400}},
		"server_error":              {text(400, `{"error":"server_error"}`), oauth.Error{Kind: oauth.Unclear, Status: 400}},
		"temporarily_unavailable":   {text(400, `{"error":"temporarily_unavailable"}`), oauth.Error{Kind: oauth.Busy, Code: "temporarily_unavailable", Status: 400}},
		"401 without a word":        {text(401, ""), oauth.Error{Kind: oauth.Refused, Status: 401}},
		"400 without a word":        {text(400, "canary"), oauth.Error{Kind: oauth.Unclear, Status: 400}},
		"429":                       {text(429, "", "Retry-After", "7"), oauth.Error{Kind: oauth.Busy, Status: 429, RetryAfter: 7 * time.Second}},
		"503 with a date":           {text(503, "", "Retry-After", date), oauth.Error{Kind: oauth.Busy, Status: 503, RetryAfter: 90 * time.Second}},
		"503 with a date gone by":   {text(503, "", "Retry-After", noon.Add(-time.Hour).Format(http.TimeFormat)), oauth.Error{Kind: oauth.Busy, Status: 503}},
		"503 for ever":              {text(503, "", "Retry-After", "99999999999"), oauth.Error{Kind: oauth.Busy, Status: 503, RetryAfter: time.Hour}},
		"503 with nonsense":         {text(503, "", "Retry-After", "-canary"), oauth.Error{Kind: oauth.Busy, Status: 503}},
		"500 that names an error":   {text(500, `{"error":"invalid_grant"}`), oauth.Error{Kind: oauth.Unclear, Status: 500}},
		"a redirect":                {text(302, "", "Location", "/canary"), oauth.Error{Kind: oauth.Unclear, Status: 302}},
		"no JSON":                   {text(200, "canary"), oauth.Error{Kind: oauth.Unclear}},
		"no token":                  {text(200, `{}`), oauth.Error{Kind: oauth.Unclear}},
		"a token that cannot stand": {text(200, `{"access_token":"a b"}`), oauth.Error{Kind: oauth.Unclear}},
		"a refresh token like that": {text(200, `{"access_token":"a","refresh_token":"canary\n"}`), oauth.Error{Kind: oauth.Unclear}},
		"another type":              {text(200, `{"access_token":"a","token_type":"DPoP"}`), oauth.Error{Kind: oauth.Unclear}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, k.answer)
			_, err := e.ask(t, e.at(t, `{id: "a b", auth: none}`), "")
			var got *oauth.Error
			require.ErrorAs(t, err, &got)
			require.NotContains(t, err.Error(), "canary")
			require.Equal(t, k.want, oauth.Error{Kind: got.Kind, Code: got.Code, Status: got.Status, RetryAfter: got.RetryAfter})
			require.Equal(t, 1, e.Requests(), "it is sent once, whatever comes")
		})
	}
}

func TestLife(t *testing.T) {
	for name, k := range map[string]struct {
		text string
		want time.Duration
	}{
		"a number": {"60", time.Minute}, "in quotes": {`"60"`, time.Minute}, "a fraction": {"1.5", 1500 * time.Millisecond},
		"none": {"null", 0}, "negative": {"-1", 0}, "words": {`"soon"`, 0}, "an object": {"{}", 0}, "for ever": {"1e18", 10 * 365 * 24 * time.Hour}, "not a number": {`"NaN"`, 0},
		"long": {"9999999999", 10 * 365 * 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, text(200, `{"access_token":"at","expires_in":`+k.text+`}`))
			got, err := e.ask(t, e.at(t, `{id: "a b", auth: none}`), "")
			require.NoError(t, err, "a token that is there is kept")
			require.Equal(t, k.want, got.Life)
		})
	}
}

func TestLostOnTheWay(t *testing.T) {
	e := newEndpoint(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	o := e.at(t, `{id: "a b", auth: none}`)
	_, err := e.ask(t, o, "")
	var got *oauth.Error
	require.ErrorAs(t, err, &got)
	require.Equal(t, oauth.Unclear, got.Kind)
	away := *o
	away.TokenEndpoint, err = egress.ParseLocation("https://localhost:1/token")
	require.NoError(t, err)
	_, err = e.ask(t, &away, "")
	require.ErrorAs(t, err, &got)
	require.Equal(t, oauth.NotSent, got.Kind)
}
