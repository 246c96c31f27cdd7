package attack_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// visit is what a TLS server knows of one request that reached it.
type visit struct {
	host, sni, proto string
	conn             string // the other end of its connection
	evil             string // headers that name evil.example
}

// guestbook keeps the visits of a TLS server.
type guestbook struct {
	mu   sync.Mutex
	seen []visit
}

func (g *guestbook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := visit{host: r.Host, sni: r.TLS.ServerName, proto: r.Proto, conn: r.RemoteAddr}
	for name, values := range r.Header {
		if strings.Contains(strings.Join(values, ","), "evil.example") {
			v.evil += name + " "
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen = append(g.seen, v)
	w.Header().Set("Alt-Svc", fmt.Sprintf(`h2="127.0.0.2:%s"; ma=86400; persist=1, h3=":443"`, r.Host[strings.IndexByte(r.Host, ':')+1:]))
	if strings.HasSuffix(r.URL.Path, "/421") {
		w.WriteHeader(http.StatusMisdirectedRequest)
	}
}

// all gives the visits so far and forgets them.
func (g *guestbook) all() []visit {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := g.seen
	g.seen = nil
	return seen
}

// open starts a TLS server under the names of a certificate, and gives its port and CA.
func (g *guestbook) open(t *testing.T, protocol string, names ...string) (port, ca string) {
	t.Helper()
	certificate, ca := testenv.Certificate(t, names...)
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	if protocol == "HTTP/1.1" {
		config.NextProtos = []string{"http/1.1"}
	}
	origin := testenv.ServeTLS(t, config, g)
	return origin[strings.LastIndexByte(origin, ':')+1:], ca
}

// The name that was judged is the name that DNS is asked for, in the TLS handshake, in
// the certificate and in the Host header, over both versions of HTTP, whatever a caller
// says of hosts and whatever a manifest would fix.
func TestAttack08_HostDivergence(t *testing.T) {
	dns := testenv.NewDNS(t)
	dns.Set(shifty, testenv.Addresses("127.0.0.1"))
	b := testenv.NewSite(t, "", 0).Start(t, dns.Use)
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			var book guestbook
			port, ca := book.open(t, protocol, shifty)
			manifest := testenv.Manifest("things", "https://"+shifty+":"+port, ca, "", testenv.Things)
			b.Apply(t, manifest)
			task := b.Mint(t, nil, readThings)
			send := rawSender(t, b)
			body := invoke("things.get", `{"id":"1"}`)
			for name, head := range map[string]string{
				"plain":                "POST /v1/invoke HTTP/1.1\r\nHost: broker\r\n",
				"another Host":         "POST /v1/invoke HTTP/1.1\r\nHost: evil.example\r\n",
				"another with a port":  "POST /v1/invoke HTTP/1.1\r\nHost: evil.example:443\r\n",
				"absolute form":        "POST https://evil.example/v1/invoke HTTP/1.1\r\nHost: evil.example\r\n",
				"absolute form, twice": "POST http://evil.example:80/v1/invoke HTTP/1.1\r\nHost: other.example\r\n",
				"headers": "POST /v1/invoke HTTP/1.1\r\nHost: evil.example\r\n" + headerLines("evil.example", "X-Forwarded-Host", "X_Forwarded_Host", "X-Original-Host", "X-Host",
					"Forwarded", "X-Original-Url", "X-Rewrite-Url", "X-Forwarded-Server", "X-Http-Host-Override", "Grpc-Metadata-Host", "Grpc-Metadata-Authority", "Grpc-Metadata-:authority",
					"X-Envoy-Original-Dst-Host", "Destination", "Proxy-Host", "Alt-Used", "Origin", "Referer"),
			} {
				_ = send(head, task.Key, body) // refused or not, it goes where it must or nowhere
				for _, v := range book.all() {
					require.Equal(t, visit{shifty + ":" + port, shifty, protocol, v.conn, ""}, v, name)
				}
			}
			require.Equal(t, 200, send("POST /v1/invoke HTTP/1.1\r\nHost: evil.example\r\n", task.Key, body))
			require.Len(t, book.all(), 1)
			require.Equal(t, 400, send("POST /v1/invoke HTTP/1.1\r\nHost: broker\r\nHost: evil.example\r\n", task.Key, body), "two Hosts")
			require.Empty(t, book.all())
			for _, asked := range dns.Asked() {
				require.True(t, strings.HasSuffix(asked, " "+shifty+"."), asked)
			}
			for _, name := range []string{"Host", "host", "X-Forwarded-Host", "Forwarded", "X-Original-Url", "X-Rewrite-Url", `":authority"`, `":path"`} {
				fixed := strings.Replace(manifest, "    method: GET\n", "    method: GET\n    headers: {"+name+": evil.example}\n", 1)
				_, err := b.Client(t, testenv.Operator, "").Connectors().Apply(t.Context(), &onedoorv1.ConnectorsApplyRequest{Manifest: fixed})
				require.ErrorIs(t, err, client.ArgumentInvalid, name)
			}
		})
	}
}

