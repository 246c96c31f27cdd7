package attack_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/tls"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// awkwardCanary holds what encoders differ about.
const awkwardCanary = `canary/7f+D9c=2b"e4&a6<5\8-30fa`

// spelled gives a secret as upstreams write it.
func spelled(secret string) map[string]string {
	text := []byte(secret)
	each := func(format, between string) string {
		parts := make([]string, len(text))
		for i, c := range text {
			parts[i] = fmt.Sprintf(format, c)
		}
		return strings.Join(parts, between)
	}
	quoted := func(s string) string {
		q, _ := json.Marshal(s)
		return string(q[1 : len(q)-1])
	}
	broken := func(s, between string) string { // no part is long enough to be found by itself
		return regexp.MustCompile(`.{12}`).ReplaceAllString(s, "$0"+strings.ReplaceAll(between, "$", "$$"))
	}
	wide := func(order binary.AppendByteOrder) string {
		var out []byte
		for _, unit := range utf16.Encode([]rune(secret)) {
			out = order.AppendUint16(out, unit)
		}
		return string(out)
	}
	all := map[string]string{
		"raw": secret, "upper": strings.ToUpper(secret), "lower": strings.ToLower(secret), "form": strings.ReplaceAll(secret, " ", "+"),
		"query": url.QueryEscape(secret), "path": url.PathEscape(secret), "percent": each("%%%02x", ""), "PERCENT": each("%%%02X", ""),
		"percent twice": each("%%25%02X", ""), "query twice": url.QueryEscape(url.QueryEscape(secret)), "escape()": each("%%u%04x", ""),
		"JSON": quoted(secret), "JSON, slashes": strings.ReplaceAll(quoted(secret), "/", `\/`), "JSON u": each(`\u%04x`, ""), "JSON U": each(`\u%04X`, ""),
		"JSON in JSON": quoted(quoted(secret)), "JSON u in JSON": each(`\\u%04x`, ""), "JSON in a query": url.QueryEscape(quoted(secret)),
		"C": each(`\x%02x`, ""), "octal": each(`\%03o`, ""), "braces": each(`\u{%x}`, ""), "quoted-printable": each("=%02X", ""),
		"HTML": html.EscapeString(secret), "HTML decimal": each("&#%d;", ""), "HTML zeros": each("&#%07d;", ""), "HTML hex": each("&#X%x;", ""), "HTML open": each("&#%d", ""),
		"HTML in JSON": quoted(html.EscapeString(secret)), "JSON in HTML": html.EscapeString(quoted(secret)),
		"hex": hex.EncodeToString(text), "HEX": each("%02X", ""), "hex spaces": each("%02x", " "), "hex colons": each("%02X", ":"), "hex dashes": each("%02X", "-"),
		"hex 0x": each("0x%02x", ", "), "bytea": `\x` + hex.EncodeToString(text), "hex lines": broken(hex.EncodeToString(text), "\n"),
		"bytes": each("%d", ", "), "bytes of Go": each("%d", " "), "UTF-16LE": wide(binary.LittleEndian), "UTF-16BE": wide(binary.BigEndian),
		"base32": base32.StdEncoding.EncodeToString(text),
	}
	for offset := range 3 {
		padded := append([]byte("xyz"[:offset]), text...)
		for name, enc := range map[string]*base64.Encoding{"base64 ": base64.StdEncoding, "base64url ": base64.RawURLEncoding} {
			plain := enc.EncodeToString(append(padded, "tail"...))
			name += strconv.Itoa(offset)
			all[name], all[name+" query"], all[name+" JSON"] = plain, url.QueryEscape(plain), strings.ReplaceAll(plain, "/", `\/`)
			all[name+" MIME"], all[name+" LF"], all[name+" JSON LF"] = broken(plain, "\r\n"), broken(plain, "\n"), broken(plain, `\n`)
			all[name+" JSON CRLF"], all[name+" soft"], all[name+" event"] = broken(plain, `\r\n`), broken(plain, "=\r\n"), broken(plain, "\ndata: ")
		}
	}
	return all
}

// joined is every spelling, apart from one another; for a header those that fit there.
func joined(all map[string]string, header bool) string {
	var b strings.Builder
	for _, text := range all {
		if header && strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
			continue
		}
		b.WriteString(" !before! " + text + " !after! ")
	}
	return b.String()
}

// coder writes a content coding.
type coder struct {
	name string
	to   func(io.Writer) io.WriteCloser
}

var coders = []coder{
	{"gzip", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }},
	{"br", func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) }},
	{"zstd", func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }},
	{"deflate", func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }},
	{"Deflate", func(w io.Writer) io.WriteCloser { f, _ := flate.NewWriter(w, 9); return f }},
}

