package assertion_test

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"github.com/google/uuid"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/onedoor/onedoor/server/assertion"
	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/server/vault/vaulttest"
	"github.com/onedoor/onedoor/tests/testenv"
)

const issuer = "https://broker.example"

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// bench is a Minter over the real vault and the real trail.
type bench struct {
	*assertion.Minter
	keys  *vault.Keyring
	trail *audit.Log
}

func newBench(t testing.TB) *bench {
	t.Helper()
	s := testenv.SQLite(t, "")
	master, err := subtle.NewAESGCM(make([]byte, 32))
	require.NoError(t, err)
	now := func() time.Time { return noon }
	log := slog.New(slog.DiscardHandler)
	b := &bench{}
	b.keys = vault.NewKeyring(vault.Options{
		Store: &vaulttest.Store{}, Master: master, Rand: rand.Reader, Now: now, NewID: uuid.NewString, Log: log,
		Assertions: vault.Schedule{Lead: time.Hour, Active: time.Hour, Retire: time.Hour},
	})
	require.NoError(t, b.keys.Load(t.Context()))
	require.NoError(t, b.keys.Poll(t.Context()))
	b.trail, err = audit.Open(t.Context(), audit.Options{
		Store: s.Audit(), Signer: b.keys, Now: now, NewID: uuid.NewString, BrokerID: "broker", Incarnation: "incarnation", Log: log,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.trail.Close(context.Background())) })
	b.trail.Live(noon.Add(time.Hour))
	b.Minter = b.minter(issuer, rand.Reader)
	return b
}

func (b *bench) minter(issuer string, random io.Reader) *assertion.Minter {
	return assertion.New(assertion.Options{
		Issuer: issuer, TrustDomain: "example.org", Keys: b.keys, Rand: random, Now: func() time.Time { return noon },
	})
}

// intent is a recorded act in a workspace.
func (b *bench) intent(t testing.TB, workspace, invocation string) audit.Intent {
	t.Helper()
	i, err := b.trail.BeginAdmin(t.Context(), audit.Event{Workspace: workspace, InvocationID: invocation})
	require.NoError(t, err)
	return i
}

// bound is a call of one of the tools of a connector with this assertion.
func bound(t testing.TB, wants, tool, arguments string) *connector.Bound {
	t.Helper()
	c, err := connector.Parse([]byte(`connector: payroll
kind: http
origin: https://payroll.internal:8443
` + wants + `
tools:
  - name: payslip.get
    severity: READ
    method: GET
    path: /payslips/{user}
    query: {month: month}
    arguments: {type: object, required: [user], properties: {user: {type: string}, month: {type: string}}}
    resources: ["payslip:{user}"]
  - name: payslip.correct
    severity: WRITE
    method: POST
    path: /corrections
    body: all
    arguments: {type: object, properties: {gross: {type: integer}}}
    resources: ["payslip:*"]
`))
	require.NoError(t, err)
	c.Workspace = "default"
	b, err := c.Bind(tool, []byte(arguments))
	require.NoError(t, err)
	return b
}

func caller() *task.Caller {
	return &task.Caller{
		Workload: spiffeid.RequireFromString("spiffe://example.org/sandbox/one"),
		Task: task.Task{
			Workspace: "default", ID: "task-1", KeyID: "key-1", Agent: "mailer",
			User: task.User{ID: "user-1", Issuer: task.LocalIssuer, Subject: "alice@example.org"},
		},
	}
}

// sent gives the header of the request as the upstream would get it.
func sent(t *testing.T, a assertion.Assertion, b *connector.Bound) http.Header {
	t.Helper()
	to, err := a.AddTo(egress.NewAttachment())
	require.NoError(t, err)
	return received(t, b, to)
}

// read takes a token apart after verifying it with an independent library against the
// keys as published.
func (b *bench) read(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	document, err := b.Documents()["/.well-known/jwks.json"]()
	require.NoError(t, err)
	var keys jose.JSONWebKeySet
	require.NoError(t, json.Unmarshal(document, &keys))
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	require.NoError(t, err)
	protected := parsed.Signatures[0].Protected
	found := keys.Key(protected.KeyID)
	require.Len(t, found, 1)
	payload, err := parsed.Verify(found[0])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(payload, &claims))
	return map[string]any{"alg": protected.Algorithm, "kid": protected.KeyID, "typ": protected.ExtraHeaders["typ"]}, claims
}
