package attack_test

import (
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// The broker is killed in the middle of its work, again and again: whatever reached the
// upstream has an intent in the trail, and in the end every intent has its outcome.
func TestAttack28_NoCallWithoutARecord(t *testing.T) {
	t.Parallel()
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	site := testenv.NewSite(t, "", 0)
	b := site.Start(t)
	b.Apply(t, upstream.Manifest("things", "", testenv.Things))
	task := b.Mint(t, nil, "things: things.get READ thing:*")
	var n atomic.Int64
	for round := range 3 {
		var load sync.WaitGroup
		for range 4 {
			sandbox := b.Client(t, testenv.Sandbox, task.Key)
			load.Go(func() {
				for {
					if _, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": fmt.Sprintf("n%d", n.Add(1))}); err != nil {
						return
					}
				}
			})
		}
		testenv.Eventually(t, "some calls", func() bool { return upstream.Requests() > 20*(round+1) })
		require.NoError(t, b.Kill())
		load.Wait()
		b = site.Start(t)
	}
	var open map[string]bool
	intents := map[string]bool{}
	testenv.Eventually(t, "an outcome for every intent", func() bool {
		open = map[string]bool{}
		for _, e := range b.Events(t, task.ID) {
			switch e.GetKind() {
			case "INTENT":
				open[e.GetInvocationId()] = true
				intents[e.GetResources()[0]] = true
			case "OUTCOME":
				delete(open, e.GetInvocationId())
			}
		}
		return len(open) == 0
	})
	arrived := regexp.MustCompile(`GET /things/(n\d+) HTTP`).FindAllStringSubmatch(upstream.Wire(), -1)
	for _, one := range arrived {
		require.True(t, intents["thing:"+one[1]], "%s reached the upstream without a record", one[1])
	}
	t.Logf("%d calls reached the upstream, %d intents", len(arrived), len(intents))
}

// Each row holds the hash of the one before it in its chain.
func TestAttack28_RowsAreChained(t *testing.T) {
	b, _ := target(t, func(http.ResponseWriter, *http.Request) {})
	task := b.Mint(t, nil, readThings)
	rest := b.REST(t, testenv.Sandbox, task.Key)
	for range 5 {
		rest.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`))
		rest.Do(t, http.MethodPost, "/v1/invoke", invoke("things.make", `{"name":"x"}`))
	}
	type place struct {
		chain string
		seq   int64
	}
	rows := map[place]*onedoorv1.AuditEvent{}
	for _, e := range b.ListEvents(t, &onedoorv1.AuditListRequest{}) {
		rows[place{e.GetChainId(), e.GetSeq()}] = e
	}
	linked := 0
	for at, e := range rows {
		require.Len(t, e.GetHash(), 32)
		if before := rows[place{at.chain, at.seq - 1}]; before != nil {
			require.Equal(t, before.GetHash(), e.GetPrevHash())
			linked++
		}
	}
	require.Greater(t, linked, 10)
}
