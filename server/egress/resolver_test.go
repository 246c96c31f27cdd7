package egress_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/tests/testenv"
)

// The next server is asked where one gives no answer; a name that does not exist is one.
func TestResolverAsksInTurn(t *testing.T) {
	first, second := testenv.NewDNS(t), testenv.NewDNS(t)
	second.Set("both.test", testenv.Addresses("203.0.113.2"))
	resolver := egress.NewResolver(first.Addr, second.Addr)
	for name, c := range map[string]struct {
		first testenv.Records
		want  string
	}{
		"an answer":      {testenv.Addresses("203.0.113.1"), "203.0.113.1"},
		"no such name":   {testenv.Records{Code: dnsmessage.RCodeNameError}, ""},
		"no address":     {testenv.Records{Alias: "else.test"}, ""},
		"server failure": {testenv.Records{Code: dnsmessage.RCodeServerFailure}, "203.0.113.2"},
		"refused":        {testenv.Records{Code: dnsmessage.RCodeRefused}, "203.0.113.2"},
		"silence":        {testenv.Records{Silent: true}, "203.0.113.2"},
	} {
		t.Run(name, func(t *testing.T) {
			first.Set("both.test", c.first)
			got, err := resolver.LookupNetIP(t.Context(), "ip", "both.test.")
			if c.want == "" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, []netip.Addr{netip.MustParseAddr(c.want)}, got)
		})
	}
	require.Contains(t, first.Asked(), "A both.test.")
}

// A name is asked for whole, and localhost not at all.
func TestNamesAreAbsolute(t *testing.T) {
	asked := map[string]string{}
	for _, name := range []string{"api.example.com", "crm", "printer.local", "localhost", "a.localhost", "localhost.example.com", "mylocalhost"} {
		r := &recorder{}
		_, err := egress.DialOther(t.Context(), r, origin(t, "https://"+name), egress.Policy{}, name+":443")
		requireError(t, err, egress.Denied, false)
		asked[name] = r.asked
	}
	require.Equal(t, map[string]string{
		"api.example.com": "api.example.com.", "crm": "crm.", "printer.local": "printer.local.", "localhost": "", "a.localhost": "",
		"localhost.example.com": "localhost.example.com.", "mylocalhost": "mylocalhost.",
	}, asked)
}

// recorder is a resolver that keeps the last name and leads inwards.
type recorder struct{ asked string }

func (r *recorder) LookupNetIP(_ context.Context, _, name string) ([]netip.Addr, error) {
	r.asked = name
	return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
}