// places are where an upstream of this test writes what it received. shown says that the
// sandbox is to see the rest of it.
func places() map[string]struct {
	shown bool
	write func(w http.ResponseWriter, all map[string]string)
} {
	type place = struct {
		shown bool
		write func(w http.ResponseWriter, all map[string]string)
	}
	body := func(status int, kind string) place {
		return place{true, func(w http.ResponseWriter, all map[string]string) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", "/"+url.PathEscape(all["raw"]))
			w.WriteHeader(status)
			_, _ = io.WriteString(w, joined(all, false))
		}}
	}
	list := map[string]place{
		"body": body(200, "text/plain"), "error": body(500, "text/html"), "refusal": body(401, "application/problem+json"), "redirect": body(302, "text/html"),
		"header": {true, func(w http.ResponseWriter, all map[string]string) {
			for _, name := range []string{"X-Kind", "Content-Type", "Link", "Set-Cookie", "Www-Authenticate", "Refresh", "X-Other", all["hex"]} {
				w.Header().Set(name, joined(all, true))
			}
			_, _ = io.WriteString(w, "ok !after!")
		}},
		"JSON": {true, func(w http.ResponseWriter, all map[string]string) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"all": joined(all, false), all["hex"]: []byte(all["raw"])})
		}},
		"multipart": {true, func(w http.ResponseWriter, all map[string]string) {
			w.Header().Set("Content-Type", `multipart/mixed; boundary="`+all["hex"]+`"`)
			_, _ = io.WriteString(w, "--"+all["hex"]+"\r\nContent-Disposition: form-data; filename*=UTF-8''"+all["percent"]+"\r\n\r\n"+joined(all, false)+"\r\n--"+all["hex"]+"--")
		}},
		"events": {true, func(w http.ResponseWriter, all map[string]string) {
			w.Header().Set("Content-Type", "text/event-stream")
			for name, text := range all {
				_, _ = fmt.Fprintf(w, "event: x\nid: %s\ndata: %s !after!\n\n", all["base64 1"], text)
				if name != "" {
					_ = http.NewResponseController(w).Flush()
				}
			}
		}},
		"bytewise": {true, func(w http.ResponseWriter, all map[string]string) {
			for _, name := range []string{"raw", "percent twice", "JSON u in JSON", "base64 1", "base64 2 MIME", "hex 0x", "HTML open"} {
				for _, c := range []byte("!before! " + all[name] + " !after! ") {
					_, _ = w.Write([]byte{c})
					_ = http.NewResponseController(w).Flush()
				}
			}
		}},
		"trailer": {false, func(w http.ResponseWriter, all map[string]string) {
			w.Header().Set("Trailer", "X-Kind, Grpc-Message")
			_, _ = io.WriteString(w, "x")
			w.Header().Set("X-Kind", all["raw"]+all["hex"]) // net/http takes no long ones
			w.Header().Set("Grpc-Message", all["percent"])
		}},
		"around": {true, func(w http.ResponseWriter, all map[string]string) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 103 %[1]s\r\nX-Kind: %[1]s\r\nLink: <%[1]s>\r\n\r\nHTTP/1.1 200 %[1]s\r\nX-Kind: caf\xe9 %[1]s\r\n %[1]s\r\n%[2]s: %[1]s\r\n"+
				"Content-Length: 9\r\n\r\nok!after!", all["raw"], all["hex"])
			_ = conn.Close()
		}},
		"unknown": {false, func(w http.ResponseWriter, all map[string]string) {
			w.Header().Set("Content-Encoding", "gzip, x-rot13")
			_, _ = io.WriteString(w, joined(all, false))
		}},
		"part": {false, func(w http.ResponseWriter, all map[string]string) {
			w.Header().Set("Content-Range", "bytes 3-20/99")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, all["raw"][3:])
		}},
	}
	for _, inner := range coders {
		list[inner.name] = place{true, func(w http.ResponseWriter, all map[string]string) {
			w.Header().Set("Content-Encoding", inner.name)
			z := inner.to(w)
			_, _ = io.WriteString(z, joined(all, false))
			_ = z.Close()
		}}
		list[inner.name+"-in-gzip"] = place{true, func(w http.ResponseWriter, all map[string]string) {
			w.Header().Add("Content-Encoding", inner.name)
			w.Header().Add("Content-Encoding", "identity, GZIP")
			outer := coders[0].to(w)
			z := inner.to(outer)
			_, _ = io.WriteString(z, joined(all, false))
			_ = z.Close()
			_ = outer.Close()
		}}
	}
	return list
}

// tap is a client that keeps every byte that comes out of its TLS connections.
type tap struct {
	*http.Client
	mu   sync.Mutex
	wire bytes.Buffer
}

func newTap(t *testing.T, config *tls.Config) *tap {
	t.Helper()
	p := &tap{}
	transport := &http.Transport{DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, network, addr)
		return &tapped{conn, p}, err
	}}
	t.Cleanup(transport.CloseIdleConnections)
	p.Client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return p
}

type tapped struct {
	net.Conn
	tap *tap
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	c.tap.wire.Write(p[:n])
	return n, err
}

