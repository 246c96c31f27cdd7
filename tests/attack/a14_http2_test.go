package attack_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// stream is one request of HTTP/2, in the order in which it is written.
type stream struct {
	fields []hpack.HeaderField
	body   string
}

// set replaces a field, or puts it at the end.
func (s stream) set(name, value string) stream {
	for i, f := range s.fields {
		if f.Name == name {
			s.fields[i].Value = value
			return s
		}
	}
	return s.add(name, value)
}

func (s stream) add(name, value string) stream {
	s.fields = append(s.fields, hpack.HeaderField{Name: name, Value: value})
	return s
}

func (s stream) first(name, value string) stream {
	s.fields = append([]hpack.HeaderField{{Name: name, Value: value}}, s.fields...)
	return s
}

func (s stream) without(name string) stream {
	var kept []hpack.HeaderField
	for _, f := range s.fields {
		if f.Name != name {
			kept = append(kept, f)
		}
	}
	s.fields = kept
	return s
}

// http2Smuggling are requests that say what HTTP/2 forbids, since HTTP/1.1 would read it
// as framing, or as another request (RFC 9113, section 8.2 and 8.3).
var http2Smuggling = map[string]func(stream) stream{
	"transfer-encoding":         func(s stream) stream { return s.add("transfer-encoding", "chunked") },
	"connection":                func(s stream) stream { return s.add("connection", "transfer-encoding") },
	"keep-alive":                func(s stream) stream { return s.add("keep-alive", "1") },
	"proxy-connection":          func(s stream) stream { return s.add("proxy-connection", "close") },
	"upgrade":                   func(s stream) stream { return s.add("upgrade", "websocket") },
	"a longer length":           func(s stream) stream { return s.set("content-length", "9999") },
	"a shorter length":          func(s stream) stream { return s.set("content-length", "1") },
	"two lengths":               func(s stream) stream { return s.add("content-length", "1").add("content-length", "2") },
	"two paths":                 func(s stream) stream { return s.first(":path", "/healthz") },
	"two methods":               func(s stream) stream { return s.first(":method", "GET") },
	"a path behind a field":     func(s stream) stream { return s.without(":path").add(":path", s.path()) },
	"a pseudo-field of its own": func(s stream) stream { return s.first(":other", "x") },
	"no path":                   func(s stream) stream { return s.without(":path") },
	"no method":                 func(s stream) stream { return s.without(":method") },
	"no scheme":                 func(s stream) stream { return s.without(":scheme") },
	"an empty path":             func(s stream) stream { return s.set(":path", "") },
	"a line in the path":        func(s stream) stream { return s.set(":path", s.path()+" HTTP/1.1\r\nX-Kind: y") },
	"a NUL in the path":         func(s stream) stream { return s.set(":path", s.path()+"\x00") },
	"a line in the method":      func(s stream) stream { return s.set(":method", "POST /x HTTP/1.1\r\n\r\nGET") },
	"a line in a value":         func(s stream) stream { return s.add("x-kind", "a\r\ntransfer-encoding: chunked") },
	"a line in a name":          func(s stream) stream { return s.add("x-kind: a\r\nb", "c") },
	"an upper-case name":        func(s stream) stream { return s.add("Transfer-Encoding", "chunked") },
	"a colon in a name":         func(s stream) stream { return s.add("x:y", "c") },
}

func (s stream) path() string {
	for _, f := range s.fields {
		if f.Name == ":path" {
			return f.Value
		}
	}
	return ""
}

// TestAttack14_HTTP2: none of it becomes a call, on either listener, and an honest
// request on the same bytes but for that does.
func TestAttack14_HTTP2(t *testing.T) {
	b, upstream := target(t, echoPath)
	task := b.Mint(t, nil, readThings)
	conf := b.TLS(t, testenv.Sandbox)
	message, err := proto.Marshal(&onedoorv1.InvokeRequest{Connector: "things", Tool: "things.get", ArgumentsJson: []byte(`{"id":"one"}`)})
	require.NoError(t, err)
	framed := string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))) + string(message)
	for listener, at := range map[string]struct{ addr, path, kind, body string }{
		"rest": {strings.TrimPrefix(b.RESTURL, "https://"), "/v1/invoke", "application/json", invoke("things.get", `{"id":"one"}`)},
		"grpc": {b.Addr, "/onedoor.v1.Broker/Invoke", "application/grpc", framed},
	} {
		honest := func() stream {
			s := stream{body: at.body}
			return s.add(":method", "POST").add(":scheme", "https").add(":authority", "localhost").add(":path", at.path).
				add("content-type", at.kind).add("te", "trailers").add("authorization", "Bearer "+task.Key)
		}
		before := upstream.Requests()
		require.Equal(t, "200", exchange(t, conf, at.addr, honest()), listener)
		require.Equal(t, before+1, upstream.Requests())
		for name, change := range http2Smuggling {
			t.Run(listener+"/"+name, func(t *testing.T) {
				before := upstream.Requests()
				got := exchange(t, conf, at.addr, change(honest()))
				if listener == "grpc" && ignoredByGRPC[name] {
					require.LessOrEqual(t, upstream.Requests(), before+1)
				} else {
					require.NotEqual(t, "200", got)
					require.Equal(t, before, upstream.Requests())
				}
				require.Equal(t, "200", exchange(t, conf, at.addr, honest()), "the next one gets their own answer")
			})
		}
	}
	for request := range strings.SplitSeq(strings.TrimSuffix(upstream.Wire(), "\r\n\r\n"), "\r\n\r\n") {
		require.True(t, strings.HasPrefix(request, "GET /things/one HTTP/1.1\r\n"), "nothing of a request's form goes on")
		require.NotContains(t, strings.ToLower(request), "transfer-encoding")
	}
}

// ignoredByGRPC are what gRPC does not look at: a message bears its own length, and
// nothing of a request goes on in another form.
var ignoredByGRPC = map[string]bool{
	"transfer-encoding": true, "keep-alive": true, "proxy-connection": true, "upgrade": true, "no scheme": true,
	"a longer length": true, "a shorter length": true, "two lengths": true, "no path": true, "an empty path": true,
}

// exchange sends a request over HTTP/2 as it is, and gives the status of the answer, or
// how it was refused.
func exchange(t *testing.T, conf *tls.Config, addr string, s stream) string {
	t.Helper()
	conf = conf.Clone()
	conf.NextProtos, conf.ServerName = []string{"h2"}, "localhost"
	c, err := tls.Dial("tcp", addr, conf)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = c.Write([]byte(http2.ClientPreface))
	require.NoError(t, err)
	f := http2.NewFramer(c, c)
	f.AllowIllegalWrites = true
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	require.NoError(t, f.WriteSettings())
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range s.fields {
		require.NoError(t, encoder.WriteField(field))
	}
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
	_ = f.WriteData(1, true, []byte(s.body))
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return "closed"
		}
		switch answer := frame.(type) {
		case *http2.SettingsFrame:
			if !answer.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			return answer.PseudoValue("status")
		case *http2.RSTStreamFrame:
			return "reset"
		case *http2.GoAwayFrame:
			return "gone"
		}
	}
}
