package attack_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// burden is an upstream that does by its ID what a broker should not bear. running
// counts the answers that are still being written.
type burden struct{ running atomic.Int64 }

func (h *burden) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.running.Add(1)
	defer h.running.Add(-1)
	piece := []byte(strings.Repeat("x", 16<<10))
	endless := func(to io.Writer, piece []byte) {
		for r.Context().Err() == nil {
			if _, err := to.Write(piece); err != nil {
				return
			}
		}
	}
	switch path.Base(r.URL.Path) {
	case "endless":
		endless(w, piece)
	case "events":
		w.Header().Set("Content-Type", "text/event-stream")
		endless(w, []byte("data: {}\n\n"+strings.Repeat(":"+strings.Repeat("x", 1000)+"\n", 10)))
	case "bomb":
		w.Header().Set("Content-Encoding", "gzip")
		endless(w, bomb())
	case "stall":
		_, _ = w.Write([]byte(strings.Repeat("x", 96<<10)))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case "slow":
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(20 * time.Millisecond): // the attack itself
			}
		}
	case "silent":
		<-r.Context().Done()
	case "header":
		for i := range 2000 {
			w.Header().Set(fmt.Sprint("X-Many-", i), strings.Repeat("x", 64))
		}
	case "deep":
		_, _ = io.WriteString(w, strings.Repeat(`[`, 400<<10))
	case "large":
		_, _ = io.WriteString(w, strings.Repeat("x", 128<<10))
	default:
		_, _ = io.WriteString(w, `{}`)
	}
}

// bomb is 4 MiB of zeros, packed once: packing them for each answer takes the attacker
// longer than the broker waits for a first byte.
var bomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(make([]byte, 4<<20))
	if err := errors.Join(err, w.Close()); err != nil {
		panic(err)
	}
	return b.Bytes()
})

// trap is the manifest of a hostile upstream. rows makes the broker read the answer.
const trap = `  - name: things.get
    severity: READ
    method: GET
    path: /things/{id}
    arguments: {type: object, required: [id], properties: {id: {type: string}}}
    resources: ["thing:{id}"]
    response: {max_bytes: 1MiB, rows: /rows}
    timeout: 6s
    first_byte: 2s
    idle: 2s
  - name: things.stream
    severity: READ
    method: GET
    path: /streams/{id}
    arguments: {type: object, required: [id], properties: {id: {type: string}}}
    resources: ["thing:{id}"]
    response: {max_bytes: 64MiB}
    timeout: 5m
`

// trapped is a broker with a hostile upstream in the workspace default, and a harmless
// connector in the other.
func trapped(t *testing.T, edit ...func(*config.Config)) (*testenv.Broker, *burden) {
	t.Helper()
	bomb() // now, and not while a broker waits for it
	h := &burden{}
	upstream := testenv.NewUpstream(t, h)
	b := testenv.NewSite(t, "", 0).Start(t, edit...)
	b.Apply(t, upstream.Manifest("things", bearer, trap))
	b.Put(t, "things", "alice", canary)
	operator := b.Client(t, testenv.Operator, "")
	_, err := operator.Connectors().Apply(t.Context(), &onedoorv1.ConnectorsApplyRequest{Workspace: "other", Manifest: upstream.Manifest("things", bearer, trap)})
	require.NoError(t, err)
	_, err = operator.Credentials().Put(t.Context(), &onedoorv1.CredentialsPutRequest{
		Workspace: "other", Connector: "things", Secret: []byte(canary), Owner: &onedoorv1.CredentialsPutRequest_User{User: "alice"},
	})
	require.NoError(t, err)
	return b, h
}

func inOther(r *onedoorv1.TasksCreateRequest) { r.Workspace = "other" }

