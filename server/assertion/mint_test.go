package assertion_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/assertion"
	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
)

const (
	wantsDefault  = "assertion: {audience: https://payroll.internal}"
	wantsTxnToken = "assertion: {profile: txn-token}"

	emptyDigest = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:" // RFC 9530, of no bytes
)

// TestClaims: every claim of every profile, and no other.
func TestClaims(t *testing.T) {
	b := newBench(t)
	kid, _, err := b.keys.AssertionKey()
	require.NoError(t, err)
	common := func(change map[string]any) map[string]any {
		all := map[string]any{
			"iss": issuer, "sub": "user-1", "act": map[string]any{"sub": "mailer", "sub_profile": "ai_agent"},
			"req_wl": "spiffe://example.org/sandbox/one", "txn": "invocation-1",
			"iat": float64(noon.Unix()), "exp": float64(noon.Unix() + 60),
			"rctx": map[string]any{"spiffe_id": "spiffe://example.org/sandbox/one", "key_id": "key-1"},
		}
		for name, value := range change {
			all[name] = value
		}
		return all
	}
	for name, c := range map[string]struct {
		wants, tool, arguments string
		typ, header, digest    string
		claims                 map[string]any
	}{
		"a read": {
			wantsDefault, "payslip.get", `{"user":"alice"}`, "onedoor-assertion+jwt", "X-Onedoor-Jwt-Assertion", emptyDigest,
			map[string]any{
				"aud": "https://payroll.internal", "scope": "payroll.payslip.get", "htm": "GET", "htu": "https://payroll.internal:8443/payslips/alice",
				"tctx": map[string]any{"task": "task-1", "workspace": "default", "tool": "payslip.get", "severity": "READ", "content_digest": emptyDigest},
			},
		},
		"with a query": {
			wantsDefault, "payslip.get", `{"user":"alice","month":"2026-10"}`, "onedoor-assertion+jwt", "X-Onedoor-Jwt-Assertion", emptyDigest,
			map[string]any{
				"aud": "https://payroll.internal", "scope": "payroll.payslip.get", "htm": "GET", "htu": "https://payroll.internal:8443/payslips/alice",
				"tctx": map[string]any{
					"task": "task-1", "workspace": "default", "tool": "payslip.get", "severity": "READ", "content_digest": emptyDigest,
					"query_sha256": "{{query}}",
				},
			},
		},
		"with a body": {
			wantsDefault, "payslip.correct", `{"gross":7300}`, "onedoor-assertion+jwt", "X-Onedoor-Jwt-Assertion", "{{body}}",
			map[string]any{
				"aud": "https://payroll.internal", "scope": "payroll.payslip.correct", "htm": "POST", "htu": "https://payroll.internal:8443/corrections",
				"tctx": map[string]any{"task": "task-1", "workspace": "default", "tool": "payslip.correct", "severity": "WRITE", "content_digest": "{{body}}"},
			},
		},
		"Transaction Token": {
			wantsTxnToken, "payslip.get", `{"user":"alice","month":"2026-10"}`, "txntoken+jwt", "Txn-Token", "",
			map[string]any{
				"aud": "example.org", "scope": "payroll.payslip.get",
				"tctx": map[string]any{"task": "task-1", "workspace": "default", "tool": "payslip.get", "severity": "READ"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			call := bound(t, c.wants, c.tool, c.arguments)
			made, err := b.Mint(t.Context(), b.intent(t, "default", "invocation-1"), caller(), call, egress.Certificate{})
			require.NoError(t, err)
			values := sent(t, made, call).Values(c.header)
			require.Len(t, values, 1)
			header, claims := b.read(t, values[0])
			require.Equal(t, map[string]any{"alg": "ES256", "kid": kid, "typ": c.typ}, header)
			require.Equal(t, made.ID, claims["jti"])
			require.Len(t, made.ID, 22, "128 bits")
			delete(claims, "jti")
			want := common(c.claims)
			if tctx := want["tctx"].(map[string]any); tctx["query_sha256"] != nil {
				tctx["query_sha256"] = sum(call.Query)
			}
			if c.digest == "{{body}}" {
				c.digest = "sha-256=:" + digest(call.Body) + ":"
				want["tctx"].(map[string]any)["content_digest"] = c.digest
			}
			require.Equal(t, want, claims)
			require.Equal(t, c.digest, made.Header.Get("Content-Digest"))
		})
	}
}

// TestMintRefuses: no assertion without a decision and a record, nor from parts that do
// not belong together.
func TestMintRefuses(t *testing.T) {
	b := newBench(t)
	finished := b.intent(t, "default", uuid.NewString())
	b.trail.Finish(finished, audit.Outcome{Result: audit.OK})
	stranger := caller()
	stranger.Task.Workspace = "other"
	for name, mint := range map[string]func() error{
		"zero intent": func() error {
			_, err := b.Mint(t.Context(), audit.Intent{}, caller(), bound(t, wantsDefault, "payslip.get", `{"user":"alice"}`), egress.Certificate{})
			return err
		},
		"finished intent": func() error {
			_, err := b.Mint(t.Context(), finished, caller(), bound(t, wantsDefault, "payslip.get", `{"user":"alice"}`), egress.Certificate{})
			return err
		},
		"another workspace's intent": func() error {
			_, err := b.Mint(t.Context(), b.intent(t, "other", "i"), caller(), bound(t, wantsDefault, "payslip.get", `{"user":"alice"}`), egress.Certificate{})
			return err
		},
		"another workspace's caller": func() error {
			_, err := b.Mint(t.Context(), b.intent(t, "default", "i"), stranger, bound(t, wantsDefault, "payslip.get", `{"user":"alice"}`), egress.Certificate{})
			return err
		},
		"another workspace's connector": func() error {
			call := bound(t, wantsDefault, "payslip.get", `{"user":"alice"}`)
			call.Connector.Workspace = "other"
			_, err := b.Mint(t.Context(), b.intent(t, "default", "i"), caller(), call, egress.Certificate{})
			return err
		},
		"a connector that asks for none": func() error {
			_, err := b.Mint(t.Context(), b.intent(t, "default", "i"), caller(), bound(t, "", "payslip.get", `{"user":"alice"}`), egress.Certificate{})
			return err
		},
		"no randomness": func() error {
			m := b.minter(issuer, iotest.ErrReader(errors.New("no entropy")))
			_, err := m.Mint(t.Context(), b.intent(t, "default", "i"), caller(), bound(t, wantsDefault, "payslip.get", `{"user":"alice"}`), egress.Certificate{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { require.True(t, fault.Is(mint(), fault.Internal)) })
	}
	_, err := assertion.Assertion{}.AddTo(egress.NewAttachment())
	require.True(t, fault.Is(err, fault.Internal))
}

// TestWithoutIssuer: a connector that wants an assertion is refused, and all others work.
func TestWithoutIssuer(t *testing.T) {
	b := newBench(t)
	off := b.minter("", rand.Reader)
	call := bound(t, wantsDefault, "payslip.get", `{"user":"alice"}`)
	require.NoError(t, off.Ready(bound(t, "", "payslip.get", `{"user":"alice"}`).Connector))
	require.True(t, fault.Is(off.Ready(call.Connector), fault.CredentialMissing))
	_, err := off.Mint(t.Context(), b.intent(t, "default", "i"), caller(), call, egress.Certificate{})
	require.True(t, fault.Is(err, fault.CredentialMissing))
	require.Empty(t, off.Documents())
	require.NoError(t, b.Ready(call.Connector))
}

// TestEachAttemptHasItsOwnID, and the same txn: the trail finds all attempts of a call.
func TestEachAttemptHasItsOwnID(t *testing.T) {
	b := newBench(t)
	call, intent := bound(t, wantsDefault, "payslip.get", `{"user":"alice"}`), b.intent(t, "default", "one")
	seen := map[string]bool{}
	for range 100 {
		made, err := b.Mint(t.Context(), intent, caller(), call, egress.Certificate{})
		require.NoError(t, err)
		seen[made.ID] = true
	}
	require.Len(t, seen, 100)
}

// TestTheTokenIsKept out of prints; and an upstream that echoes it gives nobody one that
// could be shown again.
func TestTheTokenIsKept(t *testing.T) {
	b := newBench(t)
	call := bound(t, wantsDefault, "payslip.get", `{"user":"alice"}`)
	made, err := b.Mint(t.Context(), b.intent(t, "default", "one"), caller(), call, egress.Certificate{})
	require.NoError(t, err)
	token := sent(t, made, call).Get("X-Onedoor-Jwt-Assertion")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		require.NotContains(t, fmt.Sprintf(verb, made), token)
		require.NotContains(t, fmt.Sprintf(verb, struct{ a assertion.Assertion }{made}), token)
	}
	signature := token[strings.LastIndexByte(token, '.')+1:]
	echo := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := r.Header.Get("X-Onedoor-Jwt-Assertion")
		_, _ = io.WriteString(w, "whole: "+got+"; signature: "+got[strings.LastIndexByte(got, '.')+1:])
	}))
	defer echo.Close()
	to, err := made.AddTo(egress.NewAttachment())
	require.NoError(t, err)
	claims := strings.TrimSuffix(token, signature)
	require.Equal(t, "whole: "+claims+egress.Redacted+"; signature: "+egress.Redacted, deliver(t, echo, call, to))
}

