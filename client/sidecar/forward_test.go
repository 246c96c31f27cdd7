package sidecar_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/onedoor/onedoor/proto/onedoor/v1" // whose services are looked up
)

// seen answers with what the broker saw of a request.
func seen(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s\n%s", r.Method, r.RequestURI, body)
}

func TestThePathGoesByteForByte(t *testing.T) {
	r := newRig(t, seen)
	for _, target := range []string{
		"/v1/tools", "/v1/tools?", "/v1/tools?a=1;b=%zz&&c", "/c/m/a%2Fb", "/c/m/%61", "/c/m/../x", "/c/m/./x", "/c/m//x//", "/c/m/a%2e%2e/b",
		"/c/openai/v1/chat/completions", "/c/gemini/v1beta/models/m:generateContent?alt=sse", "/c/x/..%2f..%2fv1", "/c/x/%C3%A9/%ff", "/c//",
		"/c/x/a#b", "/c/x/'()*!$&,;=:@~", "/mcp", "/mcp?x=1", "/mcp/", "/v1/tools?url=http://x/y?z",
	} {
		t.Run(target, func(t *testing.T) {
			all := r.raw(t, "POST "+target+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
			require.Len(t, all, 1)
			require.Equal(t, "POST "+target+"\nhi", all[0].text)
		})
	}
}

func TestNothingElseIsForwarded(t *testing.T) {
	r := newRig(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("forwarded: %s", r.RequestURI) })
	for _, target := range []string{
		"/", "/v1", "/c", "/mcpx", "/V1/tools", "/%761/tools", "//v1/tools", "/./v1/tools", "/x/../v1/tools", "/metrics", "/openapi.json",
		"http://localhost/v1/tools", "http://elsewhere.example/v1/tools", "*", "/healthz/x",
		"/v1/", "/v1/tools/", "/v1//tools", "/v1/%74ools", "/v1/tools%3Fx", "/v1/task/../tasks", "/v1/nothing",
	} {
		t.Run(target, func(t *testing.T) {
			method := "GET "
			if target == "*" {
				method = "OPTIONS "
			}
			all := r.raw(t, method+target+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			require.Len(t, all, 1)
			if all[0].StatusCode == http.StatusForbidden { // the host of the target counts
				require.Equal(t, "HOST_REFUSED", all[0].reason(t))
				return
			}
			require.Equal(t, http.StatusNotFound, all[0].StatusCode, all[0].text)
			require.Equal(t, "PATH_UNKNOWN", all[0].reason(t))
		})
	}
}

// What a task may ask is forwarded, and nothing by which a broker is administered: that takes
// an SVID alone, and the sidecar's may be an operator's.
func TestOnlyWhatATaskMayAsk(t *testing.T) {
	r := newRig(t, seen)
	broker, others := 0, 0
	protoregistry.GlobalFiles.RangeFilesByPackage("onedoor.v1", func(file protoreflect.FileDescriptor) bool {
		for _, m := range methods(file) {
			rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
			if rule == nil {
				continue // over gRPC alone
			}
			method, path := http.MethodGet, rule.GetGet()
			if rule.GetPost() != "" {
				method, path = http.MethodPost, rule.GetPost()
			} else if rule.GetDelete() != "" {
				method, path = http.MethodDelete, rule.GetDelete()
			}
			require.NotEmpty(t, path, m.FullName())
			answer := r.do(t, method, strings.NewReplacer("{", "", "}", "").Replace(path), http.NoBody)
			if m.Parent().Name() == "Broker" {
				broker++
				require.Equal(t, http.StatusOK, answer.StatusCode, path)
			} else {
				others++
				require.Equal(t, http.StatusNotFound, answer.StatusCode, path)
			}
		}
		return true
	})
	require.Greater(t, broker, 5)
	require.Greater(t, others, 10)
}

func methods(file protoreflect.FileDescriptor) []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	for i := range file.Services().Len() {
		of := file.Services().Get(i).Methods()
		for j := range of.Len() {
			all = append(all, of.Get(j))
		}
	}
	return all
}

