package attack_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
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
	}, testenv.Signing(time.Hour, time.Hour, time.Hour))
	plain := upstream.Manifest("things", bearer, testenv.Things)
	wanting := strings.Replace(plain, "tools:\n", "assertion: {audience: https://things.internal}\ntools:\n", 1)
	for _, name := range []string{header, strings.ToLower(header), "Content-Digest"} {
		fixed := strings.Replace(wanting, "    method: GET\n", "    method: GET\n    headers: {"+name+": forged}\n", 1)
		_, err := b.Client(t, testenv.Operator, "").Connectors().Apply(t.Context(), &onedoorv1.ConnectorsApplyRequest{Manifest: fixed})
		require.ErrorContains(t, err, "belongs to the assertion")
	}
	b.Apply(t, wanting)
	b.Apply(t, strings.Replace(model(upstream, bearer), "tools:\n", "assertion: {audience: https://things.internal}\ntools:\n", 1))
	b.Put(t, "llm", "alice", canary)
	task := b.Mint(t, nil, readThings, "llm: chat READ model:*")
	forged := []string{header, "forged", "Txn-Token", "forged", "X_Onedoor_Jwt_Assertion", "forged", "Grpc-Metadata-" + header, "forged", "Content-Digest", "forged"}
	ids := map[string]bool{}
	for range 3 {
		answer := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`), forged...)
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
	rest := b.REST(t, testenv.Sandbox, task.Key)
	for _, one := range [][2]string{
		{"/v1/invoke:stream", invoke("things.get", `{"id":"1"}`)}, {"/c/llm/v1/chat/completions", `{"model":"m"}`}, {"/c/llm/v1/chat/completions", `{"model":"m","stream":true}`},
	} {
		answer := rest.Do(t, http.MethodPost, one[0], one[1], forged...)
		require.Equal(t, http.StatusOK, answer.Status, answer.Body)
		sent := seen[len(seen)-1]
		require.Len(t, sent.Values(header), 1)
		ids[sent.Get(header)] = true
	}
	grpc := metadata.AppendToOutgoingContext(t.Context(), forged...)
	_, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(grpc, "things", "things.get", map[string]string{"id": "1"})
	require.NoError(t, err)
	require.Len(t, seen[len(seen)-1].Values(header), 1)
	ids[seen[len(seen)-1].Get(header)] = true
	require.Len(t, ids, 7, "each call has its own")
	require.NotContains(t, upstream.Wire(), "forged")
}

// between gives what stands behind a mark, up to the next quotation mark.
func between(text, mark string) string {
	_, rest, _ := strings.Cut(text, mark)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
