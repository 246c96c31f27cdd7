package attack_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

// splitting are answers behind or in which another stands.
var splitting = map[string]string{
	"two answers":             "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst" + poison,
	"bytes behind the body":   "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirstpoison",
	"a body of 204":           "HTTP/1.1 204 No Content\r\nContent-Length: 44\r\n\r\n" + poison,
	"a body of 304":           "HTTP/1.1 304 Not Modified\r\nContent-Length: 44\r\n\r\n" + poison,
	"a length and a coding":   "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n" + poison,
	"two lengths":             "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 49\r\n\r\nfirst" + poison,
	"a negative length":       "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + poison,
	"a signed length":         "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nfirst" + poison,
	"another coding":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + poison,
	"a chunk too long to say": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nfirst\r\n0\r\n\r\n" + poison,
	"a chunk that is longer":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirstpoison\r\n0\r\n\r\n" + poison,
	"another protocol":        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + poison,
	"many hints":              strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n", 10_000) + poison,
	"HTTP/1.0, kept alive":    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nfirst" + poison,
	"a line in a header":      "HTTP/1.1 200 OK\r\nX-Kind: a\r\nContent-Length: 0\r\n\r\n" + poison,
}

// TestAttack14_AnswersAreNotMixed: whatever an upstream sends for one call, the next call
// over the same pool, by the same user or by another, gets its own answer or none.
func TestAttack14_AnswersAreNotMixed(t *testing.T) {
	t.Parallel()
	b := testenv.NewSite(t, "", 0).Start(t)
	var names, grants []string
	for trick, answer := range splitting {
		name := strings.NewReplacer(" ", "-", ",", "", ".", "-", "HTTP/1", "http").Replace(trick)
		origin, ca := splitter(t, answer, "http/1.1")
		b.Apply(t, testenv.Manifest(name, origin, ca, bearerOfAll, testenv.Things))
		b.Put(t, name, "", canary)
		names, grants = append(names, name), append(grants, name+": things.get READ thing:*")
	}
	users := map[string]*client.Client{}
	for _, user := range []string{"alice", "bob"} {
		task := b.Mint(t, func(r *onedoorv1.TasksCreateRequest) { r.User = user }, grants...)
		users[user] = b.Client(t, testenv.Sandbox, task.Key)
	}
	var all sync.WaitGroup
	for n := range 8 {
		for user, c := range users {
			all.Go(func() {
				for _, name := range names {
					_, _ = c.Invoke(t.Context(), name, "things.get", map[string]string{"id": "trick"})
					id := fmt.Sprintf("%s-%d", user, n)
					answer, err := c.Invoke(t.Context(), name, "things.get", map[string]string{"id": id})
					if err == nil && string(answer.Body) != "/things/"+id {
						t.Errorf("%s: %s's call %d was answered with %q", name, user, n, answer.Body)
					}
				}
			})
		}
	}
	all.Wait()
	for _, name := range names { // nothing of it stays
		answer, err := users["bob"].Invoke(t.Context(), name, "things.get", map[string]string{"id": "last"})
		require.NoError(t, err)
		require.Equal(t, "/things/last", string(answer.Body))
	}
}

// An upstream that has agreed to speak HTTP/2 and answers in HTTP/1.1 is not understood.
func TestAttack14_AnotherProtocolThanAgreed(t *testing.T) {
	origin, ca := splitter(t, poison, "h2")
	b := testenv.NewSite(t, "", 0).Start(t)
	b.Apply(t, testenv.Manifest("things", origin, ca, "", testenv.Things))
	task := b.Mint(t, nil, readThings)
	answer, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "trick"})
	require.Error(t, err, "%v", answer)
}

// splitter answers by hand: with the given text to /things/trick, else with the path.
func splitter(t *testing.T, answer string, protocols ...string) (origin, ca string) {
	t.Helper()
	certificate, ca := testenv.Certificate(t, "localhost")
	conf := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: protocols}
	return "https://localhost:" + speaks(t, func(plain net.Conn) {
		c := tls.Server(plain, conf)
		in := bufio.NewReader(c)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			text := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(r.URL.Path), r.URL.Path)
			if r.URL.Path == "/things/trick" {
				text = answer
			}
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}), ca
}