// In HTTP/2 CONNECT goes without its path, so the broker would see a request for itself.
func TestCONNECTIsNotForwarded(t *testing.T) {
	r := newRig(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("forwarded: %s %s", r.Method, r.RequestURI) })
	for _, target := range []string{"/v1/tools", "/c/crm/contacts", "/mcp", "localhost:443"} {
		all := r.raw(t, "CONNECT "+target+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		require.Len(t, all, 1)
		require.Equal(t, http.StatusNotFound, all[0].StatusCode, all[0].text)
		require.Equal(t, "PATH_UNKNOWN", all[0].reason(t))
	}
}

func TestHeaders(t *testing.T) {
	var header http.Header
	var host string
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		header, host = r.Header, r.Host
		w.Header().Set("X-Request-Id", "7")
		w.Header().Set("Connection", "X-Hop")
		w.WriteHeader(http.StatusTeapot)
	})
	answer := r.do(t, http.MethodPost, "/v1/invoke", strings.NewReader("{}"),
		"X-Api-Key", "k", "Idempotency-Key", "i", "Mcp-Session-Id", "s", "Accept", "text/event-stream", "Accept-Encoding", "identity",
		"X-Onedoor-Jwt-Svid", "forged", "X-Forwarded-For", "1.2.3.4", "X-Forwarded-Client-Cert", "URI=spiffe://x", "Forwarded", "for=1.2.3.4",
		"X-Real-Ip", "1.2.3.4", "Cookie", "a=b", "Origin", "http://localhost:3000", "Referer", "http://localhost", "Via", "x",
		"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors",
		"Connection", "X-Hop, Authorization2", "X-Hop", "h", "Authorization2", "h", "Proxy-Authorization", "p", "Upgrade", "h2c", "Keep-Alive", "1")
	require.Equal(t, http.StatusTeapot, answer.StatusCode)
	require.Equal(t, "7", answer.Header.Get("X-Request-Id"))
	require.NotContains(t, host, "localhost")
	require.Equal(t, "Bearer "+taskKey, header.Get("Authorization"))
	for name := range header {
		require.Contains(t, []string{"Authorization", "X-Api-Key", "Idempotency-Key", "Mcp-Session-Id", "Accept", "Accept-Encoding", "User-Agent", "Content-Length"}, name)
	}
	r.do(t, http.MethodGet, "/v1/tools", nil, "Authorization", "Bearer second")
	require.Len(t, header.Values("Authorization"), 2, "the broker refuses it: we choose for nobody")
}

// A stream's first event is there while the second has not been written, the trailers
// follow, and an answer that breaks off breaks off here too.
func TestAnswersStream(t *testing.T) {
	more := make(chan struct{})
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Trailer", "X-End")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-more
		if r.RequestURI == "/c/m/cut" {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "data: 2\n\n")
		w.Header().Set("X-End", "whole")
	})
	for path, whole := range map[string]bool{"/c/m/stream": true, "/c/m/cut": false} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.address+path, strings.NewReader("{}"))
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		body := bufio.NewReader(response.Body)
		line, err := body.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "data: 1\n", line)
		more <- struct{}{}
		rest, err := io.ReadAll(body)
		if !whole {
			require.Error(t, err, "half an answer is not taken for a whole one")
			continue
		}
		require.NoError(t, err)
		require.Equal(t, "\ndata: 2\n\n", string(rest))
		require.Equal(t, "whole", response.Trailer.Get("X-End"))
		require.NoError(t, response.Body.Close())
	}
}

