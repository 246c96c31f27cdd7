package sqlstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/tests/testenv"
)

// BenchmarkAppend is the audit writer's transaction: a batch of rows of realistic
// width, with the claims of their idempotency keys.
func BenchmarkAppend(b *testing.B) {
	for _, k := range []struct {
		name string
		url  func(testing.TB) string
	}{{"SQLite", sqliteURL}, {"PostgreSQL", testenv.Postgres}} {
		for _, size := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("%s/%d", k.name, size), func(b *testing.B) {
				s := migrated(b, k.url(b))
				require.NoError(b, s.Audit().Write(b.Context(), func(ctx context.Context, tx audit.Tx) error {
					return tx.OpenChain(ctx, "chain", "broker", "incarnation", time.Now())
				}))
				seq := int64(0)
				for b.Loop() {
					events, claims := batch(seq, size)
					seq += int64(size)
					require.NoError(b, s.Audit().Write(b.Context(), func(ctx context.Context, tx audit.Tx) error {
						if _, err := tx.ClaimKeys(ctx, claims, time.Now()); err != nil {
							return err
						}
						return tx.Append(ctx, events)
					}))
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(seq), "µs/row")
			})
		}
	}
}

func batch(after int64, size int) (events []audit.Event, claims []audit.Claim) {
	for i := range int64(size) {
		uuid := fmt.Sprintf("01234567-89ab-cdef-0123-%012d", after+i)
		events = append(events, audit.Event{
			ChainID: "chain", Seq: after + i + 1, Workspace: "w", BrokerID: "broker", Time: time.Now(), Kind: audit.IntentRow,
			InvocationID: uuid, TaskID: uuid, KeyID: uuid, UserID: uuid, Agent: "agent", SPIFFEID: "spiffe://example.org/sandbox/" + uuid,
			AuthMethod: "x509-svid", Peer: "192.0.2.1:4711", Connector: "crm", Revision: 1, Tool: "contacts.get",
			Resources: []string{"contact:42"}, Severity: grant.Read, GrantID: uuid, CredentialID: uuid, Decision: audit.Allowed,
			PrevHash: make([]byte, 32), Hash: make([]byte, 32), Count: 1,
		})
		claims = append(claims, audit.Claim{Task: audit.TaskRef{Workspace: "w", TaskID: "t"}, Key: uuid, InvocationID: uuid})
	}
	return events, claims
}
