package attack_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// redirects are the statuses that say that the answer is elsewhere, or might be.
var redirects = []int{201, 300, 301, 302, 303, 304, 305, 306, 307, 308, 401, 421, 511}

// A redirect is an answer like any other: its status comes back, where it leads does
// not, and nobody follows it. The credential is in a header of its own kind, which Go's
// own client would carry to other hosts.
func TestAttack12_Redirect(t *testing.T) {
	elsewhere := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/again", http.StatusFound) // a to b to b
	}))
	var upstream *testenv.Upstream
	places := map[string]string{}
	upstream = testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, place, _ := strings.Cut(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:], ".")
		status, _ := strconv.Atoi(code)
		leads := places[place] + "?" + r.Header.Get("X-Api-Key")
		for _, name := range []string{"Location", "Content-Location", "Uri", "X-Accel-Redirect"} {
			w.Header().Set(name, leads)
		}
		w.Header().Set("Refresh", "0; url="+leads)
		w.Header().Set("Link", "<"+leads+">; rel=canonical")
		w.WriteHeader(status)
	}))
	places["other"] = elsewhere.Origin + "/stolen"
	places["same"] = upstream.Origin + "/stolen"
	places["relative"] = "/stolen"
	places["clear"] = strings.Replace(upstream.Origin, "https:", "http:", 1) + "/stolen"
	places["metadata"] = "http://169.254.169.254/stolen"
	places["login"] = strings.Replace(elsewhere.Origin, "https://", "https://user:stolen@", 1) + "/stolen"
	places["broken"] = "://stolen"

	b := testenv.NewSite(t, "", 0).Start(t)
	tools := strings.Replace(testenv.Things, "[X-Kind]", "[X-Kind, Refresh, Content-Location, Link, Uri]", 1)
	post := strings.Replace(strings.Replace(tools[:strings.Index(tools, "  - name: things.find")], "things.get", "things.post", 1), "method: GET", "method: POST", 1)
	b.Apply(t, upstream.Manifest("things", "{main: {owner: user, attach: {header: X-Api-Key}}}", tools+post))
	b.Put(t, "things", "alice", canary)
	task := b.Mint(t, nil, readThings, "things: things.post READ thing:*")
	rest := b.REST(t, testenv.Sandbox, task.Key)
	for _, status := range redirects {
		for place := range places {
			for _, tool := range []string{"things.get", "things.post"} {
				before := upstream.Requests()
				answer := rest.Do(t, http.MethodPost, "/v1/invoke", invoke(tool, fmt.Sprintf(`{"id":"%d.%s"}`, status, place)))
				name := fmt.Sprintf("%s %d to %s: %s", tool, status, place, answer.Body)
				require.Equal(t, http.StatusOK, answer.Status, name)
				require.Contains(t, answer.Body, fmt.Sprintf(`"status":%d`, status), name)
				for _, header := range []string{"location", "refresh"} {
					require.NotContains(t, strings.ToLower(answer.Body), header, name)
				}
				require.Empty(t, answer.Header.Get("Location"), name)
				absent(t, "the answer", answer.Body, canary)
				require.Equal(t, before+1, upstream.Requests(), "it was not followed: %s", name)
			}
		}
	}
	require.Zero(t, elsewhere.Requests())
	require.NotContains(t, upstream.Wire(), "stolen")
	for _, header := range []string{"Location", "LOCATION", "Set-Cookie"} {
		require.Error(t, applied(t, b, upstream.Manifest("more", bearer, strings.Replace(testenv.Things, "[X-Kind]", "["+header+"]", 1))), header)
	}
}

// applied says what becomes of a manifest.
func applied(t *testing.T, b *testenv.Broker, manifest string) error {
	t.Helper()
	_, err := b.Client(t, testenv.Operator, "").Connectors().Apply(t.Context(), &onedoorv1.ConnectorsApplyRequest{Manifest: manifest})
	return err
}

// A token endpoint that answers with a redirect gets no second request, and the place to
// which it leads none at all: 307 and 308 would carry the refresh token there.
func TestAttack12_TokenEndpoint(t *testing.T) {
	elsewhere := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	provider := testenv.NewAuthServer(t, time.Minute)
	b, upstream := accounts(t, provider, func(http.ResponseWriter, *http.Request) {})
	task := b.Mint(t, nil, readThings)
	sandbox := b.Client(t, testenv.Sandbox, task.Key)
	for _, status := range []int{301, 302, 303, 307, 308} {
		for place, where := range map[string]string{"elsewhere": elsewhere.Origin, "here": provider.Origin} {
			provider.Behave(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
				w.Header().Set("Location", where+"/token")
				w.WriteHeader(status)
			})
			b.Put(t, "things", "alice", provider.Account("alice")) // or the failed one is left alone for a while
			before := provider.Counts().Requests
			_, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
			var refused *client.Error
			require.ErrorAs(t, err, &refused, "%d %s", status, place)
			require.Equal(t, before+1, provider.Counts().Requests, "%d %s", status, place)
		}
	}
	require.Zero(t, upstream.Requests())
	require.Empty(t, elsewhere.Wire())
}