// A request's body goes up as it comes.
func TestRequestsStream(t *testing.T) {
	heard := make(chan string)
	r := newRig(t, func(_ http.ResponseWriter, r *http.Request) {
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			heard <- lines.Text()
		}
	})
	out, in := io.Pipe()
	answered := make(chan got, 1)
	go func() { answered <- r.do(t, http.MethodPost, "/v1/invoke", out) }()
	for _, line := range []string{"one", "two"} {
		_, err := io.WriteString(in, line+"\n")
		require.NoError(t, err)
		require.Equal(t, line, <-heard)
	}
	require.NoError(t, in.Close())
	require.Equal(t, http.StatusOK, (<-answered).StatusCode)
}

// Requests that two readers could take apart differently reach the broker as one, or not
// at all, and none is read behind them.
func TestSmuggling(t *testing.T) {
	const inner = "GET /c/m/inner HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	for name, text := range map[string]string{
		"both lengths":           "POST /v1/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
		"two lengths":            "POST /v1/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n" + inner,
		"a length with a sign":   "POST /v1/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Length: +0\r\n\r\n" + inner,
		"chunked twice":          "POST /v1/invoke HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + inner,
		"another coding":         "POST /v1/invoke HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + inner,
		"a space before a colon": "POST /v1/invoke HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner,
		"a folded header":        "POST /v1/invoke HTTP/1.1\r\nHost: localhost\r\nX: a\r\n Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + inner,
		"HTTP/1.0":               "POST /v1/invoke HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n" + inner,
		"two hosts":              "POST /v1/invoke HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n" + inner,
		"a bare CR":              "POST /v1/invoke HTTP/1.1\r\nHost: localhost\r\nX: a\rTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + inner,
		"a NUL":                  "POST /v1/invoke HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n" + inner,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.RequestURI, "inner") {
					t.Error("the inner request came through")
				}
				seen(w, r)
			})
			require.LessOrEqual(t, len(r.raw(t, text)), 1)
		})
	}
}

// An answer that begins before the request's body has come, and stays whole.
func TestAnswersBeforeTheBody(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "early\n")
		_ = http.NewResponseController(w).Flush()
		rest, _ := io.ReadAll(r.Body)
		_, _ = w.Write(rest)
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.address, "http://"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, "POST /v1/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body := bufio.NewReader(response.Body)
	line, err := body.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "early\n", line)
	_, err = io.WriteString(conn, "late")
	require.NoError(t, err)
	rest := make([]byte, 4)
	_, err = io.ReadFull(body, rest)
	require.NoError(t, err)
	require.Equal(t, "late", string(rest))
}

// Nobody reads of a request any more when the next one of its connection is served: net/http
// panics then, in a goroutine of the transport's too, which ends the whole process.
func TestNoRequestFollowsAnEarlyAnswer(t *testing.T) {
	r, reads := newRig(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }), newRig(t, seen)
	const one = "POST /v1/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
	const last = "POST /v1/invoke HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
	for range 50 {
		all := r.raw(t, strings.Repeat(one, 5)+last)
		require.NotEmpty(t, all)
		for i, answer := range all {
			require.Equal(t, http.StatusForbidden, answer.StatusCode)
			require.Equal(t, i == len(all)-1, answer.Close, "answer %d of %d", i, len(all))
		}
	}
	require.NotContains(t, r.log.String(), "panic")
	for range 50 { // one that was read is followed by the next as ever
		require.Len(t, reads.raw(t, strings.Repeat(one, 5)+last), 6)
	}
}

// A program that has said all closes its half of the connection, which net/http takes for its
// end: the call is cut then, and nobody must be told that it went well.
func TestNothingIsMadeUp(t *testing.T) {
	r := newRig(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for _, version := range []string{"1.0", "1.1"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.address, "http://"))
		require.NoError(t, err)
		_, err = io.WriteString(conn, "POST /v1/invoke HTTP/"+version+"\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
		require.NoError(t, err)
		require.NoError(t, conn.(*net.TCPConn).CloseWrite())
		answer, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Empty(t, string(answer), version)
		require.NoError(t, conn.Close())
	}
}