// TestAttack27_HostileAnswer: each is ended by a limit of its own, and the trail says that
// the call was made.
func TestAttack27_HostileAnswer(t *testing.T) {
	b, h := trapped(t)
	rest := b.REST(t, testenv.Sandbox, b.Mint(t, nil, "things: things.get READ thing:*").Key)
	counted := b.REST(t, testenv.Sandbox, b.Mint(t, nil, "things: things.get READ thing:* rows=1000000").Key)
	t.Run("at once", func(t *testing.T) {
		for id, reason := range map[string]string{
			"endless": "RESPONSE_TOO_LARGE", "bomb": "RESPONSE_TOO_LARGE", "stall": "UPSTREAM_TIMEOUT", "slow": "UPSTREAM_TIMEOUT",
			"silent": "UPSTREAM_TIMEOUT", "header": "OUTCOME_UNKNOWN", "events": "RESPONSE_TOO_LARGE",
		} {
			t.Run(id, func(t *testing.T) {
				t.Parallel()
				answer := rest.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"`+id+`"}`))
				require.Equal(t, reason, answer.Reason(t), answer.Body)
			})
		}
	})
	t.Run("deep", func(t *testing.T) {
		answer := counted.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"deep"}`))
		require.Equal(t, "LIMIT_REACHED", answer.Reason(t), answer.Body)
	})
	for _, why := range []string{"no answer began in time", "the answer paused for too long", "context deadline exceeded"} {
		testenv.Eventually(t, "the log: each by its own limit", func() bool { return strings.Contains(b.Log(), why) })
	}
	testenv.Eventually(t, "every upstream is let go", func() bool { return h.running.Load() == 0 && b.Metric(t, "onedoor_held_bytes") == 0 })
}

// TestAttack27_ThousandHostileStreams: a workspace's thousand answers that all stall half
// way take no more than their part of the memory, and every call of another succeeds.
func TestAttack27_ThousandHostileStreams(t *testing.T) {
	const budget = 24 << 20
	b, h := trapped(t, func(c *config.Config) {
		c.Limits.Task.Concurrent, c.Limits.User.Concurrent, c.Limits.Connector.Concurrent = 1000, 1000, 1000
		c.Limits.HeldBytes = budget
	})
	rest := b.REST(t, testenv.Sandbox, b.Mint(t, nil, "things: things.get READ thing:*").Key)
	other := b.REST(t, testenv.Sandbox, b.Mint(t, inOther, "things: things.get READ thing:*").Key)
	var all sync.WaitGroup
	var dropped, most atomic.Int64
	for i := range 1000 {
		id := []string{"stall", "stall", "stall", "slow", "bomb"}[i%5]
		all.Go(func() {
			if rest.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"`+id+`"}`)).Reason(t) == "ANSWER_DROPPED" {
				dropped.Add(1)
			}
		})
	}
	testenv.Eventually(t, "they have begun", func() bool { return h.running.Load() > 50 })
	for range 60 {
		most.Store(max(most.Load(), int64(b.Metric(t, "onedoor_held_bytes"))))
		answer := other.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`))
		require.Equal(t, http.StatusOK, answer.Status, answer.Body)
	}
	all.Wait()
	require.Positive(t, dropped.Load(), "the budget was reached")
	require.Less(t, most.Load(), int64(budget), "others had room all the time")
	require.Less(t, b.Memory(t), int64(700<<20))
	testenv.Eventually(t, "nothing is held in the end", func() bool { return b.Metric(t, "onedoor_held_bytes") == 0 })
}

