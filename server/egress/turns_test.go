package egress_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

func TestTurns(t *testing.T) {
	near, far := net.Pipe()
	conn, begin := egress.NewTurns(near)
	send := func(text string) { go func() { _, _ = io.WriteString(far, text) }() }
	read := func() (string, error) {
		p := make([]byte, 16)
		n, err := conn.Read(p)
		return string(p[:n]), err
	}
	ask := func() {
		go func() { _, _ = io.ReadFull(far, make([]byte, 3)) }()
		_, err := io.WriteString(conn, "ask")
		require.NoError(t, err)
	}

	send("early")
	_, err := read()
	require.ErrorContains(t, err, "before it was asked", "the first turn")
	ask()
	send("answer")
	got, err := read()
	require.NoError(t, err)
	require.Equal(t, "answer", got)

	// The reader has not come back yet: what it has read may not have been looked at.
	began := make(chan struct{})
	go func() { defer close(began); begin() }()
	result := make(chan error)
	go func() { _, err := read(); result <- err }()
	<-began
	send("late")
	require.ErrorContains(t, <-result, "before it was asked", "the second turn")

	require.NoError(t, conn.Close())
	begin() // does not wait for a reader that has gone
}

// An answer that is there when the next request is written is not that request's.
func TestDoTakesNoAnswerBeforeItAsked(t *testing.T) {
	ca := newAuthority(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", ca.server(t, host))
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	inject, injected := make(chan struct{}), make(chan struct{})
	go func() {
		for first := true; ; first = false {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answerInTurn(c, first, inject, injected)
		}
	}()
	b := newBench(t, ca, l.Addr(), answer("127.0.0.1"))
	get := func(trace *httptrace.ClientTrace) string {
		res, err := b.door.Do(httptrace.WithClientTrace(t.Context(), trace), b.key, b.policy, b.get("/"), egress.Attachment{}, b.limits)
		require.NoError(t, err)
		body, err := res.Bytes()
		require.NoError(t, err)
		return string(body)
	}
	require.Equal(t, "answer", get(&httptrace.ClientTrace{}))
	var once sync.Once
	require.Equal(t, "answer", get(&httptrace.ClientTrace{
		// The request is on its way into a buffer, and none of it on the wire.
		WroteHeaderField: func(string, []string) {
			once.Do(func() {
				close(inject)
				select {
				case <-injected:
				case <-time.After(5 * time.Second): // only where the answer was taken
				}
			})
		},
	}))
	<-injected
}

// answerInTurn answers each request, and on the first connection sends one more answer
// when told, and tells when the connection has ended of it.
func answerInTurn(c net.Conn, first bool, inject <-chan struct{}, injected chan<- struct{}) {
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	for n := 0; ; n++ {
		if first && n == 1 {
			<-inject
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
			_, _ = io.Copy(io.Discard, r)
			close(injected)
			return
		}
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer")
	}
}

// What an honest upstream says before it has read the whole request is its answer: hints,
// and a refusal that does not wait for the body. The connection serves the next one too.
func TestDoTakesEarlyAnswers(t *testing.T) {
	for name, text := range map[string]string{
		"a refusal": "",
		"hints":     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			ca := newAuthority(t)
			l, err := tls.Listen("tcp", "127.0.0.1:0", ca.server(t, host))
			require.NoError(t, err)
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer func() { _ = c.Close() }()
						r := bufio.NewReader(c)
						for {
							request, err := http.ReadRequest(r)
							if err != nil {
								return
							}
							_, _ = io.WriteString(c, text+"HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nearly")
							_, _ = io.Copy(io.Discard, request.Body)
						}
					}()
				}
			}()
			b := newBench(t, ca, l.Addr(), answer("127.0.0.1"))
			post := b.get("/")
			post.Method, post.Body = http.MethodPost, make([]byte, 2<<20) // more than any buffer on the way holds
			for range 5 {
				res, err := b.door.Do(t.Context(), b.key, b.policy, post, egress.Attachment{}, b.limits)
				require.NoError(t, err)
				body, err := res.Bytes()
				require.NoError(t, err)
				require.Equal(t, "413 early", fmt.Sprint(res.Status, " ", string(body)))
			}
		})
	}
}
