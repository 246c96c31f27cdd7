package attack_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// A sandbox cannot say who its user is: whatever it sends under the assertion's names is
// dropped, and a manifest cannot fix one. What goes up is one assertion, ours, new with
// each call; what an upstream gives back of it cannot be shown again.
func TestAttack26_Assertion(t *testing.T) {
	const header = "X-Onedoor-Jwt-Assertion"
	var mu sync.Mutex
	var seen []http.Header
	b, upstream := target(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Header.Clone())
		_, _ = w.Write([]byte(strings.Join(r.Header.Values(header), ",")))
	}, func(c *config.Config) {
		hour := config.Duration(time.Hour)
		c.Assertions = config.Assertions{Issuer: "https://broker.test", Lead: hour, Active: hour, Retire: hour}
	})
	plain := upstream.Manifest("things", bearer, testenv.Things)
	wanting := strings.Replace(plain, "tools:\n", "assertion: {audience: https://things.internal}\ntools:\n", 1)
	for _, name := range []string{header, strings.ToLower(header), "Content-Digest"} {
		fixed := strings.Replace(wanting, "    method: GET\n", "    method: GET\n    headers: {"+name+": forged}\n", 1)
		_, err := b.Client(t, testenv.Operator, "").Connectors().Apply(t.Context(), &onedoorv1.ConnectorsApplyRequest{Manifest: fixed})
		require.ErrorContains(t, err, "belongs to the assertion")
	}
	b.Apply(t, wanting)
	task := b.Mint(t, nil, readThings)
	ids := map[string]bool{}
	for range 3 {
		answer := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`),
			header, "forged", "Txn-Token", "forged", "X_Onedoor_Jwt_Assertion", "forged", "Grpc-Metadata-"+header, "forged")
		require.Equal(t, http.StatusOK, answer.Status, answer.Body)
		sent := seen[len(seen)-1]
		require.Len(t, sent.Values(header), 1)
		token := sent.Get(header)
		ids[token] = true
		signature := token[strings.LastIndexByte(token, '.')+1:]
		absent(t, "the answer", answer.Body, signature)
		body, err := base64.StdEncoding.DecodeString(between(answer.Body, `"bodyBase64":"`))
		require.NoError(t, err)
		require.Contains(t, string(body), "[redacted]")
		absent(t, "the answer's body", string(body), signature)
		absent(t, "the log", b.Log(), signature)
		require.Empty(t, sent.Values("Txn-Token"))
	}
	require.Len(t, ids, 3)
	require.NotContains(t, upstream.Wire(), "forged")
}

// between gives what stands behind a mark, up to the next quotation mark.
func between(text, mark string) string {
	_, rest, _ := strings.Cut(text, mark)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
