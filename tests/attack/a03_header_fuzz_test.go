package attack_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/metadata"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// spoofs makes up headers that some software somewhere takes for an identity, in every
// spelling in which a proxy, a gateway or a framework might read them.
type spoofs struct {
	*rand.Rand
	values []string
}

func (s spoofs) one(of ...string) string { return of[s.IntN(len(of))] }

// What such headers are called, and what may stand before and behind.
var (
	spoofPrefixes = []string{"", "Grpc-Metadata-", "Grpc-Metadata-Grpc-Metadata-", "Grpcgateway-", "X-", "X-Grpc-Web-"}
	spoofNames    = []string{
		"Spiffe-Id", "X-Spiffe-Id", "Peer", "Peer-Spiffe-Id", "X-Forwarded-Client-Cert", "X-Client-Cert", "Client-Cert", "Ssl-Client-Cert", "X-Ssl-Client-S-Dn",
		"X-Onedoor-Jwt-Svid", "X-Onedoor-Task-Id", "X-Onedoor-Workspace", "X-Onedoor-Spiffe-Id", "X-Auth-Request-User", "Remote-User", "X-User-Id", "Authority",
		"X-Forwarded-For", "Forwarded", "X-Real-Ip", "X-Http-Method-Override", "X-Original-Url", "X-Rewrite-Url", "Path", "Method",
	}
	spoofSuffixes = []string{"", "-Bin"}
)

// all are all names at once, in one spelling, with one value.
func (spoofs) all(prefix, suffix, value string) []string {
	var all []string
	for _, name := range spoofNames {
		all = append(all, prefix+name+suffix, value)
	}
	return all
}

func (s spoofs) header() (name, value string) {
	name = s.one(slices.Concat(spoofNames, []string{"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Idempotency-Key", "Grpc-Timeout", "Grpc-Encoding"})...)
	name = s.one(spoofPrefixes...) + name + s.one(spoofSuffixes...)
	switch s.IntN(4) {
	case 0:
		name = strings.ReplaceAll(name, "-", "_")
	case 1:
		name = strings.ToUpper(name)
	}
	value = s.one(s.values...)
	if s.IntN(4) == 0 {
		value = base64.StdEncoding.EncodeToString([]byte(value))
	}
	return name, value
}

func (s spoofs) some() []string {
	var all []string
	for range 1 + s.IntN(4) {
		name, value := s.header()
		all = append(all, name, value)
		if s.IntN(4) == 0 {
			all = append(all, name, s.one(s.values...))
		}
	}
	return all
}

