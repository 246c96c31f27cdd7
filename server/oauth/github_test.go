package oauth_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/tests/testenv"
)

// github is a server that gives one answer and keeps what it was asked.
type github struct {
	*testenv.Upstream
	status int
	header map[string]string
	answer string

	path, authorization, body, accept, version string
}

func newGitHub(t *testing.T) *github {
	t.Helper()
	g := &github{status: http.StatusCreated}
	g.Upstream = testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := new(strings.Builder)
		_, _ = io.Copy(text, r.Body)
		g.path, g.authorization, g.body = r.Method+" "+r.RequestURI, r.Header.Get("Authorization"), text.String()
		g.accept, g.version = r.Header.Get("Accept"), r.Header.Get("X-GitHub-Api-Version")
		for name, value := range g.header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(g.status)
		_, _ = w.Write([]byte(g.answer))
	}))
	return g
}

// token is an answer as GitHub gives it.
func token(expires time.Time, more string) string {
	when, _ := expires.UTC().Truncate(time.Second).MarshalText()
	return `{"token":"ghs_canary","expires_at":"` + string(when) + `","permissions":{"contents":"read","metadata":"read"}` + more + `}`
}

// install asks for repositories in the manner of the manifest.
func (g *github) install(t *testing.T, path string, repositories ...string) (oauth.Token, error) {
	t.Helper()
	slot := slotOf(t, g.Upstream, `github_app: {client_id: Iv23abc, installation_id: 42, api: "{{at}}`+path+`", permissions: {contents: read, issues: write}, repository: repo, {{tls}}}`)
	return newClient(t, time.Now).Install(t.Context(), oauth.Installation{
		Workspace: "default", Connector: "things", App: slot.GitHubApp, Signed: slot.Signs[0],
		Key: vault.NewSecret([]byte(pkcs1(theKeys().rsa))), Repositories: repositories,
	})
}

func TestInstall(t *testing.T) {
	tests := map[string]struct {
		path         string
		repositories []string
		answer       string
		want         any // of repositories in the request
	}{
		"one by its name":           {"", []string{"door"}, `,"repository_selection":"selected","repositories":[{"name":"Door","full_name":"one/Door"}]`, []any{"door"}},
		"one with its owner":        {"", []string{"one/door"}, `,"repositories":[{"name":"door","full_name":"One/Door"}]`, []any{"door"}},
		"several, one in two forms": {"/api/v3", []string{"window", "one/door", "door"}, `,"repositories":[{"name":"door","full_name":"one/door"},{"name":"window","full_name":"one/window"}]`, []any{"door", "window"}},
		"all":                       {"", nil, `,"repository_selection":"all"`, nil},
		"an answer that says less":  {"", []string{"door"}, "", []any{"door"}},
	}
	for name, k := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGitHub(t)
			g.answer = token(time.Now().Add(30*time.Minute), k.answer)
			got, err := g.install(t, k.path, k.repositories...)
			require.NoError(t, err)
			require.Equal(t, "ghs_canary", string(got.Access.Reveal()))
			require.InDelta(t, 30*time.Minute, got.Life, float64(10*time.Second))

			require.Equal(t, "POST "+k.path+"/app/installations/42/access_tokens", g.path)
			require.Equal(t, "application/vnd.github+json", g.accept)
			require.Equal(t, "2022-11-28", g.version)
			_, claims := verified(t, strings.TrimPrefix(g.authorization, "Bearer "), "RS256", theKeys().rsa.Public(), time.Now())
			require.Equal(t, "Iv23abc", claims["iss"])
			require.NotContains(t, claims, "sub")
			require.LessOrEqual(t, claims["exp"].(float64)-claims["iat"].(float64), float64(600))
			require.Less(t, int64(claims["iat"].(float64)), time.Now().Unix()-29)

			var body map[string]any
			require.NoError(t, json.Unmarshal([]byte(g.body), &body))
			require.Equal(t, map[string]any{"contents": "read", "issues": "write"}, body["permissions"])
			require.Equal(t, k.want, body["repositories"])
		})
	}
	t.Run("a token that is said to live for days is not kept for so long", func(t *testing.T) {
		g := newGitHub(t)
		g.answer = token(time.Now().Add(48*time.Hour), "")
		got, err := g.install(t, "")
		require.NoError(t, err)
		require.Equal(t, time.Hour, got.Life)
	})
}

