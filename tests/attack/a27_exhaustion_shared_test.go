package attack_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// TestAttack27_FloodFromASharedAddress: many sandboxes reach the listener for JWT-SVIDs
// from one address. Neither strangers there nor one of them that guesses keys shut the
// others out.
func TestAttack27_FloodFromASharedAddress(t *testing.T) {
	b, _ := target(t, quick, func(c *config.Config) {
		c.Limits.FailuresPerSecond, c.Limits.FailureBurst = 0.001, 20
		c.Listeners.RESTJWT = config.JWTListener{Listener: config.Listener{Address: "127.0.0.1:0"}, Audience: "onedoor"}
	})
	task := b.Mint(t, nil, readThings)
	header := func(as testenv.Role) []string {
		svid, err := workloadapi.FetchJWTSVID(t.Context(), jwtsvid.Params{Audience: "onedoor"}, workloadapi.WithAddr(b.Socket(as)))
		require.NoError(t, err)
		return []string{"X-Onedoor-Jwt-Svid", svid.Marshal()}
	}
	ask := func(key string, header ...string) testenv.Answer {
		return b.RESTWith(t, b.Anonymous(t), b.JWTURL, key).Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`), header...)
	}
	guesser, honest := header(testenv.Sandbox2), header(testenv.Sandbox)
	for name, attempt := range map[string]func() testenv.Answer{
		"strangers": func() testenv.Answer { return ask(task.Key) },
		"a guesser": func() testenv.Answer { return ask("odk_guess", guesser...) },
	} {
		for range 20 {
			require.Equal(t, http.StatusUnauthorized, attempt().Status, name)
		}
		require.Equal(t, "peer", attempt().Metadata(t)["limit"], name)
	}
	require.Equal(t, http.StatusOK, ask(task.Key, honest...).Status)
}

// TestAttack27_FewFillTheBudget: two workloads announce as many requests as they are let,
// and send none of them. Whoever comes next finds room.
func TestAttack27_FewFillTheBudget(t *testing.T) {
	b, _ := target(t, quick, func(c *config.Config) { c.Limits.HeldBytes = 4 << 20 })
	task := b.Mint(t, nil, readThings)
	honest := b.Client(t, testenv.Sandbox, task.Key)
	for _, as := range []testenv.Role{testenv.Sandbox2, testenv.Orchestrator} {
		conn := testenv.DialHTTP2(t, b.Addr, b.TLS(t, as), 1<<20)
		for range 200 {
			_, err := conn.GRPC(t, onedoorv1.Broker_Invoke_FullMethodName, task.Key, &onedoorv1.InvokeRequest{Connector: "things", Tool: "things.get"}, false)
			require.NoError(t, err)
		}
		testenv.Eventually(t, "some are refused", func() bool { return conn.Ended() > 50 })
	}
	_, err := honest.Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
	require.NoError(t, err)
	served := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`))
	require.Equal(t, http.StatusOK, served.Status, served.Body)
	testenv.Eventually(t, "nothing is held in the end", func() bool { return b.Metric(t, "onedoor_held_bytes") == 0 })
}

