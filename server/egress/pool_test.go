package egress_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

// Two credentials, two connections; one credential, one connection; and none left once
// it is forgotten.
func TestPoolsAreNeverShared(t *testing.T) {
	ca := newAuthority(t)
	var mu sync.Mutex
	seen := map[string]map[string]bool{} // remote address → what came over it
	server := ca.serve(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if seen[r.RemoteAddr] == nil {
			seen[r.RemoteAddr] = map[string]bool{}
		}
		seen[r.RemoteAddr][r.Header.Get("X-Key")] = true
	})
	b := newBench(t, ca, server.Listener.Addr(), answer("127.0.0.1"))
	keys := []egress.PoolKey{
		{Workspace: "a", Connector: "c", Revision: 1, Credential: "x@1"}, {Workspace: "b", Connector: "c", Revision: 1, Credential: "x@1"},
		{Workspace: "a", Connector: "d", Revision: 1, Credential: "x@1"}, {Workspace: "a", Connector: "c", Revision: 2, Credential: "x@1"},
		{Workspace: "a", Connector: "c", Revision: 1, Credential: "x@2"},
	}
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			mine := *b
			mine.key = keys[i%len(keys)]
			req := b.get("/")
			req.Header = http.Header{"X-Key": {fmt.Sprint(mine.key)}}
			mine.fetch(t, req)
		})
	}
	wg.Wait()
	for addr, came := range seen {
		require.Len(t, came, 1, addr)
	}

	before := len(seen)
	b.key = keys[0]
	b.fetch(t, b.get("/"))
	require.Len(t, seen, before, "the connection is used again")
	b.door.Forget(func(k egress.PoolKey) bool { return k.Credential == "x@1" })
	b.fetch(t, b.get("/"))
	require.Len(t, seen, before+1, "a forgotten one is not")
	b.policy.AllowRanges = append([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, b.policy.AllowRanges...)
	b.fetch(t, b.get("/"))
	require.Len(t, seen, before+2, "nor one under another policy")
}

func TestPoolsAreBounded(t *testing.T) {
	ca := newAuthority(t)
	server := ca.serve(t, func(http.ResponseWriter, *http.Request) {})
	resolver := answer("127.0.0.1")
	b := newBench(t, ca, server.Listener.Addr(), resolver)
	b.door = egress.New(egress.Options{Resolver: resolver, MaxPools: 2})
	use := func(credential string) int {
		b.key.Credential = credential
		b.fetch(t, b.get("/"))
		return resolver.questions()
	}
	require.Equal(t, 1, use("a"))
	require.Equal(t, 2, use("b"))
	require.Equal(t, 2, use("a"))
	require.Equal(t, 3, use("c"), "takes the place of b")
	require.Equal(t, 3, use("a"))
	require.Equal(t, 4, use("b"))
}

func TestClosedDoor(t *testing.T) {
	b := upstream(t, func(http.ResponseWriter, *http.Request) {})
	b.fetch(t, b.get("/"))
	b.door.Close()
	b.refuse(t, b.get("/path"), egress.Denied, false)
}

// A pooled connection that the upstream closes in the very moment of use: a POST is
// delivered at most once, and its outcome is unknown; a GET may be sent again.
func TestDoRetriesNothingThatCouldHarm(t *testing.T) {
	ca := newAuthority(t)
	for _, c := range []struct {
		name   string
		method string
		header http.Header
		again  bool
	}{
		{"POST", "POST", nil, false},
		{"POST with a body that could be rewound", "POST", nil, false},
		{"PUT", "PUT", nil, false},
		{"DELETE", "DELETE", nil, false},
		{"PATCH", "PATCH", nil, false},
		{"GET", "GET", nil, true},
		{"POST with a key", "POST", http.Header{"Idempotency-Key": {"k"}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var delivered atomic.Int64
			body := []byte(nil)
			if strings.Contains(c.name, "body") {
				body = []byte("body")
			}
			addr := rawUpstream(t, ca.server(t, host), func(n int, conn net.Conn) {
				for i := 0; ; i++ {
					text := readRequest(conn, 0)
					if text == "" {
						return
					}
					if strings.Contains(text, "/second") {
						delivered.Add(1)
						if n == 0 {
							return // dies after reading, before answering
						}
					}
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			})
			b := newBench(t, ca, addr, answer("127.0.0.1"))
			b.fetch(t, b.get("/first"))
			req := &egress.Request{Method: c.method, Origin: b.origin, Path: "/second", Header: c.header, Body: body}
			if c.again {
				b.fetch(t, req)
				require.EqualValues(t, 2, delivered.Load())
				return
			}
			b.refuse(t, req, egress.Lost, true)
			require.EqualValues(t, 1, delivered.Load())
		})
	}
}