// Whatever headers come along, the second sandbox stays itself: with the first one's key
// it gets nothing by any way in, and the trail names it and nobody else. Nor do they make
// another of the first one, whose calls stand in the trail as its own.
func TestAttack03_GeneratedHeaders(t *testing.T) {
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {}, func(c *config.Config) {
		c.Limits.FailureBurst = 1e6
		c.Listeners.RESTJWT = config.JWTListener{Listener: config.Listener{Address: "127.0.0.1:0"}, Audience: "onedoor"}
	})
	b.Apply(t, model(upstream, bearer))
	b.Put(t, "llm", "alice", canary)
	task := b.Mint(t, nil, readThings, "llm: chat READ model:*")
	own, err := workloadapi.FetchJWTSVID(t.Context(), jwtsvid.Params{Audience: "onedoor"}, workloadapi.WithAddr(b.Socket(testenv.Sandbox2)))
	require.NoError(t, err)
	first, operator := b.SPIFFEID(testenv.Sandbox), "spiffe://"+testenv.Domain+"/operator"
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := spoofs{rand.New(rand.NewPCG(seed, 3)), []string{
		first, operator, "URI=" + first, "By=spiffe://x/y;Hash=00;URI=" + operator, "Bearer " + task.Key, task.Key, "DELETE", "127.0.0.1", "/v1/connectors", "", "1n", "*",
	}}
	mutual, bearers, public := b.REST(t, testenv.Sandbox2, task.Key), b.RESTWith(t, b.Anonymous(t), b.JWTURL, task.Key), b.RESTWith(t, b.Anonymous(t), b.PublicURL, task.Key)
	tried := []struct {
		as           *testenv.REST
		method, path string
		body         string
		header       []string
	}{
		{mutual, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`), nil},
		{mutual, http.MethodPost, "/v1/invoke:stream", invoke("things.get", `{"id":"1"}`), nil},
		{mutual, http.MethodGet, "/v1/tools", "", nil},
		{mutual, http.MethodGet, "/v1/connectors", "", nil},
		{mutual, http.MethodPost, "/c/llm/v1/chat/completions", `{"model":"m"}`, nil},
		{bearers, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`), []string{"X-Onedoor-Jwt-Svid", own.Marshal()}},
		{bearers, http.MethodPost, "/c/llm/v1/chat/completions", `{"model":"m"}`, []string{"X-Onedoor-Jwt-Svid", own.Marshal()}},
		{bearers, http.MethodGet, "/v1/connectors", "", nil},
		{public, http.MethodGet, "/v1/connectors", "", nil},
		{public, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`), nil},
	}
	var headers [][]string
	for _, prefix := range spoofPrefixes {
		for _, suffix := range spoofSuffixes {
			for _, value := range []string{first, operator, "URI=" + first} {
				headers = append(headers, s.all(prefix, suffix, value))
			}
		}
	}
	grpc := b.Client(t, testenv.Sandbox2, task.Key)
	for range 50 {
		headers = append(headers, s.some())
	}
	for _, header := range headers {
		ctx := metadata.AppendToOutgoingContext(t.Context(), header...)
		_, err := grpc.Invoke(ctx, "things", "things.get", map[string]string{"id": "1"})
		require.ErrorIs(t, err, client.TaskKeyInvalid, "%q", header)
		_, err = grpc.Connectors().List(ctx, &onedoorv1.ConnectorsListRequest{})
		require.ErrorIs(t, err, client.CallerNotAllowed, "%q", header)
	}
	for n := range len(headers) * len(tried) {
		one, header := tried[n%len(tried)], headers[n/len(tried)]
		answer := one.as.Do(t, one.method, one.path, one.body, append(header, one.header...)...)
		require.GreaterOrEqual(t, answer.Status, 400, "%s %s with %q: %s", one.method, one.path, header, answer.Body)
		require.Less(t, answer.Status, 500, "%s %s with %q: %s", one.method, one.path, header, answer.Body)
	}
	require.Zero(t, upstream.Requests())
	for _, e := range b.Events(t, task.ID) {
		require.Equal(t, b.SPIFFEID(testenv.Sandbox2), e.GetSpiffeId(), "the trail names the peer: %s", e.GetReason())
	}

	owner := b.REST(t, testenv.Sandbox, task.Key)
	made := 0
	for range 100 {
		answer := owner.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`), s.some()...)
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest}, answer.Status, answer.Body)
		if answer.Status == http.StatusOK {
			made++
		}
	}
	require.Equal(t, made, upstream.Requests())
	require.Greater(t, made, 50)
	for _, e := range b.Events(t, task.ID) {
		if e.GetKind() == "INTENT" {
			require.Equal(t, []string{first, "x509-svid"}, []string{e.GetSpiffeId(), e.GetAuthMethod()})
		}
	}
	require.Empty(t, b.ListEvents(t, &onedoorv1.AuditListRequest{Workspace: "other"}))
}

// Headers that no client library would send: control bytes, folded lines, odd names. Such
// a request is refused whole, or as that of whoever's certificate came with it.
func TestAttack03_RawHeaders(t *testing.T) {
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {})
	task := b.Mint(t, nil, readThings)
	first := b.SPIFFEID(testenv.Sandbox)
	conf := b.TLS(t, testenv.Sandbox2)
	body := invoke("things.get", `{"id":"1"}`)
	for name, lines := range map[string]string{
		"a space before the colon": "X-Spiffe-Id : " + first + "\r\n",
		"a NUL in the value":       "X-Spiffe-Id: a\x00" + first + "\r\n",
		"a NUL in the name":        "X-Spiffe\x00-Id: " + first + "\r\n",
		"a bare CR":                "X-A: b\rX-Spiffe-Id: " + first + "\r\n",
		"a bare LF":                "X-A: b\nX-Spiffe-Id: " + first + "\r\n",
		"a folded line":            "X-A: b\r\n X-Spiffe-Id: " + first + "\r\n",
		"no name":                  ": " + first + "\r\n",
		"a pseudo header":          ":spiffe-id: " + first + "\r\n",
		"no colon":                 "X-Spiffe-Id " + first + "\r\n",
		"eight bits":               "X-Spiffe-Id: \xff" + first + "\r\n",
		"two hosts":                "Host: " + testenv.Domain + "\r\n",
		"a second key":             "authorization: Bearer x\r\n",
		"a key behind a tab":       "Authorization:\tBearer " + task.Key + "\r\n",
		"another protocol":         "Connection: upgrade\r\nUpgrade: h2c\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := tls.Dial("tcp", strings.TrimPrefix(b.RESTURL, "https://"), conf)
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			_, err = io.WriteString(conn, "POST /v1/invoke HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+task.Key+"\r\nContent-Type: application/json\r\nConnection: close\r\n"+
				lines+"Content-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body)
			require.NoError(t, err)
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			defer func() { _ = answer.Body.Close() }()
			require.Contains(t, []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotImplemented}, answer.StatusCode)
		})
	}
	require.Zero(t, upstream.Requests())
}