// TestAttack27_CallerThatDoesNotRead: an answer that nobody takes holds what it holds
// until its time is over; then the caller is cut off and the upstream let go.
func TestAttack27_CallerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	b, h := trapped(t, func(c *config.Config) { c.Limits.SendTimeout = config.Duration(time.Second) })
	task := b.Mint(t, nil, "things: things.get,things.stream READ thing:*")
	identity := b.TLS(t, testenv.Sandbox)
	whole := &onedoorv1.InvokeRequest{Connector: "things", Tool: "things.get", ArgumentsJson: []byte(`{"id":"large"}`)}
	streamed := &onedoorv1.InvokeStreamRequest{Connector: "things", Tool: "things.stream", ArgumentsJson: []byte(`{"id":"endless"}`)}
	t.Run("whole", func(t *testing.T) {
		conn := testenv.DialHTTP2(t, b.Addr, identity, 0)
		for range 20 {
			_, err := conn.GRPC(t, onedoorv1.Broker_Invoke_FullMethodName, task.Key, whole, true)
			require.NoError(t, err)
		}
		testenv.Eventually(t, "they are held", func() bool {
			return b.Metric(t, "onedoor_held_bytes") > 2<<20 && b.Metric(t, "onedoor_rpcs_running") == 0
		})
		testenv.Eventually(t, "the connection is closed", conn.IsClosed)
	})
	t.Run("streamed", func(t *testing.T) {
		conn := testenv.DialHTTP2(t, b.Addr, identity, 0)
		_, err := conn.GRPC(t, onedoorv1.Broker_InvokeStream_FullMethodName, task.Key, streamed, true)
		require.NoError(t, err)
		testenv.Eventually(t, "the connection is closed", conn.IsClosed)
	})
	t.Run("taken back", func(t *testing.T) {
		// Whoever takes calls back and reads the rest keeps the connection, even after the
		// time in which what was taken back would have had to be read.
		conn := testenv.DialHTTP2(t, b.Addr, identity, 1000)
		for range 20 {
			id, err := conn.GRPC(t, onedoorv1.Broker_InvokeStream_FullMethodName, task.Key, streamed, true)
			require.NoError(t, err)
			testenv.Eventually(t, "it runs", func() bool { return b.Metric(t, "onedoor_rpcs_running") > 0 })
			require.NoError(t, conn.Reset(id))
			testenv.Eventually(t, "it has ended", func() bool { return b.Metric(t, "onedoor_rpcs_running") == 0 })
		}
		silent := &onedoorv1.InvokeRequest{Connector: "things", Tool: "things.get", ArgumentsJson: []byte(`{"id":"silent"}`)}
		for n := range 2 { // a second each
			_, err := conn.GRPC(t, onedoorv1.Broker_Invoke_FullMethodName, task.Key, silent, true)
			require.NoError(t, err)
			testenv.Eventually(t, "it is answered", func() bool { return conn.Ended() == n+1 })
		}
		require.False(t, conn.IsClosed())
	})
	t.Run("REST", func(t *testing.T) {
		body := invoke("things.stream", `{"id":"endless"}`)
		conn := speak(t, hostOf(b.RESTURL), identity, "POST /v1/invoke:stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer "+
			task.Key+fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n", len(body))+body)
		testenv.Eventually(t, "it has begun", func() bool { return h.running.Load() > 0 })
		testenv.Eventually(t, "it has been cut", func() bool { return b.Metric(t, "onedoor_rpcs_running") == 0 })
		_ = conn.Close()
	})
	testenv.Eventually(t, "nothing is held, and the upstream is let go", func() bool {
		return b.Metric(t, "onedoor_held_bytes") == 0 && h.running.Load() == 0
	})
}

// TestAttack27_RequestsThatGrow: JSON that is small to send and large to hold is refused
// before anything of it is understood, whichever way it comes.
func TestAttack27_RequestsThatGrow(t *testing.T) {
	b, upstream := target(t, quick)
	b.Apply(t, strings.Replace(upstream.Manifest("llm", bearer, `  - name: chat
    severity: READ
    method: POST
    path: /v1/chat/completions
    body: all
    arguments: {type: object, required: [model], properties: {model: {type: string}, messages: {}}}
    resources: ["model:{model}"]
`), "kind: http", "kind: model\nmodel: {dialect: openai}", 1))
	b.Put(t, "llm", "alice", canary)
	task := b.Mint(t, nil, "things: things.make WRITE thing:*", "llm: chat READ model:*")
	rest := b.REST(t, testenv.Sandbox, task.Key)
	sandbox := b.Client(t, testenv.Sandbox, task.Key).Broker()
	for name, value := range map[string]string{
		"deep":     strings.Repeat(`[`, 1<<20) + strings.Repeat(`]`, 1<<20),
		"deep too": strings.Repeat(`{"a":`, 300<<10) + "1" + strings.Repeat(`}`, 300<<10),
		"wide":     "[" + strings.Repeat("0,", 1<<20) + "0]",
		"empty":    "[" + strings.Repeat("[],", 1<<20) + "[]]",
	} {
		t.Run(name, func(t *testing.T) {
			answer := rest.Do(t, http.MethodPost, "/v1/invoke", invoke("things.make", `{"name":`+value+`}`))
			require.Equal(t, http.StatusBadRequest, answer.Status)
			_, err := sandbox.Invoke(t.Context(), &onedoorv1.InvokeRequest{Connector: "things", Tool: "things.make", ArgumentsJson: []byte(`{"name":` + value + `}`)})
			require.ErrorIs(t, err, client.ArgumentInvalid)
			require.Regexp(t, "deeper than|more than", err.Error())
			passed := rest.Do(t, http.MethodPost, "/c/llm/v1/chat/completions", `{"model":"m","messages":`+value+`}`)
			require.Equal(t, http.StatusBadRequest, passed.Status, short(passed.Body))
		})
	}
	require.Zero(t, upstream.Requests())
}