// headerLines gives one header line for each name.
func headerLines(value string, names ...string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteString(name + ": " + value + "\r\n")
	}
	return b.String()
}

// rawSender gives a function that writes a request of the sandbox's as it stands, on a
// connection of its own, and gives the answer's status.
func rawSender(t *testing.T, b *testenv.Broker) func(head, key, body string) int {
	t.Helper()
	config := b.TLS(t, testenv.Sandbox)
	config.NextProtos = []string{"http/1.1"}
	return func(head, key, body string) int {
		t.Helper()
		address := strings.TrimPrefix(b.RESTURL, "https://")
		config.ServerName, _, _ = strings.Cut(address, ":")
		conn, err := tls.Dial("tcp", address, config)
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		_, err = fmt.Fprintf(conn, "%sAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", head, key, len(body), body)
		require.NoError(t, err)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		defer func() { _ = answer.Body.Close() }()
		_, _ = io.Copy(io.Discard, answer.Body)
		return answer.StatusCode
	}
}

// A certificate for another name, under the very CA that the connector trusts, gets no
// request; nor does one at the address to which the name leads.
func TestAttack08_CertificateOfAnotherName(t *testing.T) {
	t.Parallel()
	dns := testenv.NewDNS(t)
	dns.Set(shifty, testenv.Addresses("127.0.0.1"))
	b := testenv.NewSite(t, "", 0).Start(t, dns.Use)
	var book guestbook
	for _, names := range [][]string{{"evil.example"}, {"www." + shifty}, {"*." + shifty}, {"*.test.", "localhost"}, {"shifty"}, {"*"}} {
		port, ca := book.open(t, "HTTP/2.0", names...)
		b.Apply(t, testenv.Manifest("things", "https://"+shifty+":"+port, ca, "", testenv.Things))
		task := b.Mint(t, nil, readThings)
		_, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
		require.ErrorIs(t, err, client.UpstreamUnavailable, names)
	}
	require.Empty(t, book.all())
}

// Two connectors whose names lead to one server under one certificate, which HTTP/2
// would let share a connection, never do; and no answer moves a connector elsewhere: not
// Alt-Svc, which is not passed on either, and not 421.
func TestAttack08_Coalescing(t *testing.T) {
	dns := testenv.NewDNS(t)
	b := testenv.NewSite(t, "", 0).Start(t, dns.Use)
	var book guestbook
	port, ca := book.open(t, "HTTP/2.0", "*.shared.test")
	trapped := traps(t, port)
	names := map[string]string{"one": "one.shared.test", "two": "two.shared.test"}
	for connector, name := range names {
		dns.Set(name, testenv.Addresses("127.0.0.1"))
		b.Apply(t, testenv.Manifest(connector, "https://"+name+":"+port, ca, "", strings.Replace(testenv.Things, "[X-Kind]", "[X-Kind, Alt-Svc]", 1)))
	}
	task := b.Mint(t, nil, "one: things.get READ thing:*", "two: things.get READ thing:*")
	sandbox := b.Client(t, testenv.Sandbox, task.Key)
	for _, id := range []string{"1", "2", "421", "3"} {
		for connector := range names {
			answer, err := sandbox.Invoke(t.Context(), connector, "things.get", map[string]string{"id": id})
			require.NoError(t, err)
			require.Equal(t, map[bool]int{true: 421, false: 200}[id == "421"], answer.Status)
			require.Empty(t, answer.Headers)
		}
	}
	conns := map[string]string{}
	seen := book.all()
	require.Len(t, seen, 8, "each call was sent once")
	for _, v := range seen {
		require.Equal(t, v.sni+":"+port, v.host)
		require.Equal(t, "HTTP/2.0", v.proto)
		if name, known := conns[v.conn]; known {
			require.Equal(t, name, v.sni, "one connection served two names")
		}
		conns[v.conn] = v.sni
	}
	require.Len(t, conns, 2, "each name kept its own connection")
	require.Zero(t, trapped.Load())
}
