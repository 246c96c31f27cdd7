package attack_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// A broker whose own clock is five minutes off, either way, ends tasks and grants when
// all others do: the database's clock counts. (It is the database's that is set here,
// which comes to the same and needs no rights over the machine.)
func TestAttack22_ClockSkew(t *testing.T) {
	for name, ahead := range map[string]string{"the broker is behind": "5 minutes", "the broker is ahead": "-5 minutes"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := testenv.Postgres(t)
			change(t, store, `CREATE SCHEMA skewed`)
			change(t, store, `CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
				'SELECT pg_catalog.clock_timestamp() + interval ''`+ahead+`'''`)
			change(t, store, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = skewed, pg_catalog', current_database()); END $$`)
			upstream := testenv.NewUpstream(t, flood(make(chan struct{}, 10)))
			b := testenv.NewSite(t, store, 0).Start(t)
			b.Apply(t, upstream.Manifest("things", "", testenv.Things))

			// By the broker's own clock these ends would come five minutes late, or would
			// have come before the beginning.
			task := b.Mint(t, func(r *onedoorv1.TasksCreateRequest) { r.Ttl = durationpb.New(8 * time.Second) }, readThings)
			made, err := b.Client(t, testenv.Operator, "").Tasks().Get(t.Context(), &onedoorv1.TasksGetRequest{TaskId: task.ID})
			require.NoError(t, err)
			ends := made.GetTask().GetExpiresAt().AsTime()
			require.Greater(t, time.Until(ends).Abs(), 4*time.Minute, "the clock is not skewed")
			sandbox := b.Client(t, testenv.Sandbox, task.Key)
			stream, err := sandbox.InvokeStream(t.Context(), "things", "things.get", map[string]string{"id": "1"})
			require.NoError(t, err)
			ended := make(chan error, 1)
			go func() {
				var last error
				for _, err := range stream.Data() {
					last = err
				}
				ended <- last
			}()
			select {
			case err := <-ended:
				require.ErrorIs(t, err, client.TaskEnded)
			case <-time.After(time.Minute):
				t.Fatal("the stream outlives its task")
			}
			_, err = sandbox.Tools(t.Context())
			require.ErrorIs(t, err, client.TaskEnded)

			until := ends.Add(3 * time.Second).Truncate(time.Second).Format(time.RFC3339)
			rest := b.REST(t, testenv.Sandbox, b.Mint(t, nil, "things: things.find READ thing:* until="+until).Key)
			testenv.Eventually(t, "the grant's end", func() bool {
				answer := rest.Do(t, http.MethodPost, "/v1/explain", invoke("things.find", `{"q":"1"}`))
				require.Equal(t, http.StatusOK, answer.Status, answer.Body)
				return between(answer.Body, `"reason":"`) == "GRANT_EXPIRED"
			})
		})
	}
}
