package egress_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

func TestParseProxyAddress(t *testing.T) {
	for text, want := range map[string]string{
		"http://proxy.corp.example:3128":  "",
		"https://proxy.corp.example:443":  "",
		"http://10.0.0.1:8080":            "",
		"https://[2001:db8::1]:3129":      "",
		"https://Proxy.Corp.Example:3128": "https://proxy.corp.example:3128",
	} {
		a, err := egress.ParseProxyAddress(text)
		require.NoError(t, err, text)
		if want == "" {
			want = text
		}
		require.Equal(t, want, a.String())
		require.Equal(t, text[:5] == "https", a.IsTLS())
	}
	for name, text := range map[string]string{
		"empty": "", "no scheme": "proxy.corp.example:3128", "no port": "http://proxy.corp.example", "port 0": "http://p.example:0",
		"port too large": "http://p.example:65536", "port with zeros": "http://p.example:03128", "SOCKS": "socks5://p.example:1080",
		"path": "http://p.example:3128/", "user": "http://u@p.example:3128", "password": "http://u:canary@p.example:3128",
		"query": "http://p.example:3128?a", "number for an address": "http://2130706433:80", "short address": "http://127.1:80",
		"hexadecimal": "http://0x7f.0.0.1:80", "IPv6 without brackets": "http://::1:80", "zone": "http://[fe80::1%25eth0]:80",
		"mapped": "http://[::ffff:10.0.0.1]:80", "IPv4 in brackets": "http://[10.0.0.1]:80", "half a bracket": "http://[2001:db8::1:80",
		"another spelling": "http://[2001:DB8:0::1]:80", "trailing dot": "http://p.example.:80", "space": "http://p.example :80",
		"line break": "http://p.example\r\nX: y:80", "upper-case scheme": "HTTP://p.example:80",
	} {
		t.Run(name, func(t *testing.T) {
			a, err := egress.ParseProxyAddress(text)
			require.Error(t, err)
			require.Empty(t, a)
			require.NotContains(t, err.Error(), "canary")
		})
	}
}

func scopes(t testing.TB, texts ...string) (all []egress.Scope) {
	t.Helper()
	for _, text := range texts {
		s, err := egress.ParseScope(text)
		require.NoError(t, err, text)
		require.Equal(t, text, s.String())
		all = append(all, s)
	}
	return all
}

func TestBadScopes(t *testing.T) {
	for _, text := range []string{"", "/", "crm", "a/", "/b", "*/crm", "*/*", "a/b/c", "a/b*", "A/b", "a b/c", "Issuers", "a/b|sts"} {
		_, err := egress.ParseScope(text)
		require.ErrorIs(t, err, egress.ErrScope, text)
	}
}

// Every key under which the broker makes connections, and the proxy that it takes: none
// that a proxy for everything would not catch.
func TestRouting(t *testing.T) {
	sets := map[string][]egress.Proxy{
		"everything": {{Name: "all", For: scopes(t, "*")}},
		"the most specific wins": {
			{Name: "all", For: scopes(t, "*")}, {Name: "a", For: scopes(t, "a/*")}, {Name: "crm", For: scopes(t, "a/crm")},
			{Name: "idp", For: scopes(t, "issuers")},
		},
		"some alone": {{Name: "crm", For: scopes(t, "a/crm", "b/*")}},
	}
	keys := []egress.PoolKey{
		{Workspace: "a", Connector: "crm", Revision: 3, Credential: "x@1"},
		{Workspace: "a", Connector: "crm|token-endpoint"},
		{Workspace: "a", Connector: "crm|sts"},
		{Workspace: "a", Connector: "crm2"},
		{Workspace: "b", Connector: "crm"},
		{Connector: "issuer:https://idp.example"},
		{Workspace: "a", Connector: "issuer:https://idp.example|token-endpoint"},
		{},
	}
	want := map[string][]string{
		"everything":             {"all", "all", "all", "all", "all", "all", "all", "all"},
		"the most specific wins": {"crm", "crm", "crm", "a", "all", "idp", "idp", "idp"},
		"some alone":             {"crm", "crm", "crm", "", "crm", "", "", ""},
	}
	for name, set := range sets {
		r, err := egress.NewRouting(set, nil)
		require.NoError(t, err)
		for i, key := range keys {
			require.Equal(t, want[name][i], egress.ProxyFor(r, key, origin(t, "https://crm.example")), "%s: %v", name, key)
		}
	}
}

func TestRoutingRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		proxies []egress.Proxy
		says    string
	}{
		"two for one scope": {
			[]egress.Proxy{{Name: "one", For: scopes(t, "a/*")}, {Name: "two", For: scopes(t, "a/*")}},
			"proxy two: for: a/* goes through one already",
		},
		"one scope twice": {[]egress.Proxy{{Name: "one", For: scopes(t, "*", "*")}}, "goes through one already"},
		"inspects all":    {[]egress.Proxy{{Name: "one", For: scopes(t, "*"), Inspects: scopes(t, "*")}}, "want WORKSPACE/CONNECTOR"},
		"inspects a workspace": {
			[]egress.Proxy{{Name: "one", For: scopes(t, "*"), Inspects: scopes(t, "a/*")}}, "want WORKSPACE/CONNECTOR",
		},
		"inspects issuers": {[]egress.Proxy{{Name: "one", For: scopes(t, "*"), Inspects: scopes(t, "issuers")}}, "want WORKSPACE/CONNECTOR"},
		"inspects what goes elsewhere": {
			[]egress.Proxy{{Name: "one", For: scopes(t, "*"), Inspects: scopes(t, "a/crm")}, {Name: "two", For: scopes(t, "a/*")}},
			"a/crm does not go through it",
		},
		"no certificate": {[]egress.Proxy{{Name: "one", For: scopes(t, "*"), InspectionCAs: []byte("none")}}, "holds no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := egress.NewRouting(c.proxies, nil)
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestExceptions(t *testing.T) {
	proxies := []egress.Proxy{{Name: "all", For: scopes(t, "*")}}
	direct := func(t *testing.T, except []egress.Exception, to string) bool {
		t.Helper()
		r, err := egress.NewRouting(proxies, except)
		require.NoError(t, err)
		return egress.ProxyFor(r, egress.PoolKey{Workspace: "a", Connector: "crm"}, origin(t, to)) == ""
	}
	for _, c := range []struct {
		entry, noProxy string
		direct, not    []string
	}{
		{"crm.example", "", []string{"https://crm.example", "https://CRM.example:8443"}, []string{"https://a.crm.example", "https://xcrm.example", "https://crm.example.evil"}},
		{"CRM.Example", "", []string{"https://crm.example"}, []string{"https://crm.test"}},
		{".crm.example", "*.crm.example", []string{"https://a.crm.example", "https://b.a.crm.example:1"}, []string{"https://crm.example", "https://xcrm.example"}},
		{"https://crm.example:8443", "", []string{"https://crm.example:8443"}, []string{"https://crm.example", "https://a.crm.example:8443"}},
		{"https://crm.example", "", []string{"https://crm.example:443"}, []string{"https://crm.example:8443"}},
		{"", " crm.example ,10.0.0.0/8, 10.0.0.1,[::1]:80,,", []string{"https://crm.example", "https://a.crm.example:9"}, []string{"https://xcrm.example"}},
		{"", "crm.example:8443", []string{"https://crm.example:8443", "https://a.crm.example:8443"}, []string{"https://crm.example"}},
		{"", "", nil, []string{"https://crm.example"}},
	} {
		if c.entry != "" {
			e, err := egress.ParseException(c.entry)
			require.NoError(t, err, c.entry)
			for _, to := range c.direct {
				require.True(t, direct(t, []egress.Exception{e}, to), "%s: %s", c.entry, to)
			}
			for _, to := range c.not {
				require.False(t, direct(t, []egress.Exception{e}, to), "%s: %s", c.entry, to)
			}
		}
		if c.entry == "" || c.noProxy != "" {
			list, err := egress.ParseNoProxy(c.noProxy)
			require.NoError(t, err, c.noProxy)
			for _, to := range c.direct {
				require.True(t, direct(t, list, to), "%s: %s", c.noProxy, to)
			}
			for _, to := range c.not {
				require.False(t, direct(t, list, to), "%s: %s", c.noProxy, to)
			}
		}
	}
	for _, text := range []string{"", "*", ".", "10.0.0.1", "10.0.0.0/8", "http://crm.example", "crm.example:443", "crm.example/", "crm.example.", "a b"} {
		_, err := egress.ParseException(text)
		require.Error(t, err, text)
	}
	for _, text := range []string{"*", "a.example,*", "a b", "a.example:x", "http://a.example", "a.*.example"} {
		_, err := egress.ParseNoProxy(text)
		require.Error(t, err, text)
	}
}
