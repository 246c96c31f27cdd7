package attack_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

// A redirect is an answer like any other: its status comes back, where it leads does
// not, and nobody follows it.
func TestAttack12_Redirect(t *testing.T) {
	elsewhere := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	places := map[string]string{
		"other":    elsewhere.Origin + "/stolen",
		"same":     "/things/followed",
		"clear":    "http://localhost:1/stolen",
		"metadata": "http://169.254.169.254/latest/meta-data/",
		"login":    "https://user:pass@localhost:1/",
		"broken":   "://",
	}
	b, upstream := target(t, func(w http.ResponseWriter, r *http.Request) {
		place := r.URL.Path[len("/things/"):]
		status := http.StatusFound
		if r.URL.RawQuery != "" {
			status = http.StatusTemporaryRedirect
		}
		w.Header().Set("Location", places[place]+"?"+r.Header.Get("Authorization"))
		w.Header().Set("Refresh", "0; url="+places[place])
		w.WriteHeader(status)
	})
	task := b.Mint(t, nil, readThings)
	for place := range places {
		t.Run(place, func(t *testing.T) {
			before := upstream.Requests()
			answer := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"`+place+`"}`))
			require.Equal(t, http.StatusOK, answer.Status, answer.Body)
			require.Contains(t, answer.Body, `"status":302`)
			require.NotContains(t, answer.Body, "stolen")
			require.Contains(t, answer.Body, `"headers":{}`)
			require.Empty(t, answer.Header.Get("Location"))
			absent(t, "the answer", answer.Body, canary)
			require.Equal(t, before+1, upstream.Requests(), "it was not followed")
		})
	}
	require.Zero(t, elsewhere.Requests())
}
