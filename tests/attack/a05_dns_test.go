package attack_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/tests/testenv"
)

// shifty is the name of an upstream whose DNS the attacker has.
const shifty = "shifty.test"

// rebinding is a broker, the DNS server that it asks, and two connectors to one upstream
// on 127.0.0.1: "things", which allows that address alone, and "public", which allows
// none. On every other address of this machine lies a trap.
type rebinding struct {
	*testenv.Broker
	dns      *testenv.DNS
	upstream *testenv.Upstream
	sandbox  *client.Client
	task     testenv.Task
	trapped  *atomic.Int64
}

func newRebinding(t *testing.T) *rebinding {
	t.Helper()
	closing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }) // each call dials
	r := &rebinding{dns: testenv.NewDNS(t), upstream: testenv.NewNamedUpstream(t, closing, shifty)}
	r.trapped = traps(t, r.upstream.Port)
	r.Broker = testenv.NewSite(t, "", 0).Start(t, r.dns.Use)
	manifest := r.upstream.Manifest("things", bearer, testenv.Things)
	require.Contains(t, manifest, "network: {allow: [127.0.0.0/8]}\n")
	r.Apply(t, strings.Replace(manifest, "127.0.0.0/8", "127.0.0.1/32", 1))
	r.Apply(t, strings.Replace(strings.Replace(manifest, "network: {allow: [127.0.0.0/8]}\n", "", 1), "connector: things", "connector: public", 1))
	r.Put(t, "things", "alice", canary)
	r.Put(t, "public", "alice", canary)
	r.task = r.Mint(t, nil, readThings, "public: things.get READ thing:*")
	r.sandbox = r.Client(t, testenv.Sandbox, r.task.Key)
	return r
}

// traps listen on a port of every loopback address but 127.0.0.1 and count who comes.
func traps(t *testing.T, port string) *atomic.Int64 {
	t.Helper()
	trapped := &atomic.Int64{}
	var running sync.WaitGroup
	t.Cleanup(running.Wait) // the last one, after the listeners are closed
	for _, at := range []string{"127.0.0.2", "127.1.2.3", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(at, port))
		require.NoError(t, err)
		running.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				trapped.Add(1)
				_ = c.Close()
			}
		})
		t.Cleanup(func() { _ = l.Close() })
	}
	return trapped
}

func (r *rebinding) call(t *testing.T, connector string) error {
	t.Helper()
	_, err := r.sandbox.Invoke(t.Context(), connector, "things.get", map[string]string{"id": "1"})
	return err
}

// requireUntouched demands that nothing was sent to anybody.
func (r *rebinding) requireUntouched(t *testing.T, what string) {
	t.Helper()
	require.Empty(t, r.upstream.Wire(), what)
	require.Zero(t, r.trapped.Load(), what)
}

