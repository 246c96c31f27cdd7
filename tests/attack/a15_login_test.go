package attack_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

// TestAttack15_Logins: of a login, the part that is the secret is not in the answer, be it
// the password or, as several APIs want their keys, the name with an "x" behind it. The
// rest of the answer is as it was: no "x" is missing.
func TestAttack15_Logins(t *testing.T) {
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		w.Header().Set("X-Kind", "user="+user)
		_, _ = fmt.Fprintf(w, "Exact text: Axel X. fixed api_token, x-oauth-basic, box 7; name %s and then %s, or %s", user, password, base64.StdEncoding.EncodeToString([]byte(password+" "+user)))
	}))
	b := testenv.NewSite(t, "", 0).Start(t)
	b.Apply(t, upstream.Manifest("things", "{main: {owner: workspace, attach: basic}}", testenv.Things))
	rest := b.REST(t, testenv.Sandbox, b.Mint(t, nil, readThings).Key)
	for login, hidden := range map[string]string{
		"ada:canary-password-71c0": "canary-password-71c0", "canary-key-71c04d8f:": "canary-key-71c04d8f", "canary-key-71c04d8f:X": "canary-key-71c04d8f",
		"canary-key-71c04d8f:x": "canary-key-71c04d8f", "canary-key-71c04d8f:api_token": "canary-key-71c04d8f", "canary-key-71c04d8f:x-oauth-basic": "canary-key-71c04d8f",
		"canary-key-71c04d8f:pw3": "canary-key-71c04d8f", "ada:z!9": "z!9", "ada:z!9q": "z!9q",
	} {
		b.Put(t, "things", "", login)
		answer := rest.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`))
		got := fmt.Sprint(answer.Header) + opened(answer.Body)
		require.Contains(t, got, "Exact text: Axel X. fixed api_token, x-oauth-basic, box 7; ", login)
		if require.NotContains(t, got, hidden, login); len(hidden) > 8 { // shorter ones have no other form
			absent(t, "what the sandbox got", got, hidden)
		}
		if strings.HasPrefix(login, "ada:") && len(hidden) > 3 { // a name beside less than that is hidden too
			require.Contains(t, got, "; name ada and then [redacted], or ", login)
		}
	}
}