// TestAttack27_NoRoomIsSaid: who is refused for want of memory is told so with an id and a
// time, and the operator sees it, though the call never came to the chain.
func TestAttack27_NoRoomIsSaid(t *testing.T) {
	b, upstream := target(t, quick, func(c *config.Config) { c.Limits.HeldBytes = 4 << 20 })
	task := b.Mint(t, nil, readThings)
	large := strings.Repeat("x", 3<<20)
	answer := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"`+large+`"}`))
	require.Equal(t, http.StatusTooManyRequests, answer.Status)
	require.Equal(t, "RATE_LIMITED", answer.Reason(t))
	require.Equal(t, "memory", answer.Metadata(t)["limit"])
	require.NotEmpty(t, answer.Header.Get("Retry-After"))
	ids := []string{answer.Metadata(t)["invocation_id"]}

	_, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": large})
	var told *client.Error
	require.ErrorAs(t, err, &told)
	require.Equal(t, client.RateLimited, told.Reason)
	require.Equal(t, "memory", told.Metadata["limit"])
	require.Positive(t, told.RetryAfter)
	ids = append(ids, told.InvocationID)

	require.Empty(t, upstream.Wire())
	require.GreaterOrEqual(t, b.Metric(t, `onedoor_limited_total{limit="memory"}`), 2.0)
	for _, id := range ids {
		require.NotEmpty(t, id)
		testenv.Eventually(t, "the log", func() bool { return strings.Contains(b.Log(), `"msg":"call refused","invocation_id":"`+id+`"`) })
	}
}

// TestAttack27_RequestsThatDoNotCome: what is announced and not sent, or sent in part,
// counts with its header; one who does that much gets no further, and others do.
func TestAttack27_RequestsThatDoNotCome(t *testing.T) {
	b, _ := target(t, quick, func(c *config.Config) { c.Limits.HeldBytes = 16 << 20 })
	task := b.Mint(t, nil, readThings)
	flooder := b.TLS(t, testenv.Sandbox2)
	headers := func(fields ...string) []string {
		for range 3 {
			fields = append(fields, "x-pad", strings.Repeat("a", 4000))
		}
		return fields
	}
	for name, one := range map[string]struct {
		address, path string
		fields        []string
	}{
		"grpc": {b.Addr, onedoorv1.Broker_Invoke_FullMethodName, headers("content-type", "application/grpc", "te", "trailers")},
		"rest": {hostOf(b.RESTURL), "/v1/invoke", headers("content-type", "application/json", "content-length", "1000")},
	} {
		conn := testenv.DialHTTP2(t, one.address, flooder, 1<<20)
		for range 250 { // 4 MiB of streams, and 3 MiB of headers
			_, err := conn.Begin(false, http.MethodPost, one.path, one.fields...)
			require.NoError(t, err)
		}
		testenv.Eventually(t, "a third of 16 MiB is held: "+name, func() bool { return conn.Ended() > 0 && b.Metric(t, "onedoor_held_bytes") > 4<<20 })
		conn.Close()
		testenv.Eventually(t, "and given back: "+name, func() bool { return b.Metric(t, "onedoor_held_bytes") == 0 })
	}
	half := "POST /v1/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n\r\n" + strings.Repeat("x", 1<<20)
	var answers []net.Conn
	for range 8 {
		answers = append(answers, speak(t, hostOf(b.RESTURL), flooder, half))
	}
	testenv.Eventually(t, "a third of 16 MiB is held: bodies", func() bool { return b.Metric(t, "onedoor_held_bytes") > 3<<20 })
	served := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`))
	require.Equal(t, http.StatusOK, served.Status, served.Body)
	require.Less(t, b.Metric(t, "onedoor_held_bytes"), 6.0*(1<<20))
	for _, conn := range answers {
		require.NoError(t, conn.Close())
	}
	testenv.Eventually(t, "nothing is held in the end", func() bool { return b.Metric(t, "onedoor_held_bytes") == 0 })
}

// TestAttack27_LargeRequestsThatWait: what waits for its turn counts for as long as it does.
func TestAttack27_LargeRequestsThatWait(t *testing.T) {
	g := &gate{}
	b, _ := target(t, g.ServeHTTP, noisy, func(c *config.Config) { c.Limits.Task.Concurrent, c.Limits.User.Concurrent = 6, 6 })
	loud := b.Mint(t, nil, readThings)
	running := noise(t, b, b.Mint(t, nil, readThings).Key, "held", 6)
	testenv.Eventually(t, "all places of the user are taken", func() bool { return len(g.arrivals()) == 6 })
	large := []byte(`{"id":"quick","pad":"` + strings.Repeat("x", 2<<20) + `"}`)
	var waiting sync.WaitGroup
	for range 4 {
		waiting.Go(func() {
			request := &onedoorv1.InvokeRequest{Connector: "things", Tool: "things.get", ArgumentsJson: large}
			_, _ = b.Client(t, testenv.Sandbox, loud.Key).Broker().Invoke(t.Context(), request) // refused for its arguments, in the end
		})
	}
	testenv.Eventually(t, "they wait, and count", func() bool {
		return b.Metric(t, "onedoor_calls_waiting") == 4 && b.Metric(t, "onedoor_held_bytes") >= 8<<20
	})
	close(g.leave("held"))
	waiting.Wait()
	running.Wait()
	testenv.Eventually(t, "nothing is held in the end", func() bool { return b.Metric(t, "onedoor_held_bytes") == 0 })
}