func TestInstallFails(t *testing.T) {
	good := token(time.Now().Add(time.Hour), "")
	tests := map[string]struct {
		status int
		header map[string]string
		answer string
		kind   oauth.Kind
		after  time.Duration
	}{
		"not the app's key":              {401, nil, `{"message":"canary"}`, oauth.Refused, 0},
		"suspended":                      {403, nil, `{"message":"canary"}`, oauth.Refused, 0},
		"no such installation":           {404, nil, `{"message":"canary"}`, oauth.Refused, 0},
		"not its repository":             {422, nil, `{"message":"canary"}`, oauth.Refused, 0},
		"too often":                      {403, map[string]string{"X-RateLimit-Remaining": "0"}, `{"message":"canary"}`, oauth.Busy, 0},
		"too often at once":              {403, map[string]string{"Retry-After": "7"}, `{"message":"canary"}`, oauth.Busy, 7 * time.Second},
		"too many":                       {429, map[string]string{"Retry-After": "9"}, "canary", oauth.Busy, 9 * time.Second},
		"down":                           {503, nil, "canary", oauth.Busy, 0},
		"broken":                         {500, nil, "canary", oauth.Unclear, 0},
		"moved":                          {302, map[string]string{"Location": "https://evil.example/canary"}, "", oauth.Unclear, 0},
		"another status":                 {200, nil, good, oauth.Unclear, 0},
		"no JSON":                        {201, nil, "canary", oauth.Unclear, 0},
		"no token":                       {201, nil, `{"expires_at":"2099-01-01T00:00:00Z"}`, oauth.Unclear, 0},
		"a token that cannot be sent":    {201, nil, strings.Replace(good, "ghs_canary", `ghs_\r\ncanary`, 1), oauth.Unclear, 0},
		"no end":                         {201, nil, `{"token":"ghs_canary"}`, oauth.Unclear, 0},
		"ended":                          {201, nil, token(time.Now().Add(-time.Second), ""), oauth.Unclear, 0},
		"an end that is no time":         {201, nil, `{"token":"ghs_canary","expires_at":"canary"}`, oauth.Unclear, 0},
		"too long":                       {201, nil, `{"x":"` + strings.Repeat("canary", 200_000) + `"}`, oauth.Unclear, 0},
		"for nobody knows what":          {201, nil, good, oauth.Refused, 0},
		"for all repositories":           {201, nil, token(time.Now().Add(time.Hour), `,"repository_selection":"all"`), oauth.Refused, 0},
		"for another repository":         {201, nil, token(time.Now().Add(time.Hour), `,"repositories":[{"name":"canary","full_name":"one/canary"}]`), oauth.Refused, 0},
		"for another's of the same name": {201, nil, token(time.Now().Add(time.Hour), `,"repositories":[{"name":"door","full_name":"canary/door"}]`), oauth.Refused, 0},
	}
	for name, k := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGitHub(t)
			g.status, g.header, g.answer = k.status, k.header, k.answer
			got, err := g.install(t, "", "one/door")
			var e *oauth.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, k.kind, e.Kind)
			require.Equal(t, k.after, e.RetryAfter)
			require.Empty(t, got.Access.Reveal())
			require.NotContains(t, err.Error(), "canary")
			require.NotContains(t, err.Error(), "evil")
		})
	}
	for name, more := range map[string]string{
		"a bare name, for all repositories":     `,"repository_selection":"all"`,
		"a bare name, for another repository":   `,"repositories":[{"name":"door","full_name":"one/door"},{"name":"canary","full_name":"one/canary"}]`,
		"a bare name, for one that contains it": `,"repositories":[{"name":"doors","full_name":"one/doors"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			g := newGitHub(t)
			g.answer = token(time.Now().Add(time.Hour), more)
			_, err := g.install(t, "", "door")
			require.ErrorContains(t, err, "thrown away")
			require.NotContains(t, err.Error(), "canary")
		})
	}
	t.Run("a key of nobody's", func(t *testing.T) {
		g := newGitHub(t)
		slot := slotOf(t, g.Upstream, `github_app: {app_id: 1, installation_id: 42, api: "{{at}}", permissions: {contents: read}, repository: repo, {{tls}}}`)
		_, err := newClient(t, time.Now).Install(t.Context(), oauth.Installation{App: slot.GitHubApp, Signed: slot.Signs[0], Key: vault.NewSecret([]byte("canary"))})
		require.ErrorContains(t, err, "want one PEM block")
		require.NotContains(t, err.Error(), "canary")
		require.Zero(t, g.Requests())
	})
	t.Run("an address out of reach", func(t *testing.T) {
		g := newGitHub(t)
		slot := slotOf(t, g.Upstream, `github_app: {app_id: 1, installation_id: 42, api: "{{at}}", permissions: {contents: read}, repository: repo}`)
		_, err := newClient(t, time.Now).Install(t.Context(), oauth.Installation{
			App: slot.GitHubApp, Signed: connector.Signed{Algorithm: "RS256"}, Key: vault.NewSecret([]byte(pkcs1(theKeys().rsa))),
		})
		var e *oauth.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, oauth.NotSent, e.Kind)
		require.Zero(t, g.Requests())
	})
}
