package testenv

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Forward is a proxy that does what it is asked by CONNECT, and keeps every byte that it
// hears and says.
type Forward struct {
	// Addr is where it listens.
	Addr string
	// CA signs what it shows of itself, where it speaks TLS.
	CA string

	options ForwardOptions
	mu      sync.Mutex
	heads   []string
	heard   strings.Builder
	said    strings.Builder
}

// ForwardOptions say what kind of proxy it is; zero is one in the clear for everybody.
type ForwardOptions struct {
	// TLS has it speak TLS, for the name localhost.
	TLS bool
	// Authorization is what Proxy-Authorization must be; a 407 that repeats what came
	// meets everything else.
	Authorization string
	// Inspect ends the TLS of what goes through, with this certificate for every name.
	Inspect *tls.Certificate
	// Upstream is connected to whatever is asked for; for CONNECT with a name.
	Upstream string
}

// NewForward serves on loopback until the test ends.
func NewForward(t testing.TB, o ForwardOptions) *Forward {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &Forward{Addr: l.Addr().String(), options: o}
	if o.TLS {
		certificate, ca := Certificate(t, "localhost")
		f.CA = ca
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	}
	var running sync.WaitGroup
	conns := connections{all: map[net.Conn]bool{}}
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.add(c)
			running.Go(func() { defer conns.drop(c); f.serve(tapped{c, f}, &conns) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); conns.close(); running.Wait() })
	return f
}

// Asked gives the heads of the requests so far, as they came.
func (f *Forward) Asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.heads...)
}

// Wire gives all that it heard and said on its clients' side, of all connections in one,
// behind the TLS of its own.
func (f *Forward) Wire() (heard, said string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.heard.String(), f.said.String()
}

func (f *Forward) serve(c net.Conn, conns *connections) {
	in := bufio.NewReader(c)
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		head.WriteString(line)
	}
	f.mu.Lock()
	f.heads = append(f.heads, head.String())
	f.mu.Unlock()
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head.String())))
	if err != nil || request.Method != http.MethodConnect {
		_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
		return
	}
	if got := request.Header.Get("Proxy-Authorization"); got != f.options.Authorization {
		_, _ = io.WriteString(c, "HTTP/1.1 407 You said "+got+"\r\nProxy-Authenticate: Basic realm=\""+got+"\"\r\n\r\n"+got)
		return
	}
	target := request.Host
	if f.options.Upstream != "" {
		target = f.options.Upstream
	}
	up, err := net.Dial("tcp", target)
	if err != nil {
		_, _ = io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
		return
	}
	conns.add(up)
	defer conns.drop(up)
	_, _ = io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
	if f.options.Inspect != nil {
		// What inspects sees the upstream's own certificate, and here believes any.
		c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*f.options.Inspect}, MinVersion: tls.VersionTLS12})
		up = tls.Client(up, &tls.Config{InsecureSkipVerify: true})
		c, in = tapped{c, f}, nil
	}
	var both sync.WaitGroup
	both.Go(func() {
		if in != nil {
			_, _ = in.WriteTo(up)
		} else {
			_, _ = io.Copy(up, c)
		}
		_ = up.Close()
	})
	both.Go(func() { _, _ = io.Copy(c, up); _ = c.Close() })
	both.Wait()
}

// tapped keeps what is read and written.
type tapped struct {
	net.Conn
	f *Forward
}

func (t tapped) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	t.f.heard.Write(p[:n])
	return n, err
}

func (t tapped) Write(p []byte) (int, error) {
	t.f.mu.Lock()
	t.f.said.Write(p)
	t.f.mu.Unlock()
	return t.Conn.Write(p)
}

// connections are those that are closed when the test ends.
type connections struct {
	mu  sync.Mutex
	all map[net.Conn]bool
}

func (s *connections) add(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[c] = true
}

func (s *connections) drop(c net.Conn) {
	_ = c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
}

func (s *connections) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.all {
		_ = c.Close()
	}
}