// post sends a request and gives every byte that came for it.
func (p *tap) post(t *testing.T, at, key, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	answer, err := p.Do(request)
	require.NoError(t, err)
	read, _ := io.ReadAll(answer.Body) // it may break off
	require.NoError(t, answer.Body.Close())
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.wire.Reset()
	return p.wire.String() + string(read)
}

var jsonString = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// opened is a text, and what our own JSON and base64 in it hold; the pieces of a stream
// are put together.
func opened(text string) string {
	var b, pieces strings.Builder
	for line := range strings.Lines(text) {
		var piece struct {
			Text string
			Data []byte `json:"dataBase64"`
		}
		if json.Unmarshal([]byte(line), &piece) == nil {
			pieces.WriteString(piece.Text + string(piece.Data))
		}
	}
	b.WriteString(pieces.String() + "\n")
	b.WriteString(text + "\n" + decodeBase64Members(text))
	for _, quoted := range jsonString.FindAllString(text, -1) {
		var plain string
		if json.Unmarshal([]byte(quoted), &plain) == nil {
			b.WriteString("\n" + plain)
		}
	}
	return b.String()
}

// requireUnspelled wants no third of any spelling in a text.
func requireUnspelled(t *testing.T, where, text string, all map[string]string) {
	t.Helper()
	text = opened(text)
	for name, s := range all {
		third := len(s) / 3
		for at := range len(s) - third {
			if part := s[at : at+third]; strings.Contains(text, part) && !regexp.MustCompile(`^[\W_]*$`).MatchString(part) {
				t.Fatalf("%s holds a part of the secret's form %q, from %d", where, name, at)
			}
		}
	}
}

// TestAttack15_FormsAndPlaces: in whatever form, in whatever place of its answer an
// upstream gives back the credential, no third of it is in the bytes that the sandbox
// reads from its connections; and what stands beside it arrives.
func TestAttack15_FormsAndPlaces(t *testing.T) {
	where := places()
	var secret string
	echo := func(w http.ResponseWriter, r *http.Request, place string) {
		if r.Header.Get("Authorization") != "Bearer "+secret {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		where[place].write(w, spelled(secret))
	}
	b, upstream := target(t, func(w http.ResponseWriter, r *http.Request) { echo(w, r, r.URL.Path[len("/things/"):]) })
	provider := testenv.Provider{Upstream: testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Model string }
		_ = json.NewDecoder(r.Body).Decode(&asked)
		echo(w, r, asked.Model)
	}))}
	b.Apply(t, provider.Ready(t, "openai"))
	task := b.Mint(t, nil, readThings, "openai: chat.* READ model:*")
	sandbox, rest := b.Client(t, testenv.Sandbox, task.Key), newTap(t, b.TLS(t, testenv.Sandbox))
	for _, secret = range []string{canary, awkwardCanary} {
		b.Put(t, "things", "alice", secret)
		b.Put(t, "openai", "", secret)
		all := spelled(secret)
		for place, how := range where {
			t.Run(place, func(t *testing.T) {
				got := map[string]string{
					"REST":                rest.post(t, b.RESTURL+"/v1/invoke", task.Key, invoke("things.get", `{"id":"`+place+`"}`)),
					"REST, a stream":      rest.post(t, b.RESTURL+"/v1/invoke:stream", task.Key, invoke("things.get", `{"id":"`+place+`"}`)),
					"the provider's form": rest.post(t, b.RESTURL+"/c/openai/v1/chat/completions", task.Key, `{"model":"`+place+`","messages":[{"role":"user","content":"x"}]}`),
				}
				var text strings.Builder
				answer, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": place})
				_, _ = fmt.Fprintf(&text, "%v %+v", err, answer)
				if err == nil {
					text.Write(answer.Body)
				}
				got["gRPC"] = text.String()
				text.Reset()
				stream, err := sandbox.InvokeStream(t.Context(), "things", "things.get", map[string]string{"id": place})
				_, _ = fmt.Fprint(&text, err)
				if err == nil {
					_, _ = fmt.Fprintf(&text, "%+v", stream.Response)
					for piece, err := range stream.Data() {
						_, _ = fmt.Fprintf(&text, "%s", piece)
						require.NoError(t, err)
					}
				}
				got["gRPC, a stream"] = text.String()
				for transport, text := range got {
					requireUnspelled(t, transport, text, all)
					if how.shown {
						require.Contains(t, opened(text), "!after!", transport)
					}
				}
			})
		}
		require.Contains(t, upstream.Wire(), secret, "the upstream did get it")
		require.Contains(t, provider.Wire(), secret, "the provider did get it")
	}
	found := 0
	for _, e := range b.ListEvents(t, &onedoorv1.AuditListRequest{}) {
		if strings.Contains(e.GetDetail(), `"redactions":`) {
			found++
		}
	}
	require.Greater(t, found, 100, "what was found is recorded")
}
