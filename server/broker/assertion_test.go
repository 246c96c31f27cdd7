package broker_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/assertion"
	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/broker"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/vault"
)

const assertionHeader = "X-Onedoor-Jwt-Assertion"

// asserting changes the manifest so that its calls carry an assertion.
func asserting(text string) string {
	return strings.Replace(text, "tools:", "assertion: {audience: https://crm.internal}\ntools:", 1)
}

// TestAssertionGoesAlong with the credential, bound to the body, named in the trail by
// its id alone, and of no use to who reads the answer.
func TestAssertionGoesAlong(t *testing.T) {
	b := newBench(t)
	b.apply(t, asserting)
	var header http.Header
	var body []byte
	b.answer(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Clone()
		body, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.Header.Get(assertionHeader))
	})
	call := b.call(t, "contacts.add", `{"name":"x"}`, "crm: contacts.add WRITE contact:*")
	answer, err := b.Invoke(t.Context(), call)
	require.NoError(t, err)
	require.Equal(t, "Bearer "+secret, header.Get("Authorization"))
	sum := sha256.Sum256(body)
	require.Equal(t, []string{"sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"}, header.Values("Content-Digest"))

	parts := strings.Split(header.Get(assertionHeader), ".")
	require.Len(t, parts, 3)
	require.Equal(t, parts[0]+"."+parts[1]+".[redacted]", string(answer.Body))
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var claims struct{ Sub, Txn, Jti string }
	require.NoError(t, json.Unmarshal(payload, &claims))
	require.Equal(t, b.alice.ID, claims.Sub)
	require.Equal(t, call.InvocationID, claims.Txn)
	for _, row := range b.rows(t, call) {
		require.NotContains(t, row.Detail, parts[2])
		if row.Kind == audit.OutcomeRow {
			require.JSONEq(t, `{"redactions":1,"assertion_jti":"`+claims.Jti+`"}`, row.Detail)
		}
	}
}

// TestNoAssertionWhereNoneIsWanted: who the user is goes only where a manifest says so.
func TestNoAssertionWhereNoneIsWanted(t *testing.T) {
	b := newBench(t)
	var header http.Header
	b.answer(func(_ http.ResponseWriter, r *http.Request) { header = r.Header.Clone() })
	call := b.call(t, "contacts.get", `{"id":"1"}`, "crm: contacts.get READ contact:*")
	_, err := b.Invoke(t.Context(), call)
	require.NoError(t, err)
	require.Empty(t, header.Values(assertionHeader))
	require.Empty(t, header.Values("Content-Digest"))
	require.Empty(t, b.outcome(t, call).Detail)
}

// TestWithoutAnIssuerNothingIsSent: the call is refused before its intent, and Explain
// says why.
func TestWithoutAnIssuerNothingIsSent(t *testing.T) {
	b := newBench(t)
	b.apply(t, asserting)
	b.options.Assertions = assertion.New(assertion.Options{})
	off := broker.New(b.options)
	call := b.call(t, "contacts.get", `{"id":"1"}`, "crm: contacts.get READ contact:*")
	explained, err := off.Explain(t.Context(), call)
	require.NoError(t, err)
	requireReason(t, fault.CredentialMissing, explained.Err)
	_, err = off.Invoke(t.Context(), call)
	requireReason(t, fault.CredentialMissing, err)
	require.Zero(t, b.hits.Load())
	rows := b.rows(t, call)
	require.Len(t, rows, 1)
	require.Equal(t, audit.Refusal, rows[0].Kind)
}

// TestWithoutAKeyNothingIsSent: the intent is recorded, and its outcome is that nothing
// was sent.
func TestWithoutAKeyNothingIsSent(t *testing.T) {
	b := newBench(t)
	b.apply(t, asserting)
	b.options.Assertions = assertion.New(assertion.Options{
		Issuer: "https://broker.test", Keys: vault.NewKeyring(vault.Options{}), Rand: strings.NewReader(strings.Repeat("x", 16)), Now: now,
	})
	call := b.call(t, "contacts.get", `{"id":"1"}`, "crm: contacts.get READ contact:*")
	_, err := broker.New(b.options).Invoke(t.Context(), call)
	requireReason(t, fault.Internal, err)
	require.Zero(t, b.hits.Load())
	require.Equal(t, audit.NotSent, b.outcome(t, call).Outcome)
}
