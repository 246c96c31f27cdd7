package attack_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// New keys of every purpose come into use while calls run at two brokers: none fails, the
// old ciphertext is wrapped anew, and no table holds a secret in any form.
func TestAttack29_RotationUnderLoad(t *testing.T) {
	t.Parallel()
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+canary {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	store := testenv.Postgres(t)
	site := testenv.NewSite(t, store, 0)
	here, there := site.Start(t), site.Start(t)
	here.Apply(t, upstream.Manifest("things", bearer, testenv.Things))
	here.Put(t, "things", "alice", canary)
	task := here.Mint(t, nil, readThings)
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for _, b := range []*testenv.Broker{here, there} {
		sandbox := b.Client(t, testenv.Sandbox, task.Key)
		load.Go(func() {
			calls := 0
			for ; ctx.Err() == nil; calls++ {
				answer, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
				if err != nil || answer.Status != http.StatusOK {
					t.Errorf("call %d during the rotation: %v %+v", calls, err, answer)
					return
				}
			}
			t.Logf("%d calls", calls)
		})
	}
	operator := here.Client(t, testenv.Operator, "")
	waiting := map[string]bool{}
	for _, purpose := range []onedoorv1.KeyPurpose{onedoorv1.KeyPurpose_KEY_PURPOSE_KEK, onedoorv1.KeyPurpose_KEY_PURPOSE_PEPPER, onedoorv1.KeyPurpose_KEY_PURPOSE_AUDIT} {
		made, err := operator.Keys().Rotate(t.Context(), &onedoorv1.KeysRotateRequest{Purpose: purpose})
		require.NoError(t, err)
		waiting[made.GetKey().GetId()] = true
	}
	testenv.Eventually(t, "the new keys' activation", func() bool {
		keys, err := operator.Keys().List(t.Context(), &onedoorv1.KeysListRequest{})
		require.NoError(t, err)
		for _, k := range keys.GetKeys() {
			if k.GetState() == onedoorv1.KeyState_KEY_STATE_ACTIVE {
				delete(waiting, k.GetId())
			}
		}
		return len(waiting) == 0
	})
	testenv.Eventually(t, "the credential wrapped anew", func() bool {
		return strings.Contains(here.Log()+there.Log(), "credentials rewrapped under the active KEK")
	})
	stop()
	load.Wait()
	for _, b := range []*testenv.Broker{here, there} {
		for _, key := range []string{task.Key, here.Mint(t, nil, readThings).Key} { // hashed with the old pepper, and with the new one
			_, err := b.Client(t, testenv.Sandbox, key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
			require.NoError(t, err)
		}
	}
	absent(t, "the database", dump(t, store), canary, task.Key, strings.TrimPrefix(task.Key, "odk_"))
}

// dump is all that stands in a database, bytes in hex.
func dump(t *testing.T, store string) string {
	t.Helper()
	db, err := pgx.Connect(t.Context(), store)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(context.WithoutCancel(t.Context()))) }()
	column := func(query string) []string {
		rows, err := db.Query(t.Context(), query)
		require.NoError(t, err)
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return texts
	}
	tables := column(`SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'`)
	require.Contains(t, tables, "credentials")
	var all strings.Builder
	for _, table := range tables {
		all.WriteString(strings.Join(column(`SELECT row_to_json(t)::text FROM `+pgx.Identifier{table}.Sanitize()+` t`), "\n"))
	}
	return all.String()
}

// A master key that is gone, or another, opens nothing: the broker does not serve, and
// makes no new keys over those that it cannot read. One that is running goes on, since no
// call asks for the master.
func TestAttack29_MasterLost(t *testing.T) {
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	site := testenv.NewSite(t, testenv.Postgres(t), 0)
	b := site.Start(t)
	b.Apply(t, upstream.Manifest("things", bearer, testenv.Things))
	b.Put(t, "things", "alice", canary)
	task := b.Mint(t, nil, readThings)
	call := func() {
		_, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
		require.NoError(t, err)
	}
	call()
	master := filepath.Join(site.Dir, "master.json")
	require.NoError(t, os.Rename(master, master+".kept"))
	for range 2 { // the first start makes a new master, with which the second one starts
		said := site.StartRefused(t)
		require.Contains(t, said, "load keys: ")
		absent(t, "what it says", said, canary)
	}
	b.Put(t, "things", "alice", canary+"2") // sealed and opened without the master
	call()
	require.NoError(t, os.Chmod(master+".kept", 0o644))
	lax := func(c *config.Config) { c.Keys.Master = "file:" + master + ".kept" }
	require.Contains(t, site.StartRefused(t, lax), "mode 0644")
	require.NoError(t, os.Chmod(master+".kept", 0o600))
	site.Start(t, lax)
}
