package egress_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

func TestDoJudgesAddresses(t *testing.T) {
	ca := newAuthority(t)
	var hits atomic.Int64
	server := ca.serve(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
	for _, c := range []struct {
		name, answer string
		allow        []netip.Prefix
		ok           bool
	}{
		{"loopback in its range", "127.0.0.1", loopback, true},
		{"mapped loopback in its range", "::ffff:127.0.0.1", loopback, true},
		{"loopback without a range", "127.0.0.1", nil, false},
		{"loopback under another range", "127.0.0.1", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, false},
		{"mapped loopback", "::ffff:127.0.0.1", nil, false},
		{"IPv6 loopback", "::1", loopback, false},
		{"unspecified", "0.0.0.0", loopback, false},
		{"metadata", "169.254.169.254", loopback, false},
		{"one bad answer of many", "127.0.0.1 10.0.0.1", loopback, false},
		{"the bad answer first", "10.0.0.1 127.0.0.1", loopback, false},
		{"a public answer beside a private one", "93.184.215.14 10.0.0.1", nil, false},
		{"zone", "fe80::1%lo", loopback, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			hits.Store(0)
			b := newBench(t, ca, server.Listener.Addr(), answer(c.answer))
			b.policy.AllowRanges = c.allow
			if c.ok {
				b.fetch(t, b.get("/"))
				require.EqualValues(t, 1, hits.Load())
				return
			}
			b.refuse(t, b.get("/path"), egress.Denied, false)
			require.Zero(t, hits.Load())
		})
	}
}

// The name points elsewhere at each question. What was judged is what is dialled: one
// question a connection, and none between judging and connecting.
func TestDoSurvivesRebinding(t *testing.T) {
	ca := newAuthority(t)
	var hits atomic.Int64
	server := ca.serve(t, func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		w.Header().Set("Connection", "close")
	})
	resolver := answer("127.0.0.1", "127.0.0.2", "127.0.0.1")
	b := newBench(t, ca, server.Listener.Addr(), resolver)
	b.policy.AllowRanges = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

	b.fetch(t, b.get("/"))
	require.Equal(t, 1, resolver.questions())
	b.door.Forget(func(egress.PoolKey) bool { return true })
	b.refuse(t, b.get("/"), egress.Denied, false)
	require.Equal(t, 2, resolver.questions())
	b.fetch(t, b.get("/"))
	require.EqualValues(t, 2, hits.Load())
}

// The last judgement is on the socket itself, whatever came before it.
func TestSocketsAreJudged(t *testing.T) {
	policy := egress.Policy{AllowRanges: loopback}
	for _, c := range []struct {
		address string
		ok      bool
	}{
		{"127.0.0.1:443", true}, {"8.8.8.8:443", true}, {"[::ffff:127.0.0.1]:443", true},
		{"10.0.0.1:443", false}, {"169.254.169.254:443", false}, {"[::1]:443", false}, {"[fe80::1%lo]:443", false},
		{"crm.test:443", false}, {"127.0.0.1", false}, {"", false},
	} {
		t.Run(c.address, func(t *testing.T) {
			err := egress.ControlSocket(t.Context(), policy, c.address)
			if c.ok {
				require.NoError(t, err)
				return
			}
			requireError(t, err, egress.Denied, false)
		})
	}
}

func TestDialerKnowsOneOrigin(t *testing.T) {
	resolver := answer("127.0.0.1")
	for _, other := range []string{"other.test:443", "crm.test:444", "127.0.0.1:443", ""} {
		_, err := egress.DialOther(t.Context(), resolver, origin(t, "https://crm.test"), egress.Policy{AllowRanges: loopback}, other)
		requireError(t, err, egress.Denied, false)
	}
	require.Zero(t, resolver.questions())
}

// net/http reads the environment once a process, so this one gets its own.
func TestDoIgnoresProxiesOfTheEnvironment(t *testing.T) {
	const inside = "EGRESS_TEST_INSIDE"
	if os.Getenv(inside) != "" {
		b := upstream(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
		_, text := b.fetch(t, b.get("/"))
		require.Equal(t, "ok", text)
		return
	}
	var proxied atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	t.Cleanup(proxy.Close)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inside+"=1", "HTTPS_PROXY="+proxy.URL, "https_proxy="+proxy.URL, "ALL_PROXY="+proxy.URL, "NO_PROXY=", "no_proxy=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Zero(t, proxied.Load())
}