// What HTTP/2 has in the place of a request line, given twice, in the wrong place, with
// names of its own or with another header's bytes in it, names nobody either.
func TestAttack03_PseudoHeaders(t *testing.T) {
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {})
	task := b.Mint(t, nil, readThings)
	first := b.SPIFFEID(testenv.Sandbox)
	conf := b.TLS(t, testenv.Sandbox2)
	conf.NextProtos = []string{"h2"}
	usual := func(path string) []hpack.HeaderField {
		return []hpack.HeaderField{
			{Name: ":method", Value: http.MethodGet}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "localhost"}, {Name: ":path", Value: path},
			{Name: "authorization", Value: "Bearer " + task.Key},
		}
	}
	tools := usual("/v1/tools")
	with := func(more ...hpack.HeaderField) []hpack.HeaderField {
		return append(append([]hpack.HeaderField{}, tools...), more...)
	}
	before := func(more ...hpack.HeaderField) []hpack.HeaderField { return append(more, tools...) }
	for name, fields := range map[string][]hpack.HeaderField{
		"as it should be":         tools,
		"an authority of ours":    before(hpack.HeaderField{Name: ":authority", Value: testenv.Domain}),
		"two paths":               before(hpack.HeaderField{Name: ":path", Value: "/v1/connectors"}),
		"a pseudo header of ours": before(hpack.HeaderField{Name: ":spiffe-id", Value: first}),
		"one of TLS":              before(hpack.HeaderField{Name: ":peer", Value: first}),
		"a protocol":              before(hpack.HeaderField{Name: ":protocol", Value: "websocket"}),
		"a path behind headers":   with(hpack.HeaderField{Name: ":path", Value: "/v1/connectors"}),
		"a status":                with(hpack.HeaderField{Name: ":status", Value: "200"}),
		"capitals":                with(hpack.HeaderField{Name: "X-Spiffe-Id", Value: first}),
		"a line break":            with(hpack.HeaderField{Name: "x-a", Value: "b\r\nx-spiffe-id: " + first}),
		"a NUL":                   with(hpack.HeaderField{Name: "x-spiffe-id", Value: "\x00" + first}),
		"a name with a colon":     with(hpack.HeaderField{Name: "x-spiffe-id:", Value: first}),
		"of one hop":              with(hpack.HeaderField{Name: "connection", Value: "authorization"}),
		"a second key":            with(hpack.HeaderField{Name: "authorization", Value: "Bearer x"}),
		"an identity":             with(hpack.HeaderField{Name: "x-spiffe-id", Value: first}, hpack.HeaderField{Name: "grpc-metadata-x-spiffe-id", Value: first}),
		"a whole URL":             usual("https://localhost/v1/tools"),
		"no path":                 usual(""),
		"everything":              usual("*"),
	} {
		t.Run(name, func(t *testing.T) {
			status := h2Status(t, strings.TrimPrefix(b.RESTURL, "https://"), conf, fields)
			require.Contains(t, []string{"400", "401", "404", "reset"}, status)
		})
	}
	require.Zero(t, upstream.Requests())
	for _, e := range b.Events(t, task.ID) {
		require.Equal(t, []string{b.SPIFFEID(testenv.Sandbox2), "KEY_THEFT"}, []string{e.GetSpiffeId(), e.GetReason()})
	}
}

// h2Status sends one request of these very fields and gives the answer's status, or
// "reset" where the stream or the connection is ended instead.
func h2Status(t *testing.T, address string, conf *tls.Config, fields []hpack.HeaderField) string {
	t.Helper()
	conn, err := tls.Dial("tcp", address, conf)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, http2.ClientPreface)
	require.NoError(t, err)
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	require.NoError(t, framer.WriteSettings())
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		require.NoError(t, encoder.WriteField(f))
	}
	require.NoError(t, framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}))
	for {
		frame, err := framer.ReadFrame()
		if errors.Is(err, io.EOF) {
			return "reset"
		}
		require.NoError(t, err)
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			return f.PseudoValue("status")
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return "reset"
		}
	}
}
