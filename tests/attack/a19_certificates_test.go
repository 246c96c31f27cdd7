package attack_test

import (
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// Two users with a client certificate each call the same tool, in turn and at once, a
// thousand times, while one of them gets a new one: every call comes over a connection
// that shows its own user's, with an assertion bound to it, and none that was made with
// one is used for another.
func TestAttack19_ClientCertificates(t *testing.T) {
	ca := testenv.NewClientCA(t)
	certificate, serverCA := testenv.Certificate(t, "localhost")
	var mu sync.Mutex
	byConnection, seen, bound := map[string]map[string]bool{}, map[string]bool{}, 0
	origin := testenv.ServeTLS(t, &tls.Config{
		Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(), MinVersion: tls.VersionTLS12,
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer := r.TLS.PeerCertificates[0]
		mu.Lock()
		defer mu.Unlock()
		if byConnection[r.RemoteAddr] == nil {
			byConnection[r.RemoteAddr] = map[string]bool{}
		}
		byConnection[r.RemoteAddr][testenv.Thumbprint(peer)] = true
		seen[testenv.Thumbprint(peer)] = true
		if parts := strings.Split(r.Header.Get("X-Onedoor-Jwt-Assertion"), "."); len(parts) == 3 {
			payload, err := base64.RawURLEncoding.DecodeString(parts[1])
			if err == nil && strings.Contains(string(payload), `"cnf":{"x5t#S256":"`+testenv.Thumbprint(peer)+`"}`) {
				bound++
			}
		}
		_, _ = w.Write([]byte(peer.Subject.CommonName))
	}))
	b := testenv.NewSite(t, "", 0).Start(t, func(c *config.Config) {
		hour := config.Duration(time.Hour)
		c.Assertions = config.Assertions{Issuer: "https://broker.test", Lead: hour, Active: hour, Retire: hour}
	})
	manifest := testenv.Manifest("things", origin, serverCA, "{main: {owner: user, attach: certificate}}", testenv.Things)
	b.Apply(t, strings.Replace(manifest, "tools:\n", "assertion: {audience: https://things.internal}\ntools:\n", 1))
	put := func(user string) string {
		t.Helper()
		text := ca.Issue(t, user)
		said := b.CLIWith(t, testenv.Operator, "", text, "credential", "put", "things", "--user", user, "--from-file", "-")
		require.Zero(t, said.Code, said.Stderr)
		absent(t, "what the CLI says", said.Stdout+said.Stderr, text[len(text)-120:len(text)-40])
		return text
	}
	secrets := []string{put("alice"), put("bob")}

	sandboxes := map[string]*client.Client{}
	for _, user := range []string{"alice", "bob"} {
		task := b.Mint(t, func(r *onedoorv1.TasksCreateRequest) { r.User = user }, readThings)
		sandboxes[user] = b.Client(t, testenv.Sandbox, task.Key)
	}
	call := func(user string) bool {
		answer, err := sandboxes[user].Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
		if err != nil || string(answer.Body) != user {
			t.Errorf("%s's call: %v, answered as somebody else's: %v", user, err, err == nil)
			return false
		}
		return true
	}
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for range 125 {
				if !call("alice") || !call("bob") {
					return
				}
			}
		})
	}
	secrets = append(secrets, put("alice"))
	load.Wait()
	require.True(t, call("alice"))
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, 1001, bound, "each assertion is bound to the certificate that its call came with")
	require.Len(t, seen, 3, "the new one took the place of the old")
	for _, shown := range byConnection {
		require.Len(t, shown, 1, "a connection shows one certificate")
	}
	for _, text := range secrets {
		absent(t, "the log", b.Log(), text[len(text)-120:len(text)-40])
	}
}
