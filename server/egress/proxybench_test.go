package egress_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

// forward is a proxy whose every step a test can see and change.
type forward struct {
	addr net.Addr
	// answer, where it is set, takes the place of what an honest proxy does.
	answer func(c net.Conn, head string)

	mu    sync.Mutex
	heads []string
}

// serveProxy takes connections until the test ends, over TLS where config is given.
func serveProxy(t testing.TB, config *tls.Config, answer func(c net.Conn, head string)) *forward {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	if config != nil {
		l = tls.NewListener(l, config)
	}
	f := &forward{addr: l.Addr(), answer: answer}
	if answer == nil {
		f.answer = honest
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				head := readRequest(c, 0)
				if head == "" { // it did not come so far
					return
				}
				f.mu.Lock()
				f.heads = append(f.heads, head)
				f.mu.Unlock()
				f.answer(c, head)
			}()
		}
	}()
	return f
}

// honest connects to what is asked for.
func honest(c net.Conn, head string) {
	up, err := net.Dial("tcp", strings.Fields(head)[1])
	if err != nil {
		_, _ = io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
		return
	}
	defer func() { _ = up.Close() }()
	_, _ = io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() { _, _ = io.Copy(up, c); _ = up.Close() }()
	_, _ = io.Copy(c, up)
}

// seen gives the heads of all requests so far.
func (f *forward) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.heads...)
}

// proxySecrets has one secret for every proxy.
type proxySecrets struct {
	mu             sync.Mutex
	value, version string
	err            error
	unscrubbed     bool
}

func (s *proxySecrets) ProxySecret(context.Context, string) (egress.Attachment, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return egress.Attachment{}, "", s.err
	}
	a := egress.NewAttachment()
	if err := a.SetHeader("Proxy-Authorization", s.value); err != nil {
		return a, "", err
	}
	if s.unscrubbed {
		return a, s.version, nil
	}
	_, secret, _ := strings.Cut(s.value, " ")
	return a, s.version, a.Scrub([]byte(secret))
}

func (s *proxySecrets) set(value, version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value, s.version = value, version
}

// behind puts a proxy before the bench's door.
func (b *bench) behind(t testing.TB, resolver egress.Resolver, secrets egress.ProxySecrets, url string, edit func(*egress.Proxy)) {
	t.Helper()
	address, err := egress.ParseProxyAddress(url)
	require.NoError(t, err)
	p := egress.Proxy{Name: "casb", Address: address, For: scopes(t, "*"), AllowRanges: loopback, Authenticates: secrets != nil}
	if edit != nil {
		edit(&p)
	}
	routing, err := egress.NewRouting([]egress.Proxy{p}, nil)
	require.NoError(t, err)
	b.door.Close()
	b.door = egress.New(egress.Options{Resolver: resolver, Routing: routing, ProxySecrets: secrets})
	t.Cleanup(b.door.Close)
}

// requireAtProxy holds that an error names the proxy, in a field of its own and not in its
// text, and whose fault it was: the proxy's, or that of what is behind it.
func requireAtProxy(t testing.TB, err error, at bool) {
	t.Helper()
	var own *egress.Error
	require.ErrorAs(t, err, &own)
	require.Equal(t, "casb", own.Proxy)
	require.NotContains(t, own.Error(), "casb")
	require.Equal(t, at, own.AtProxy, "%v", err)
}

// named resolves each name to one address.
type named map[string]string

func (n named) LookupNetIP(_ context.Context, _, name string) ([]netip.Addr, error) {
	name = strings.TrimSuffix(name, ".") // whole names are asked for
	if n[name] == "" {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return []netip.Addr{netip.MustParseAddr(n[name])}, nil
}
