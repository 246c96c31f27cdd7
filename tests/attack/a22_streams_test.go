package attack_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// flood is an upstream whose answer never ends, in the form of a model's events. gone
// hears of each exchange that the broker has given up.
func flood(gone chan<- struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() { gone <- struct{}{} }()
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			if _, err := io.WriteString(w, "data: {\"choices\":[]}\n\n"); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(20 * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
	}
}

// streams begins an endless stream by each way in, waits for its first bytes, and gives
// what each of them read, with the error it ended with, once it has ended.
func streams(t *testing.T, b *testenv.Broker, key string) <-chan ended {
	t.Helper()
	all := make(chan ended, 3)
	grpc, err := b.Client(t, testenv.Sandbox, key).InvokeStream(t.Context(), "things", "things.get", map[string]string{"id": "1"})
	require.NoError(t, err)
	go func() {
		var last error
		for _, err := range grpc.Data() {
			last = err
		}
		all <- ended{"gRPC", "", last}
	}()
	for way, one := range map[string][2]string{
		"REST":        {"/v1/invoke:stream", invoke("things.get", `{"id":"1"}`)},
		"passthrough": {"/c/openai/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.RESTURL+one[0], strings.NewReader(one[1]))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+key)
		request.Header.Set("Content-Type", "application/json")
		answer, err := testenv.HTTPS(t, b.TLS(t, testenv.Sandbox)).Do(request) //nolint:bodyclose // whoever reads it closes it
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answer.StatusCode)
		_, err = io.ReadFull(answer.Body, make([]byte, 16))
		require.NoError(t, err, way)
		go func() {
			defer func() { _ = answer.Body.Close() }()
			var text bytes.Buffer
			_, err := text.ReadFrom(answer.Body)
			all <- ended{way, text.String(), err}
		}()
	}
	return all
}

type ended struct {
	way, text string
	err       error
}

// cut fails where a stream's end could pass for an end of the answer: over gRPC and REST
// it says why it was cut, and what passes for a provider's own answer breaks off.
func (e ended) cut(t *testing.T, reason client.Reason) {
	t.Helper()
	switch e.way {
	case "gRPC":
		require.ErrorIs(t, e.err, reason)
	case "REST":
		lines := strings.Split(strings.TrimSpace(e.text), "\n")
		require.Contains(t, lines[len(lines)-1], `"reason":"`+string(reason)+`"`)
		require.NotContains(t, e.text, `"end"`)
	default:
		require.Error(t, e.err)
	}
}

// While a sandbox reads answers that never end, its task does, or the grants by which it
// reads them: at this broker, at another, by time, by the deny list, and while this broker cannot hear of anything,
// because it cannot reach its store. Each stream is cut, whichever way it came in, none
// looks whole, and the upstream is let go.
func TestAttack22_StreamsAreCut(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, w *cutWorld){
		"revoked here":      func(t *testing.T, w *cutWorld) { t.Helper(); w.revoke(t, w.here) },
		"revoked elsewhere": func(t *testing.T, w *cutWorld) { t.Helper(); w.revoke(t, w.there) },
		"expired":           func(*testing.T, *cutWorld) {}, // its time is short
		"grants ended":      func(*testing.T, *cutWorld) {}, // and the task goes on
		"denied": func(t *testing.T, w *cutWorld) {
			t.Helper()
			require.NoError(t, os.WriteFile(w.denied, []byte(w.here.SPIFFEID(testenv.Sandbox)+"\n"), 0o600))
		},
		"revoked where this broker cannot hear it": func(t *testing.T, w *cutWorld) {
			t.Helper()
			w.database.Cut()
			w.cutOff = true
			t.Cleanup(w.database.Mend)
			w.revoke(t, w.there)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gone := make(chan struct{}, 3)
			w := newCutWorld(t, flood(gone))
			reason, until := client.TaskEnded, ""
			if name == "grants ended" {
				reason, until = client.GrantExpired, time.Now().Add(4*time.Second).UTC().Format(" until="+time.RFC3339Nano)
			}
			w.task = w.here.Mint(t, func(r *onedoorv1.TasksCreateRequest) {
				if name == "expired" {
					r.Ttl = durationpb.New(4 * time.Second)
				}
			}, readThings+until, "openai: chat.* READ model:*"+until)
			running := streams(t, w.here, w.task.Key)
			end(t, w)
			if w.cutOff {
				reason = client.OutcomeUnknown
			}
			for range 3 {
				select {
				case one := <-running:
					one.cut(t, reason)
				case <-time.After(time.Minute):
					t.Fatal("a stream goes on though its task has ended")
				}
			}
			for range 3 {
				select {
				case <-gone:
				case <-time.After(time.Minute):
					t.Fatal("the upstream is still asked")
				}
			}
		})
	}
}

// cutWorld is two brokers on one store, one of which can be cut off from it.
type cutWorld struct {
	here, there *testenv.Broker
	database    *testenv.Proxy
	cutOff      bool
	denied      string
	task        testenv.Task
}

func newCutWorld(t *testing.T, h http.Handler) *cutWorld {
	t.Helper()
	direct := testenv.Postgres(t)
	w := &cutWorld{database: testenv.NewProxy(t, direct), denied: filepath.Join(t.TempDir(), "denied")}
	require.NoError(t, os.WriteFile(w.denied, nil, 0o600))
	site := testenv.NewSite(t, w.database.URL, 0)
	w.here = site.Start(t, func(c *config.Config) { c.SPIFFE.DeniedIDsFile = w.denied })
	site.Store = direct
	w.there = site.Start(t)
	upstream := testenv.Provider{Upstream: testenv.NewUpstream(t, h)}
	w.here.Apply(t, upstream.Ready(t, "openai"))
	w.here.Put(t, "openai", "", testenv.ProviderKey)
	w.here.Apply(t, upstream.Manifest("things", "{main: {owner: workspace, attach: bearer}}", strings.ReplaceAll(testenv.Things, "timeout: 10s", "timeout: 10m")))
	w.here.Put(t, "things", "", canary)
	return w
}

func (w *cutWorld) revoke(t *testing.T, at *testenv.Broker) {
	t.Helper()
	_, err := at.Client(t, testenv.Operator, "").Tasks().Revoke(t.Context(), &onedoorv1.TasksRevokeRequest{TaskId: w.task.ID})
	require.NoError(t, err)
}

// A call that is cut because its task cannot be looked up may have been sent: no client
// makes it again by itself when the store is back.
func TestAttack22_CutCallIsNotRepeated(t *testing.T) {
	t.Parallel()
	arrived, gone := make(chan struct{}, 8), make(chan struct{}, 8)
	w := newCutWorld(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not see the broker go
		arrived <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	}))
	sandbox := w.here.Client(t, testenv.Sandbox, w.here.Mint(t, nil, "things: things.make WRITE thing:*").Key)
	failed := make(chan error, 1)
	go func() {
		_, err := sandbox.Invoke(t.Context(), "things", "things.make", map[string]string{"name": "x"})
		failed <- err
	}()
	<-arrived
	w.database.Cut()
	t.Cleanup(w.database.Mend)
	<-gone
	w.database.Mend()
	select {
	case err := <-failed:
		require.ErrorIs(t, err, client.OutcomeUnknown)
	case <-arrived:
		t.Fatal("it was sent again")
	}
}
