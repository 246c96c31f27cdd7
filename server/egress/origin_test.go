package egress_test

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

func TestParseOrigin(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "https://api.example.com", "https://api.example.com"},
		{"upper case", "https://API.Example.COM", "https://api.example.com"},
		{"default port", "https://api.example.com:443", "https://api.example.com"},
		{"other port", "https://api.example.com:8443", "https://api.example.com:8443"},
		{"highest port", "https://a:65535", "https://a:65535"},
		{"one label", "https://crm", "https://crm"},
		{"punycode", "https://xn--bcher-kva.example", "https://xn--bcher-kva.example"},
		{"an own service called metadata", "https://metadata.example.com", "https://metadata.example.com"},
		{"no metadata service", "https://metadata-google.internal", "https://metadata-google.internal"},
		{"digits in labels", "https://1.2.3.com", "https://1.2.3.com"},
		{"longest label", "https://" + strings.Repeat("a", 63) + ".b", "https://" + strings.Repeat("a", 63) + ".b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := egress.ParseOrigin(c.in)
			require.NoError(t, err)
			require.Equal(t, c.want, o.String())
			again, err := egress.ParseOrigin(o.String())
			require.NoError(t, err)
			require.True(t, o == again)
		})
	}
}

func TestParseOriginRefuses(t *testing.T) {
	for _, in := range []string{
		"", "https://", "https:", "api.example.com", "//api.example.com", "http://api.example.com", "HTTPS://a.b", "https:/a.b", " https://a.b", "ftp://a.b",
		"https://a.b/", "https://a.b/path", "https://a.b?q", "https://a.b#f", "https://a.b:443/", "https://a.b\\c",
		"https://user@a.b", "https://user:pass@a.b", "https://a.b@c.d", "https://@a.b",
		"https://a.b.", "https://.a.b", "https://a..b", "https://.", "https://-a.b", "https://a-.b", "https://a_b.c", "https://*.a.b",
		"https://" + strings.Repeat("a", 64) + ".b", "https://" + strings.Repeat("a.", 127) + "b",
		"https://a.b:", "https://a.b:0", "https://a.b:65536", "https://a.b:-1", "https://a.b:+1", "https://a.b:0443", "https://a.b:4e3", "https://a.b:443:443", "https://a.b: 443", "https://a.b:４４３",
		"https://127.0.0.1", "https://127.1", "https://0x7f.1", "https://0x7f000001", "https://2130706433", "https://017700000001", "https://0177.0.0.1", "https://1.2.3.0x4", "https://a.1", "https://a.0x", "https://0",
		"https://[::1]", "https://[::1]:443", "https://[fe80::1%25eth0]", "https://[[a.b]]", "https://::1", "https://[a.b]", "https://[::ffff:127.0.0.1]",
		"https://bücher.example", "https://\u212Aelvin.example", "https://ａ.b", "https://a。b", "https://a%2eb", "https://a.b%00", "https://a\u00adb.c",
		"https://metadata", "https://METADATA:8443", "https://metadata.google.internal", "https://Metadata.Google.Internal:443", "https://x.metadata.google.internal",
		"https://instance-data", "https://metadata.tencentyun.com", "https://metadata.goog",
		"https://{tenant}.example.com", "https://{tenant}", "https://a.{zone}", "https://a.b:{port}", "https://${HOST}", "https://%s.example", "https://a.b,c.d", "https://a.b;c.d", "https://a.b|c",
		"https://a.b\u3002c", "https://a\uff0eb", "https://a\uff61b", "https://a\u200bb.c", "https://\u202ea.b", "https://xn--bücher.b", "https://a.b\ufeff", "\ufeffhttps://a.b",
		"https://a.b\n", "https://a\x00.b", "https://a b.c", "https://a.b\t", "https://a.b\r\nHost: c",
	} {
		t.Run(in, func(t *testing.T) {
			o, err := egress.ParseOrigin(in)
			require.Error(t, err)
			require.Equal(t, egress.Origin{}, o)
			require.NotContains(t, err.Error(), "pass@")
		})
	}
}

func TestOriginParts(t *testing.T) {
	o := origin(t, "https://A.example:8443")
	require.Equal(t, "a.example", o.Host())
	require.Equal(t, "a.example:8443", o.HostPort())
	require.Equal(t, "a.example:443", origin(t, "https://a.example").HostPort())
	require.Empty(t, egress.Origin{}.String())

	text, err := json.Marshal(o)
	require.NoError(t, err)
	var back egress.Origin
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, o, back)
	require.Error(t, json.Unmarshal([]byte(`"https://127.0.0.1"`), &back))
}

func origin(t testing.TB, s string) egress.Origin {
	t.Helper()
	o, err := egress.ParseOrigin(s)
	require.NoError(t, err)
	return o
}

// Whatever is accepted means the same to net/url, and is no address.
func FuzzParseOrigin(f *testing.F) {
	for _, s := range []string{"https://api.example.com:8443", "https://a@b", "https://0x7f.1", "https://[::1]", "https://\u212A.a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := egress.ParseOrigin(s)
		if err != nil {
			return
		}
		u, err := url.Parse(o.String() + "/p?q")
		require.NoError(t, err)
		require.Equal(t, "https", u.Scheme)
		require.Equal(t, o.Host(), u.Hostname())
		require.Nil(t, u.User)
		require.Equal(t, "/p", u.Path)
		require.True(t, strings.EqualFold(s, o.String()) || strings.EqualFold(s, o.String()+":443"), s)
		_, err = netip.ParseAddr(o.Host())
		require.Error(t, err)
		requireDialled(t, o, s)
	})
}

// requireDialled demands that the name which is looked up for an accepted text, to be
// connected to, is the one that stands in it.
func requireDialled(t *testing.T, o egress.Origin, text string) {
	t.Helper()
	asked := &recorder{}
	_, err := egress.DialOther(t.Context(), asked, o, egress.Policy{}, o.HostPort())
	require.Error(t, err)
	name := strings.TrimSuffix(asked.asked, ".")
	if name == "" { // of this machine: not looked up
		name = "localhost"
	}
	host, _, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(text, "https://")), ":")
	require.True(t, host == name || strings.HasSuffix(host, "."+name) && name == "localhost", "%s for %q", name, text)
}

// A location that is accepted reads back as itself, and leads where net/url says too.
func FuzzParseLocation(f *testing.F) {
	f.Add("https://a.example/token?x=y")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := egress.ParseLocation(s)
		if err != nil {
			require.Equal(t, egress.Location{}, l)
			return
		}
		u, err := url.Parse(s)
		require.NoError(t, err)
		require.Equal(t, "https", u.Scheme)
		require.Equal(t, l.Origin.Host(), strings.ToLower(u.Hostname()))
		require.Nil(t, u.User)
		again, err := egress.ParseLocation(l.String())
		require.NoError(t, err)
		require.Equal(t, l, again)
		requireDialled(t, l.Origin, "https://"+u.Host)
	})
}