// TestAddToLeavesTheCredentialAsItWas: a rendered credential is kept for many calls, and
// an assertion is for one.
func TestAddToLeavesTheCredentialAsItWas(t *testing.T) {
	b := newBench(t)
	call := bound(t, wantsDefault, "payslip.get", `{"user":"alice"}`)
	kept := egress.NewAttachment()
	require.NoError(t, kept.SetHeader("X-Api-Key", "sk-canary"))
	require.NoError(t, kept.Scrub([]byte("sk-canary")))
	for range 2 {
		made, err := b.Mint(t.Context(), b.intent(t, "default", uuid.NewString()), caller(), call, egress.Certificate{})
		require.NoError(t, err)
		both, err := made.AddTo(kept)
		require.NoError(t, err)
		headers := received(t, call, both)
		require.Equal(t, []string{"sk-canary"}, headers.Values("X-Api-Key"))
		require.Len(t, headers.Values("X-Onedoor-Jwt-Assertion"), 1)
	}
	require.Empty(t, received(t, call, kept).Values("X-Onedoor-Jwt-Assertion"))
}

// TestASameNamedHeaderIsDropped, whoever set it on the request.
func TestASameNamedHeaderIsDropped(t *testing.T) {
	b := newBench(t)
	for wants, header := range map[string]string{
		wantsDefault:  "x-onedoor-jwt-assertion",
		wantsTxnToken: "Txn-Token",
		"assertion: {audience: a, header: X-Who-Asks}": "X-Who_Asks",
	} {
		call := bound(t, wants, "payslip.get", `{"user":"alice"}`)
		call.Header[header] = []string{"forged"}
		made, err := b.Mint(t.Context(), b.intent(t, "default", uuid.NewString()), caller(), call, egress.Certificate{})
		require.NoError(t, err)
		for name, values := range sent(t, made, call) {
			require.NotContains(t, values, "forged", name)
		}
	}
}

// BenchmarkMint is what an assertion adds to a call: claims, signature, and a scrubber of
// its own.
func BenchmarkMint(b *testing.B) {
	k := newBench(b)
	call := bound(b, wantsDefault, "payslip.get", `{"user":"alice"}`)
	intent := k.intent(b, "default", "one")
	for b.Loop() {
		made, err := k.Mint(b.Context(), intent, caller(), call, egress.Certificate{})
		require.NoError(b, err)
		_, err = made.AddTo(egress.NewAttachment())
		require.NoError(b, err)
	}
}
