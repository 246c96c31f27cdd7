package e2e_test

import (
	"net/http"
	"testing"

	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// A JWT-SVID is taken on its own listener alone, for this broker as its only audience.
func TestJWTSVID(t *testing.T) {
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	site := testenv.NewSite(t, "", 0)
	b := site.Start(t, func(c *config.Config) {
		c.Listeners.RESTJWT = config.JWTListener{Listener: config.Listener{Address: "127.0.0.1:0"}, Audience: "onedoor"}
	})
	b.Apply(t, upstream.Manifest("things", "", testenv.Things))
	task := b.Mint(t, nil, "things: things.get READ thing:*")
	svid := func(as testenv.Role, audience string, more ...string) string {
		made, err := workloadapi.FetchJWTSVID(t.Context(), jwtsvid.Params{Audience: audience, ExtraAudiences: more}, workloadapi.WithAddr(b.Socket(as)))
		require.NoError(t, err)
		return made.Marshal()
	}
	const header = "X-Onedoor-Jwt-Svid"
	good := svid(testenv.Sandbox, "onedoor")
	for _, one := range []struct {
		name   string
		url    string
		header []string
		status int
		reason string
	}{
		{"the right audience", b.JWTURL, []string{header, good}, 200, ""},
		{"none", b.JWTURL, nil, 401, "SVID_MISSING"},
		{"another audience", b.JWTURL, []string{header, svid(testenv.Sandbox, "elsewhere")}, 401, "SVID_INVALID"},
		{"a second audience", b.JWTURL, []string{header, svid(testenv.Sandbox, "onedoor", "elsewhere")}, 401, "SVID_INVALID"},
		{"another sandbox's", b.JWTURL, []string{header, svid(testenv.Sandbox2, "onedoor")}, 401, "TASK_KEY_INVALID"},
		{"broken", b.JWTURL, []string{header, good + "x"}, 401, "SVID_INVALID"},
		{"twice", b.JWTURL, []string{header, good, header, good}, 400, "ARGUMENT_INVALID"},
	} {
		t.Run(one.name, func(t *testing.T) {
			answer := b.RESTWith(t, b.Anonymous(t), one.url, task.Key).Do(t, http.MethodPost, "/v1/invoke",
				`{"connector":"things","tool":"things.get","arguments":{"id":"1"}}`, one.header...)
			require.Equal(t, one.status, answer.Status, answer.Body)
			if one.reason != "" {
				require.Equal(t, one.reason, answer.Reason(t))
			}
		})
	}
	t.Run("the listener with client certificates ignores the header", func(t *testing.T) {
		answer := b.REST(t, testenv.Sandbox2, task.Key).Do(t, http.MethodGet, "/v1/tools", "", header, good)
		require.Equal(t, "TASK_KEY_INVALID", answer.Reason(t), "the certificate alone says who calls")
		same := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodGet, "/v1/tools", "", header, svid(testenv.Sandbox2, "onedoor"))
		require.Equal(t, http.StatusOK, same.Status)
	})
	for _, e := range b.Events(t, task.ID) {
		if e.GetKind() == "INTENT" {
			require.Equal(t, "jwt-svid", e.GetAuthMethod())
		}
	}
}