// slowly opens a way to an address on which answers come at a pace, in bytes a second.
func slowly(t *testing.T, address string, pace int) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", address)
			if err != nil {
				_ = near.Close()
				return
			}
			_ = far.(*net.TCPConn).SetReadBuffer(128 << 10) // what the kernel holds is not on the way
			go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
			go func() {
				defer func() { _ = near.Close() }()
				for next := time.Now(); ; time.Sleep(time.Until(next)) { // the link itself
					if _, err := io.CopyN(near, far, int64(pace/100)); err != nil {
						return
					}
					next = next.Add(10 * time.Millisecond)
				}
			}()
		}
	}()
	return l.Addr().String()
}

// TestLimitsBearASlowLink: whoever takes many answers over a slow link, but takes them, keeps
// the connection for longer than one of them alone might take.
func TestLimitsBearASlowLink(t *testing.T) {
	t.Parallel()
	b, _ := trapped(t, func(c *config.Config) { c.Limits.SendTimeout = config.Duration(time.Second) })
	task := b.Mint(t, nil, "things: things.get READ thing:*")
	slow := *b
	slow.Addr = slowly(t, b.Addr, 1<<20) // four seconds for all, of which each alone may take two
	c := slow.Client(t, testenv.Sandbox, task.Key)
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			answer, err := c.Broker().Invoke(t.Context(), &onedoorv1.InvokeRequest{Connector: "things", Tool: "things.get", ArgumentsJson: []byte(`{"id":"large"}`)})
			if assert.NoError(t, err) {
				assert.Len(t, answer.GetBody(), 128<<10)
			}
		})
	}
	all.Wait()
}

// TestLimitsBearLongCalls: an answer that comes late, or bit by bit, may take longer than a
// request may take to arrive and an answer to be taken.
func TestLimitsBearLongCalls(t *testing.T) {
	b, _ := target(t, func(w http.ResponseWriter, r *http.Request) {
		for range 12 {
			if strings.HasSuffix(r.URL.Path, "/bits") {
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
			}
			time.Sleep(200 * time.Millisecond) // the upstream's own time
		}
		_, _ = io.WriteString(w, "x")
	}, func(c *config.Config) {
		c.Limits.ReceiveTimeout, c.Limits.SendTimeout = config.Duration(time.Second), config.Duration(time.Second)
	})
	task := b.Mint(t, nil, readThings)
	for _, protocol := range []string{"h2", "http/1.1"} {
		conf := b.TLS(t, testenv.Sandbox).Clone()
		conf.NextProtos = []string{protocol}
		rest := b.RESTWith(t, conf, b.RESTURL, task.Key)
		for _, id := range []string{"late", "bits"} {
			for path, end := range map[string]string{"/v1/invoke": `"status":200`, "/v1/invoke:stream": `"end":`} {
				t.Run(protocol+" "+path+" "+id, func(t *testing.T) {
					t.Parallel()
					answer := rest.Do(t, http.MethodPost, path, invoke("things.get", `{"id":"`+id+`"}`))
					require.Equal(t, http.StatusOK, answer.Status, answer.Body)
					require.Contains(t, answer.Body, end)
				})
			}
		}
	}
	t.Run("grpc", func(t *testing.T) {
		t.Parallel()
		_, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "late"})
		require.NoError(t, err)
	})
}

// TestLimitsBearAnOrchestrator: one that mints a thousand tasks as fast as it can is not
// slowed down.
func TestLimitsBearAnOrchestrator(t *testing.T) {
	b, _ := target(t, quick)
	tasks := b.Client(t, testenv.Orchestrator, "").Tasks()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for range 20 {
				_, err := tasks.Create(t.Context(), &onedoorv1.TasksCreateRequest{
					Agent: "tester", User: "alice", Sandbox: b.SPIFFEID(testenv.Sandbox), Grants: []string{readThings}, Ttl: durationpb.New(time.Minute),
				})
				if !assert.NoError(t, err) {
					return
				}
			}
		})
	}
	all.Wait()
}
