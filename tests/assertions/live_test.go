package assertions_test

import (
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/onedoor/onedoor/tests/testenv"
)

// The page's programs keep the keys for five minutes; those that run beside a broker for
// as long as this, with keys that are published for three times as long before they sign.
const keysAge = time.Second

const jwksPath = "/.well-known/jwks.json"

// probe is a request that an internal service received, and how far to judge it.
type probe struct {
	Token  string `json:"token"`
	Method string `json:"method"`
	URL    string `json:"url"`
	Body   string `json:"body"`
	// Part is "token" for the JWT alone, "request" for its fit to the request too, and
	// "once" if it must not have been accepted before either.
	Part string `json:"part"`
	// Ahead is by how many seconds the verifier's clock is ahead.
	Ahead int64 `json:"ahead"`
}

// verdict is what a verifier says; Why names what refused, never the token.
type verdict struct {
	Accepted bool   `json:"accepted"`
	Why      string `json:"why"`
}

// verifier is one of the page's programs, running.
type verifier struct {
	name string
	// whole: it can be asked for more than the token.
	whole bool
	ask   func(probe) (verdict, error)
}

// languages starts the page's programs with the keys of a broker's public listener. All
// else is as printed.
func languages(t *testing.T, b *testenv.Broker) []verifier {
	t.Helper()
	url := `"` + b.PublicURL + jwksPath + `"`
	interpreter, dir := python(t, map[string]string{`ISSUER + "` + jwksPath + `", lifespan=300`: url + ", lifespan=1"})
	nodejs, program := node(t, map[string]string{`issuer + "` + jwksPath + `"`: url, "cacheMaxAge: 300_000": "cacheMaxAge: 1_000"})
	live := java(t, map[string]string{`ISSUER + "` + jwksPath + `"`: url, ".cache(300_000,": ".cache(1_000,", "rateLimited(10_000)": "rateLimited(30)"})
	return []verifier{
		{"golang-jwt", true, (&inGo{client: testenv.HTTPS(t, b.Anonymous(t)), url: b.PublicURL + jwksPath}).ask},
		{"PyJWT", true, speak(t, []string{"SSL_CERT_FILE=" + b.Bundle}, interpreter, "live.py", dir)},
		{"onedoor.assertions", true, speak(t, []string{"PYTHONPATH=" + filepath.Join(root, "sdk-python", "src")}, interpreter,
			"live_onedoor.py", b.PublicURL+jwksPath, b.Bundle)},
		{"jose", true, speak(t, []string{"NODE_EXTRA_CA_CERTS=" + b.Bundle}, nodejs, "live.mjs", program)},
		{"nimbus", true, speak(t, nil, live[0], append(live[1:], "Live", b.Bundle)...)},
	}
}

// speak starts a harness and gives what asks it: a line each way. It ends with the test.
func speak(t *testing.T, env []string, name string, args ...string) func(probe) (verdict, error) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	in, out := testenv.Converse(t, cmd)
	var mu sync.Mutex
	questions, answers := json.NewEncoder(in), json.NewDecoder(out)
	return func(p probe) (v verdict, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err := questions.Encode(p); err != nil {
			return v, fmt.Errorf("ask: %w", err)
		}
		if err := answers.Decode(&v); err != nil {
			return v, fmt.Errorf("the harness answers nothing: %w", err)
		}
		return v, nil
	}
}

// inGo is the page's program for golang-jwt with the cache that it leaves to its user.
type inGo struct {
	client *http.Client
	url    string
	used   used

	mu      sync.Mutex
	keys    map[string]*ecdsa.PublicKey
	fetched time.Time
}

func (g *inGo) ask(p probe) (verdict, error) {
	keys, err := g.fresh()
	if err != nil {
		return verdict{}, err
	}
	why := g.refusal(p, keys)
	return verdict{Accepted: why == "", Why: why}, nil
}

// refusal names what refuses a request; nothing if it is accepted.
func (g *inGo) refusal(p probe, keys map[string]*ecdsa.PublicKey) string {
	now := func() time.Time { return time.Now().Add(time.Duration(p.Ahead) * time.Second) }
	claims, err := verify(p.Token, keys, now)
	switch {
	case err != nil:
		return err.Error()
	case p.Part != "token" && !bound(claims, p.Method, p.URL, []byte(p.Body)):
		return "bound"
	case p.Part == "once" && !g.used.first(claims, now()):
		return "first"
	default:
		return ""
	}
}

// fresh gives keys that were asked for a second ago or less.
func (g *inGo) fresh() (map[string]*ecdsa.PublicKey, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.fetched) < keysAge {
		return g.keys, nil
	}
	asked := time.Now()
	keys, err := published(g.client, g.url)
	if err != nil {
		return nil, err
	}
	g.keys, g.fetched = keys, asked
	return keys, nil
}

// published gives the keys of a JWKS by kid.
func published(client *http.Client, url string) (map[string]*ecdsa.PublicKey, error) {
	answer, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK || len(set.Keys) == 0 {
		return nil, errors.New("no keys are published")
	}
	return ecKeys(set), nil
}

func ecKeys(set jose.JSONWebKeySet) map[string]*ecdsa.PublicKey {
	keys := map[string]*ecdsa.PublicKey{}
	for _, k := range set.Keys {
		if key, ok := k.Key.(*ecdsa.PublicKey); ok {
			keys[k.KeyID] = key
		}
	}
	return keys
}
