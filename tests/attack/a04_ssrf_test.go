package attack_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/tests/testenv"
)

// A name that leads to this machine is refused over the wire, with its reason and a
// record; nothing is sent, the credential least of all.
func TestAttack04_NameResolvesToLoopback(t *testing.T) {
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {})
	inward := strings.Replace(upstream.Manifest("inward", bearer, testenv.Things), "network: {allow: [127.0.0.0/8]}\n", "", 1)
	b.Apply(t, inward)
	elsewhere := strings.Replace(upstream.Manifest("elsewhere", bearer, testenv.Things), "127.0.0.0/8", "10.0.0.0/8", 1)
	b.Apply(t, elsewhere)
	for _, connector := range []string{"inward", "elsewhere"} {
		b.Put(t, connector, "alice", canary)
		task := b.Mint(t, nil, connector+": things.get READ thing:*")
		_, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), connector, "things.get", map[string]string{"id": "1"})
		require.ErrorIs(t, err, client.EgressDenied)
		testenv.Eventually(t, "the outcome", func() bool {
			events := b.Events(t, task.ID)
			last := events[len(events)-1]
			return last.GetOutcome() == "NOT_SENT" && last.GetReason() == "EGRESS_DENIED"
		})
	}
	require.Empty(t, upstream.Wire())
}

// names is a resolver whose answers the test chooses: each look-up of a name takes the
// next one. Over the wire the broker asks the system's resolver, which a test cannot
// fool without owning the machine; so these cases knock at the egress door itself, the
// one place where connections are made.
type names struct {
	mu      sync.Mutex
	answers [][]string
	asked   int
}

func (n *names) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	answer := n.answers[min(n.asked, len(n.answers)-1)]
	n.asked++
	var addrs []netip.Addr
	for _, a := range answer {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs, nil
}

func TestAttack05_NameResolvesInwards(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	dialled := make(chan struct{})
	go func() {
		defer close(dialled)
		if c, err := l.Accept(); err == nil {
			t.Error("something was dialled")
			_ = c.Close()
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	origin, err := egress.ParseOrigin("https://innocent.example:" + port)
	require.NoError(t, err)
	for name, answers := range map[string][][]string{
		"loopback":              {{"127.0.0.1"}},
		"metadata":              {{"169.254.169.254"}},
		"metadata of IPv6":      {{"fd00:ec2::254"}},
		"Alibaba's metadata":    {{"100.100.100.200"}},
		"this host":             {{"0.0.0.0"}},
		"unspecified":           {{"::"}},
		"IPv6 loopback":         {{"::1"}},
		"mapped loopback":       {{"::ffff:127.0.0.1"}},
		"mapped metadata":       {{"::ffff:169.254.169.254"}},
		"compatible":            {{"::127.0.0.1"}},
		"NAT64":                 {{"64:ff9b::7f00:1"}},
		"6to4":                  {{"2002:7f00:1::1"}},
		"private":               {{"10.0.0.1"}},
		"link-local with zone":  {{"fe80::1%lo"}},
		"one bad of two":        {{"203.0.113.1", "127.0.0.1"}},
		"bad first":             {{"127.0.0.1", "8.8.8.8"}},
		"private and IPv6 good": {{"2001:4860:4860::8888", "192.168.0.1"}},
	} {
		t.Run(name, func(t *testing.T) { requireDenied(t, &names{answers: answers}, origin) })
	}
	require.NoError(t, l.Close())
	<-dialled
}

// A name that was judged public and then turns inwards is judged again at the next
// connection: what is dialled is always what was judged.
func TestAttack05_Rebinding(t *testing.T) {
	origin, err := egress.ParseOrigin("https://rebinding.example:9")
	require.NoError(t, err)
	resolver := &names{answers: [][]string{{"2001:4860:4860::8888"}, {"127.0.0.1"}}}
	door := egress.New(egress.Options{Resolver: resolver})
	defer door.Close()
	get := &egress.Request{Method: http.MethodGet, Origin: origin, Path: "/"}
	attachment := egress.NewAttachment()
	// The first answer is public; that it cannot be reached from here does not matter.
	_, err = door.Do(t.Context(), egress.PoolKey{}, egress.Policy{}, get, attachment, egress.Limits{Total: 200 * time.Millisecond})
	require.Error(t, err)
	_, err = door.Do(t.Context(), egress.PoolKey{}, egress.Policy{}, get, attachment, egress.Limits{Total: 10 * time.Second})
	var e *egress.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, egress.Denied, e.Kind)
	require.False(t, e.Sent)
}

func requireDenied(t *testing.T, resolver egress.Resolver, origin egress.Origin) {
	t.Helper()
	door := egress.New(egress.Options{Resolver: resolver})
	defer door.Close()
	_, err := door.Do(t.Context(), egress.PoolKey{}, egress.Policy{},
		&egress.Request{Method: http.MethodGet, Origin: origin, Path: "/"}, egress.NewAttachment(), egress.Limits{})
	var e *egress.Error
	require.True(t, errors.As(err, &e), "%v", err)
	require.Equal(t, egress.Denied, e.Kind)
	require.False(t, e.Sent)
}