// What DNS can say of a name, and what becomes of the call.
func TestAttack05_Answers(t *testing.T) {
	t.Parallel()
	r := newRebinding(t)
	many := func(n int, last string) (list []string) {
		for range n {
			list = append(list, "127.0.0.1")
		}
		return append(list, last)
	}
	for name, c := range map[string]struct {
		answer testenv.Records
		want   error // nil: the upstream is called
	}{
		"good":                            {testenv.Addresses("127.0.0.1"), nil},
		"good, mapped":                    {testenv.Addresses("::ffff:127.0.0.1"), nil},
		"another loopback address":        {testenv.Addresses("127.0.0.2"), client.EgressDenied},
		"IPv6 loopback":                   {testenv.Addresses("::1"), client.EgressDenied},
		"good as A, bad as AAAA":          {testenv.Addresses("127.0.0.1", "::1"), client.EgressDenied},
		"good as A, mapped bad as AAAA":   {testenv.Addresses("127.0.0.1", "::ffff:127.0.0.2"), client.EgressDenied},
		"bad first":                       {testenv.Addresses("127.0.0.2", "127.0.0.1"), client.EgressDenied},
		"bad in the middle":               {testenv.Addresses("127.0.0.1", "10.0.0.1", "127.0.0.1"), client.EgressDenied},
		"bad at the end of many":          {testenv.Addresses(many(60, "127.0.0.2")...), client.EgressDenied},
		"bad at the end of a huge answer": {testenv.Addresses(many(3000, "127.0.0.2")...), client.EgressDenied}, // over TCP
		"a huge answer":                   {testenv.Addresses(many(3000, "127.0.0.1")...), nil},
		"an alias of a good one":          {testenv.Records{Alias: "edge.test", Addrs: []string{"127.0.0.1"}}, nil},
		"an alias of an internal name":    {testenv.Records{Alias: "db.internal", Addrs: []string{"10.0.0.1"}}, client.EgressDenied},
		"an alias of localhost":           {testenv.Records{Alias: "localhost", Addrs: []string{"127.0.0.2"}}, client.EgressDenied},
		"an alias of the metadata":        {testenv.Records{Alias: "metadata.google.internal", Addrs: []string{"169.254.169.254"}}, client.EgressDenied},
		"an alias of nothing":             {testenv.Records{Alias: "db.internal"}, client.UpstreamUnavailable},
		"a bad address of another name":   {testenv.Records{As: "other.test", Addrs: []string{"127.0.0.2"}}, client.EgressDenied},
		"no such name":                    {testenv.Records{Code: dnsmessage.RCodeNameError}, client.UpstreamUnavailable},
		"no address":                      {testenv.Records{}, client.UpstreamUnavailable},
		"server failure":                  {testenv.Records{Code: dnsmessage.RCodeServerFailure}, client.UpstreamUnavailable},
		"refused":                         {testenv.Records{Code: dnsmessage.RCodeRefused}, client.UpstreamUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			r.dns.Set(shifty, c.answer)
			before := r.upstream.Requests()
			err := r.call(t, "things")
			asked := r.dns.Asked()
			require.Contains(t, asked, "A "+shifty+".")
			for _, one := range asked {
				require.True(t, strings.HasSuffix(one, " "+shifty+"."), "asked for %s", one)
			}
			if c.want == nil {
				require.NoError(t, err)
				require.Equal(t, before+1, r.upstream.Requests())
				return
			}
			require.ErrorIs(t, err, c.want)
			require.Equal(t, before, r.upstream.Requests())
			require.NotContains(t, err.Error(), shifty)
		})
	}
	require.Zero(t, r.trapped.Load(), "what was not judged was not dialled")
	require.Equal(t, r.upstream.Requests(), strings.Count(r.upstream.Wire(), "Host: "+shifty+":"))
}

// The name turns from a good address to a bad one between any two questions, with calls
// side by side: each call connects to an address that was judged for it, or to none.
func TestAttack05_Rebinding(t *testing.T) {
	r := newRebinding(t)
	good, bad := testenv.Addresses("127.0.0.1"), testenv.Addresses("127.0.0.2")
	for _, turns := range [][]testenv.Records{{good, bad}, {bad, good}, {good, bad, good, bad}} {
		r.dns.Set(shifty, turns...)
		for i, turn := range turns {
			err := r.call(t, "things")
			if turn.Addrs[0] == "127.0.0.1" {
				require.NoError(t, err, i)
			} else {
				require.ErrorIs(t, err, client.EgressDenied, i)
			}
		}
	}
	var turns []testenv.Records
	for range 100 {
		turns = append(turns, good, bad, testenv.Addresses("127.0.0.1", "::1"))
	}
	r.dns.Set(shifty, turns...)
	var calls sync.WaitGroup
	var reached, refused atomic.Int64
	before := int64(r.upstream.Requests())
	for range 10 {
		calls.Go(func() {
			for range 10 {
				switch err := r.call(t, "things"); {
				case err == nil:
					reached.Add(1)
				case errors.Is(err, client.EgressDenied):
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	calls.Wait()
	require.EqualValues(t, 100, reached.Load()+refused.Load())
	require.Equal(t, before+reached.Load(), int64(r.upstream.Requests()))
	require.Positive(t, reached.Load())
	require.Positive(t, refused.Load())
	require.Zero(t, r.trapped.Load(), "what was not judged was not dialled")
}
