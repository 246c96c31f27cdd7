package attack_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

// Where the scheme is stored with the secret, what comes back without it is the secret all
// the same: the upstream takes the value apart, as it must, and echoes the part that counts.
func TestAttack15_SecretBehindItsScheme(t *testing.T) {
	const password = "p4ss-" + canary
	pair := "robot:" + password
	encoded := base64.StdEncoding.EncodeToString([]byte(pair))
	b, upstream := target(t, func(w http.ResponseWriter, r *http.Request) {
		value := r.Header.Get("Authorization") + r.Header.Get("X-Key") + r.URL.Query().Get("key")
		_, part, _ := strings.Cut(value, " ")
		w.Header().Set("X-Kind", part)
		decoded, _ := base64.StdEncoding.DecodeString(part)
		_, word, _ := strings.Cut(string(decoded), ":")
		_, _ = io.WriteString(w, value+"\n"+part+"\n"+string(decoded)+"\n"+word)
	})
	for name, c := range map[string]struct{ attach, secret string }{
		"bearer in a header":  {"{header: Authorization}", "Bearer " + canary},
		"a scheme of its own": {"{header: X-Key}", "ApiKey " + canary},
		"in the query":        {"{query: key}", "Bearer " + canary},
		"basic in a header":   {"{header: Authorization}", "Basic " + encoded},
		"basic, lower case":   {"{header: Authorization}", "basic " + encoded},
		"basic as the prefix": {"{header: Authorization, prefix: \"Basic \"}", encoded},
	} {
		b.Apply(t, upstream.Manifest("things", "{main: {owner: user, attach: "+c.attach+"}}", testenv.Things))
		b.Put(t, "things", "alice", c.secret)
		answer, err := getOne(t, b, "things")
		require.NoError(t, err, name)
		require.Contains(t, string(answer.Body), "[redacted]", name)
		absent(t, name, string(answer.Body)+answer.Headers["x-kind"], canary, password, encoded)
	}
}
