package attack_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// quick answers at once.
func quick(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) }

// over waits until the other side has ended a connection.
func over(t *testing.T, conn net.Conn) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err := io.Copy(io.Discard, conn)
	require.False(t, errors.Is(err, os.ErrDeadlineExceeded), "the broker leaves it open")
}

// speak opens a connection for HTTP/1.1 and says something.
func speak(t *testing.T, address string, identity *tls.Config, text string) net.Conn {
	t.Helper()
	config := identity.Clone()
	config.NextProtos = []string{"http/1.1"}
	conn, err := tls.Dial("tcp", address, config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	return conn
}

func hostOf(url string) string { return strings.TrimPrefix(url, "https://") }

// TestAttack27_SlowPeers: whoever connects and goes no further is cut off: without a
// handshake, in the middle of a header, of a body, of a message.
func TestAttack27_SlowPeers(t *testing.T) {
	b, _ := target(t, quick, func(c *config.Config) { c.Limits.ReceiveTimeout = config.Duration(time.Second) })
	task := b.Mint(t, nil, readThings)
	identity := b.TLS(t, testenv.Sandbox)
	silent := func(address string) net.Conn {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	begun := func(text string) net.Conn { return speak(t, hostOf(b.RESTURL), identity, text) }
	// The header comes byte by byte, each in good time.
	slow := begun("GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
	go func() {
		for {
			if _, err := io.WriteString(slow, "a"); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond) // the attack itself
		}
	}()
	half := testenv.DialHTTP2(t, b.Addr, identity, 1<<20)
	_, err := half.GRPC(t, onedoorv1.Broker_Invoke_FullMethodName, task.Key, &onedoorv1.InvokeRequest{Connector: "things", Tool: "things.get"}, false)
	require.NoError(t, err)
	stream := testenv.DialHTTP2(t, b.Addr, identity, 1<<20)
	_, err = stream.GRPC(t, onedoorv1.Broker_InvokeStream_FullMethodName, task.Key, &onedoorv1.InvokeStreamRequest{Connector: "things", Tool: "things.get"}, false)
	require.NoError(t, err)
	for _, conn := range []net.Conn{
		silent(b.Addr), silent(hostOf(b.RESTURL)), silent(hostOf(b.PublicURL)), slow,
		begun("POST /v1/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"),
	} {
		over(t, conn)
	}
	testenv.Eventually(t, "the halves are given up", func() bool { return half.Ended() > 0 && stream.Ended() > 0 })
	testenv.Eventually(t, "nothing is held for any of them", func() bool { return b.Metric(t, "onedoor_held_bytes") == 0 && b.Metric(t, "onedoor_rpcs_running") == 0 })
}

// TestAttack27_FloodOfConnections: nobody keeps others out by connecting, neither
// strangers nor one who has proved who they are.
func TestAttack27_FloodOfConnections(t *testing.T) {
	b, _ := target(t, quick, func(c *config.Config) { c.Limits.Connections, c.Limits.ConnectionsPerWorkload = 40, 10 })
	task := b.Mint(t, nil, readThings)
	flooder := b.TLS(t, testenv.Sandbox2)
	for name, address := range map[string]string{"grpc": b.Addr, "rest": hostOf(b.RESTURL)} {
		for range 60 {
			conn, err := net.Dial("tcp", address)
			require.NoError(t, err)
			t.Cleanup(func() { _ = conn.Close() })
		}
		metric := `onedoor_connections{listener="` + name + `"}`
		testenv.Eventually(t, "strangers have no more than a quarter", func() bool { n := b.Metric(t, metric); return n >= 10 && n <= 16 })
		for range 30 {
			proven := flooder.Clone()
			proven.NextProtos = []string{"h2"}
			conn, err := tls.Dial("tcp", address, proven)
			if err != nil {
				continue // refused in the handshake
			}
			t.Cleanup(func() { _ = conn.Close() })
			_, _ = io.WriteString(conn, http2.ClientPreface) // it may be closed already
			_ = http2.NewFramer(conn, conn).WriteSettings()
		}
		testenv.Eventually(t, "one workload has no more than its share", func() bool { return b.Metric(t, metric) <= 10+10+6 })
	}
	served := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`))
	require.Equal(t, http.StatusOK, served.Status, served.Body)
	_, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
	require.NoError(t, err)
}

// TestAttack27_FloodOfHeaders: headers without end, in one frame or in many, are cut off.
func TestAttack27_FloodOfHeaders(t *testing.T) {
	b := testenv.Dev(t)
	identity := b.TLS(t, testenv.Sandbox)
	conn := speak(t, hostOf(b.RESTURL), identity, "GET /v1/task HTTP/1.1\r\nHost: localhost\r\n"+strings.Repeat("X-Many: "+strings.Repeat("a", 100)+"\r\n", 1000)+"\r\n")
	refused, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, refused.Body.Close())
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, refused.StatusCode)
	for name, address := range map[string]string{"grpc": b.Addr, "rest": hostOf(b.RESTURL)} {
		t.Run(name, func(t *testing.T) {
			conn := testenv.DialHTTP2(t, address, identity, 1<<20)
			fields := []string{"content-type", "application/grpc"}
			for range 2000 {
				fields = append(fields, "x-many", strings.Repeat("a", 16))
			}
			block := testenv.HeaderBlock(append([]string{":method", "POST", ":scheme", "https", ":authority", "x", ":path", "/"}, fields...)...)
			require.NoError(t, conn.Say(func(f *http2.Framer) error {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:100]})
			}))
			more := func(f *http2.Framer) error { return f.WriteContinuation(1, false, make([]byte, 16<<10)) }
			sent := 0
			for ; sent < 64<<20; sent += 16 << 10 {
				if conn.Say(more) != nil {
					break
				}
			}
			require.Less(t, sent, 64<<20, "the broker goes on reading")
			testenv.Eventually(t, "the connection is closed", conn.IsClosed)
		})
	}
	require.Equal(t, http.StatusUnauthorized, b.RESTWith(t, identity, b.RESTURL, "odk_x").Do(t, http.MethodGet, "/v1/task", "").Status, "it still serves")
}

// TestAttack27_RapidReset: requests that are taken back as soon as they are made
// (CVE-2023-44487) count for as long as they run, and others are served meanwhile.
func TestAttack27_RapidReset(t *testing.T) {
	g := &gate{}
	b, _ := target(t, g.ServeHTTP, noisy, func(c *config.Config) { c.Limits.Wait = config.Duration(1) })
	loud, quiet := b.Mint(t, nil, readThings), b.Mint(t, nil, readThings)
	served := b.REST(t, testenv.Sandbox, quiet.Key)
	identity := b.TLS(t, testenv.Sandbox)
	request := &onedoorv1.InvokeRequest{Connector: "things", Tool: "things.get", ArgumentsJson: []byte(`{"id":"loud"}`)}
	over := testenv.DialHTTP2(t, b.Addr, identity, 1<<20)
	web := testenv.DialHTTP2(t, hostOf(b.RESTURL), identity, 1<<20)
	for i := range 2000 {
		if id, err := over.GRPC(t, onedoorv1.Broker_Invoke_FullMethodName, loud.Key, request, true); err == nil {
			_ = over.Reset(id) // the broker may have had enough
		}
		if id, err := web.Begin(true, "GET", "/v1/tools", "authorization", "Bearer "+loud.Key); err == nil {
			_ = web.Reset(id)
		}
		if i%200 == 0 {
			answer := served.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"quick"}`))
			require.Equal(t, http.StatusOK, answer.Status, answer.Body)
			require.LessOrEqual(t, b.Metric(t, "onedoor_rpcs_running"), 1500.0)
		}
	}
	require.Positive(t, b.Metric(t, `onedoor_limited_total{limit="task"}`))
	close(g.leave("loud"))
	testenv.Eventually(t, "nothing of it goes on", func() bool { return b.Metric(t, "onedoor_rpcs_running") == 0 })
}

// TestAttack27_FloodOfFrames: frames that ask for an answer and bring nothing cost their
// sender the connection, or are answered; others are served.
func TestAttack27_FloodOfFrames(t *testing.T) {
	b := testenv.Dev(t)
	identity := b.TLS(t, testenv.Sandbox)
	for name, address := range map[string]string{"grpc": b.Addr, "rest": hostOf(b.RESTURL)} {
		t.Run(name, func(t *testing.T) {
			conn := testenv.DialHTTP2(t, address, identity, 1<<20)
			for range 20_000 {
				if conn.Say(func(f *http2.Framer) error { return errors.Join(f.WritePing(false, [8]byte{}), f.WriteSettings()) }) != nil {
					break
				}
			}
		})
	}
	require.Equal(t, http.StatusUnauthorized, b.RESTWith(t, identity, b.RESTURL, "odk_x").Do(t, http.MethodGet, "/v1/task", "").Status, "it still serves")
}
