package assertions_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// shortLives are keys' lives so short that a test sees many. The broker looks at its
// keys every two seconds, so that is what these are rounded up to.
func shortLives(c *config.Config) {
	c.Assertions = config.Assertions{
		Issuer: issuer, Lead: config.Duration(3 * keysAge), Active: config.Duration(3 * time.Second), Retire: config.Duration(10 * time.Second),
	}
}

// TestKeysRotateUnderLoad: while the keys of a broker go through their lives, every
// assertion of a load is accepted by every library and by Envoy as it comes. What is
// forged over the same keys is refused by all who can see it, and what a deleted key
// signed is refused long before it expires.
func TestKeysRotateUnderLoad(t *testing.T) {
	b := testenv.NewSite(t, "", 0).Start(t, shortLives)
	panel := append(languages(t, b), envoy(t, envoyPlaces{keys: b.PublicURL + jwksPath, age: "1s", ca: b.Bundle}))
	kept, served := newKeeper(t, b), newService(t, panel)
	b.Apply(t, manifest(served.Upstream, "live", "audience: "+audience))
	task := b.Mint(t, nil, "live: things.* WRITE thing:*")

	early := kept.take(t, "kept", "things.make", map[string]string{"name": "early"})
	first := kid(t, early.Token)
	early.Part = "token"
	requireAll(t, panel, early, true, "the first key's assertion")

	calls := load(t, b.Client(t, testenv.Sandbox, task.Key), b.Client(t, testenv.Sandbox, task.Key))
	testenv.Eventually(t, "two rotations", func() bool {
		calls.requireNoFailure(t)
		return served.kids() >= 3
	})
	requireAll(t, panel, early, true, "an assertion of a key that is retired, and not deleted yet")
	t.Run("forged", func(t *testing.T) { forgeries(t, panel, kept, b) })

	keys := testenv.HTTPS(t, b.Anonymous(t))
	testenv.Eventually(t, "the deletion of the first key", func() bool {
		now, err := published(keys, b.PublicURL+jwksPath)
		require.NoError(t, err)
		return now[first] == nil
	})
	for _, v := range panel {
		testenv.Eventually(t, "refusal of a deleted key's assertion by "+v.name, func() bool {
			said, err := v.ask(early)
			require.NoError(t, err, v.name)
			return !said.Accepted
		})
	}
	expires, err := claimsOf(t, early.Token).GetExpirationTime()
	require.NoError(t, err)
	require.True(t, time.Now().Before(expires.Time), "the machine was so slow that it expired before its key was deleted")

	calls.stop()
	calls.requireNoFailure(t)
	served.requireNoGap(t)
}

// requireAll holds all verifiers that can tell to one verdict.
func requireAll(t *testing.T, panel []verifier, p probe, accepted bool, what string) {
	t.Helper()
	for _, v := range panel {
		if p.Part != "token" && !v.whole {
			continue
		}
		said, err := v.ask(p)
		require.NoError(t, err, v.name)
		require.Equal(t, accepted, said.Accepted, "%s, judged by %s: %s", what, v.name, said.Why)
	}
}

// traffic is calls without a pause, each of which must be answered with 200.
type traffic struct {
	ended    chan struct{}
	stop     func() // and wait for what is under way
	running  sync.WaitGroup
	failures chan error // at most one of each client, which then calls no more
}

// load makes traffic until it is stopped.
func load(t *testing.T, clients ...*client.Client) *traffic {
	t.Helper()
	l := &traffic{ended: make(chan struct{}), failures: make(chan error, len(clients))}
	for _, c := range clients {
		l.running.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-l.ended:
					return
				default:
				}
				if err := call(t, c, n); err != nil {
					l.failures <- err
					return
				}
			}
		})
	}
	l.stop = sync.OnceFunc(func() { close(l.ended); l.running.Wait() })
	t.Cleanup(l.stop)
	return l
}

// requireNoFailure so far.
func (l *traffic) requireNoFailure(t *testing.T) {
	t.Helper()
	select {
	case err := <-l.failures:
		require.NoError(t, err)
	default:
	}
}

// call makes the nth call: with a body, with a query, with neither.
func call(t *testing.T, c *client.Client, n int) error {
	t.Helper()
	tool, arguments := "things.make", map[string]any{"name": "ä", "size": n}
	switch n % 3 {
	case 1:
		tool, arguments = "things.find", map[string]any{"q": "a & b=c/?"}
	case 2:
		tool, arguments = "things.get", map[string]any{"id": "a.b~c"}
	}
	answer, err := c.Invoke(t.Context(), "live", tool, arguments)
	if err != nil {
		return err
	}
	if answer.Status != http.StatusOK {
		return fmt.Errorf("%s was answered with %d: %s", tool, answer.Status, answer.Body)
	}
	return nil
}

// manifest describes an upstream whose connector wants an assertion.
func manifest(u *testenv.Upstream, name, assertion string) string {
	return strings.Replace(u.Manifest(name, "", testenv.Things), "tools:\n", "assertion: {"+assertion+"}\ntools:\n", 1)
}

// kid is the key that a token names.
func kid(t testing.TB, token string) string {
	t.Helper()
	name, err := keyOf(token)
	require.NoError(t, err)
	return name
}

func keyOf(token string) (kid string, err error) {
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return "", err
	}
	return parsed.Signatures[0].Header.KeyID, nil
}

// claimsOf reads a token's claims and checks nothing.
func claimsOf(t *testing.T, token string) jwt.MapClaims {
	t.Helper()
	claims := jwt.MapClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(token, claims)
	require.NoError(t, err)
	return claims
}
