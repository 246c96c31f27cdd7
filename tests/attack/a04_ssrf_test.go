package attack_test

import (
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/server/config"
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
		require.NotContains(t, err.Error(), "127.0.0.1", "which address it was is the operator's to know")
		testenv.Eventually(t, "the log", func() bool { return strings.Contains(b.Log(), "address 127.0.0.1 is loopback") })
		testenv.Eventually(t, "the outcome", func() bool {
			events := b.Events(t, task.ID)
			last := events[len(events)-1]
			return last.GetOutcome() == "NOT_SENT" && last.GetReason() == "EGRESS_DENIED"
		})
	}
	require.Empty(t, upstream.Wire())
}

// An answer that leads inwards is refused, in every form in which an address can be
// written, alone or beside one that may be dialled; nothing is dialled then.
func TestAttack04_AddressForms(t *testing.T) {
	r := newRebinding(t)
	rows := map[string]string{}
	for _, v4 := range testenv.Inward4 {
		rows[v4] = v4
		for how, a := range testenv.Encodings(netip.MustParseAddr(v4)) {
			rows[how+" of "+v4] = a.String()
		}
	}
	for _, v4 := range testenv.Metadata4 {
		for how, a := range testenv.Prefixed(netip.MustParseAddr(v4)) {
			rows[how+" of "+v4] = a.String()
		}
	}
	for _, v6 := range testenv.Inward6 {
		rows[v6] = v6
	}
	require.Greater(t, len(rows), 200)
	for i, name := range slices.Sorted(maps.Keys(rows)) {
		bad, connector := rows[name], "public"
		answer := testenv.Addresses(bad)
		if i%2 == 0 && !strings.HasSuffix(name, "127.0.0.1") { // which that connector allows, however it is written
			answer, connector = testenv.Addresses("127.0.0.1", bad), "things"
		}
		r.dns.Set(shifty, answer)
		require.ErrorIs(t, r.call(t, connector), client.EgressDenied, name)
	}
	r.requireUntouched(t, "nothing was dialled")
	for _, e := range r.Events(t, r.task.ID) {
		require.Contains(t, []string{"", "NOT_SENT"}, e.GetOutcome())
	}
	r.dns.Set(shifty, testenv.Addresses("127.0.0.1"))
	require.NoError(t, r.call(t, "things"), "the same connector works where the answer is good")
	require.ErrorIs(t, r.call(t, "public"), client.EgressDenied)
}

// A range that a connector is allowed does not let it reach a metadata service that has its
// address in there, in whatever form the answer has it.
func TestAttack04_MetadataInAnAllowedRange(t *testing.T) {
	r := newRebinding(t)
	wide := strings.Replace(r.upstream.Manifest("wide", bearer, testenv.Things), "127.0.0.0/8", `"100.64.0.0/10", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "64:ff9b::/96"`, 1)
	r.Apply(t, wide)
	r.Put(t, "wide", "alice", canary)
	r.task = r.Mint(t, nil, "wide: things.get READ thing:*")
	r.sandbox = r.Client(t, testenv.Sandbox, r.task.Key)
	rows := []string{"fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42", "fd00:a9fe:a9fe::1", "fd00:c1::a9fe:a9fe", "fe80::a9fe:a9fe"}
	for _, v4 := range testenv.Metadata4 {
		rows = append(rows, v4)
		for _, a := range testenv.Encodings(netip.MustParseAddr(v4)) {
			rows = append(rows, a.String())
		}
	}
	for _, bad := range rows {
		r.dns.Set(shifty, testenv.Addresses("127.0.0.1", bad))
		require.ErrorIs(t, r.call(t, "wide"), client.EgressDenied, bad)
	}
	r.requireUntouched(t, "nothing was dialled")
	r.dns.Set(shifty, testenv.Addresses("127.0.0.1"))
	require.NoError(t, r.call(t, "wide"))
}

// What an operator may allow at all: parts of networks that are not public, and nothing
// that would switch the judgement off, or would never be dialled; in a manifest when it is
// applied, and in the configuration when the broker starts.
func TestAttack04_RangesThatMayBeAllowed(t *testing.T) {
	b := testenv.Dev(t)
	site := testenv.NewSite(t, "", 0)
	for i, text := range []string{
		"0.0.0.0/0", "::/0", "0.0.0.0/1", "8.8.8.8/32", "10.0.0.0/7", "2000::/3", "2606:4700::1111/128", "::ffff:0:0/96", "::ffff:10.0.0.0/104", "::/96", "2002::/16", "2002:a00::/24", "2001::/32",
		"64:ff9b::/64", "64:ff9b:1::/48", "169.254.0.0/16", "169.254.169.254/32", "169.254.171.0/24", "fe80::/10", "fd00:ec2::/32", "fd00:ec2::254/128", "100.100.100.200/32", "100.96.0.96/32",
		"0.0.0.0/8", "0.0.0.0/32", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32", "::/128", "ff00::/8",
	} {
		manifest := strings.Replace(testenv.Manifest("ranges", "https://api.example.com", "", "", testenv.Things), "127.0.0.0/8", quoted(text), 1)
		require.ErrorIs(t, applied(t, b, manifest), client.ArgumentInvalid, text)
		if i%6 == 0 { // each starts a program
			said := site.StartRefused(t, func(c *config.Config) {
				through("127.0.0.1:1", func(e *config.Egress) { e.Proxies[0].Allow = []config.Range{{Prefix: netip.MustParsePrefix(text)}} })(c)
			})
			require.Contains(t, said, text)
		}
	}
	for _, text := range []string{"10.0.0.0/8", "10.1.2.3/32", "172.16.0.0/12", "192.168.4.0/24", "100.64.0.0/10", "127.0.0.1/32", "::1/128", "fc00::/7", "fd12::/16", "64:ff9b::/96"} {
		manifest := strings.Replace(testenv.Manifest("ranges", "https://api.example.com", "", "", testenv.Things), "127.0.0.0/8", quoted(text), 1)
		require.NoError(t, applied(t, b, manifest), text)
	}
}
