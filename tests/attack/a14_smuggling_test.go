package attack_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// raw sends bytes over TLS and nothing behind them, and gives all that comes back.
func raw(t *testing.T, conf *tls.Config, url, request string) string {
	t.Helper()
	conf = conf.Clone()
	conf.NextProtos = []string{"http/1.1"}
	conf.ServerName = "localhost"
	c, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), conf)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, _ = io.WriteString(c, request) // which the other side may not want to read to its end
	_ = c.CloseWrite()
	answer, err := io.ReadAll(c)
	var reset *net.OpError
	require.True(t, err == nil || errors.As(err, &reset) && !reset.Timeout(), "the other side ends the connection: %v", err)
	return string(answer)
}

// smuggling are requests on whose length two readers may differ. ONE is the body of an
// honest request, and TWO a whole second one.
var smuggling = map[string]string{
	"CL.TE":                         "Content-Length: CLALL\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nTWO",
	"TE.CL":                         "Transfer-Encoding: chunked\r\nContent-Length: CLONE\r\n\r\nCHUNKED0\r\n\r\nTWO",
	"two lengths":                   "Content-Length: CLONE\r\nContent-Length: CLALL\r\n\r\nONETWO",
	"two lengths in one":            "Content-Length: CLONE, CLALL\r\n\r\nONETWO",
	"a signed length":               "Content-Length: +CLONE\r\n\r\nONETWO",
	"a negative length":             "Content-Length: -1\r\n\r\nONETWO",
	"a hexadecimal length":          "Content-Length: 0x1\r\n\r\nONETWO",
	"an empty length":               "Content-Length: \r\n\r\nTWO",
	"a huge length":                 "Content-Length: 18446744073709551616\r\n\r\nTWO",
	"another coding":                "Content-Length: CLONE\r\nTransfer-Encoding: xchunked\r\n\r\nONETWO",
	"chunked, identity":             "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\nTWO",
	"identity, chunked":             "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\nTWO",
	"chunked twice":                 "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nTWO",
	"identity":                      "Transfer-Encoding: identity\r\nContent-Length: CLONE\r\n\r\nONETWO",
	"a tab before the coding":       "Content-Length: CLALL\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\nTWO",
	"a vertical tab":                "Content-Length: CLALL\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\nTWO",
	"a coding in a folded line":     "Content-Length: CLALL\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\nTWO",
	"a coding behind a bare LF":     "X-Kind: a\nTransfer-Encoding: chunked\r\nContent-Length: CLALL\r\n\r\n0\r\n\r\nTWO",
	"a coding behind a bare CR":     "X-Kind: a\rTransfer-Encoding: chunked\r\nContent-Length: CLONE\r\n\r\nONETWO",
	"a length behind a NUL":         "X-Kind: a\x00\r\nContent-Length: CLONE\r\n\r\nONETWO",
	"a blank before the colon":      "Transfer-Encoding : chunked\r\nContent-Length: CLONE\r\n\r\nONETWO",
	"a name with a NUL":             "Content-Length\x00: CLALL\r\nContent-Length: CLONE\r\n\r\nONETWO",
	"an LF in a chunk's extension":  "Transfer-Encoding: chunked\r\n\r\n2;x\nTWO\r\n0\r\n\r\n",
	"an LF behind a chunk's length": "Transfer-Encoding: chunked\r\n\r\n0\n\nTWO",
	"a chunk longer than it says":   "Transfer-Encoding: chunked\r\n\r\n1\r\n{}0\r\n\r\nTWO",
	"a chunk of a huge length":      "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nTWO",
	"a chunk's length with 0x":      "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\nTWO",
	"a chunk of no length":          "Transfer-Encoding: chunked\r\n\r\n;\r\n\r\nTWO",
	"a chunk's length, signed":      "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\nTWO",
	"a chunk's length behind a CR":  "Transfer-Encoding: chunked\r\n\r\n0\r\r\n\r\nTWO",
	"a line in quotes":              "Transfer-Encoding: chunked\r\n\r\n0;a=\"\r\n\r\nTWO\"\r\n\r\n",
	"a length in a trailer":         "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\nCHUNKED0\r\nContent-Length: CLALL\r\n\r\nTWO",
	"a trailer behind a bare LF":    "Transfer-Encoding: chunked\r\n\r\nCHUNKED0\r\nX-Kind: a\n\nTWO",
	"a coding with a parameter":     "Transfer-Encoding: chunked;q=1\r\nContent-Length: CLONE\r\n\r\nONETWO",
	"an empty coding":               "Transfer-Encoding: ,chunked\r\nContent-Length: CLONE\r\n\r\nONETWO",
	"a coding for one hop":          "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\nContent-Length: CLALL\r\n\r\n0\r\n\r\nTWO",
	"a mark before the name":        "\xef\xbb\xbfTransfer-Encoding: chunked\r\nContent-Length: CLONE\r\n\r\nONETWO",
}

// lines are request lines that say more than one thing, before TWO.
var lines = map[string]string{
	"HTTP/1.0, chunked":      "POST /v1/invoke HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: CLTWO\r\n",
	"HTTP/0.9":               "GET /v1/task\r\n",
	"HTTP/1.1 and a word":    "POST /v1/invoke HTTP/1.1 HTTP/1.1\r\n",
	"HTTP/2.0":               "POST /v1/invoke HTTP/2.0\r\n",
	"HTTP/1.2":               "POST /v1/invoke HTTP/1.2\r\n",
	"an upgrade to h2c":      "GET /v1/task HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: CLTWO\r\n",
	"the preface of HTTP/2":  "PRI * HTTP/2.0\r\n",
	"CONNECT":                "CONNECT upstream.test:443 HTTP/1.1\r\nContent-Length: CLTWO\r\n",
	"another's absolute URI": "POST https://evil.test/v1/nothing HTTP/1.1\r\nContent-Length: CLTWO\r\n",
	"no host":                "POST /v1/invoke HTTP/1.1\r\nX-Nohost: 1\r\nContent-Length: CLTWO\r\n",
	"two hosts":              "POST /v1/invoke HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: CLTWO\r\n",
	"CR in the target":       "POST /v1/invoke\r HTTP/1.1\r\nContent-Length: CLTWO\r\n",
	"a folded first line":    "POST /v1/nothing HTTP/1.1\r\n Content-Length: 0\r\n",
}

// TestAttack14_InboundSmuggling: of bytes on which two readers may differ comes at most
// one call, and never the one that was hidden in them; whoever comes next gets their own
// answer.
func TestAttack14_InboundSmuggling(t *testing.T) {
	const audience = "https://jwt.test"
	b, upstream := target(t, echoPath, func(c *config.Config) {
		c.Listeners.RESTJWT = config.JWTListener{Listener: config.Listener{Address: "127.0.0.1:0"}, Audience: audience}
	})
	task := b.Mint(t, nil, readThings)
	mutual, anonymous := b.TLS(t, testenv.Sandbox), b.Anonymous(t)
	honest := b.REST(t, testenv.Sandbox, task.Key)
	svid, err := workloadapi.FetchJWTSVID(t.Context(), jwtsvid.Params{Audience: audience}, workloadapi.WithAddr(b.Socket(testenv.Sandbox)))
	require.NoError(t, err)
	for listener, at := range map[string]struct {
		url, own string
		conf     *tls.Config
	}{
		"rest":     {b.RESTURL, "", mutual},
		"rest_jwt": {b.JWTURL, "X-Onedoor-Jwt-Svid: " + svid.Marshal() + "\r\n", anonymous},
		"public":   {b.PublicURL, "", anonymous},
	} {
		head := "POST /v1/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer " + task.Key + "\r\n" + at.own
		one := invoke("things.get", `{"id":"one"}`)
		two := invoke("things.get", `{"id":"two"}`)
		second := fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(two), two)
		send := func(t *testing.T, rest string) string {
			t.Helper()
			return raw(t, at.conf, at.url, strings.NewReplacer(
				"CLONE", fmt.Sprint(len(one)), "CLALL", fmt.Sprint(len(one)+len(second)), "CLTWO", fmt.Sprint(len(second)), "CHUNKED", fmt.Sprintf("%x\r\n%s\r\n", len(one), one),
				"ONE", one, "TWO", second,
			).Replace(rest))
		}
		if listener != "public" {
			answer := send(t, head+"Content-Length: CLONE\r\n\r\nONETWO")
			require.Equal(t, 2, strings.Count(answer, "HTTP/1.1 "), "two plain requests are two: so would a smuggled one be")
		}
		before := upstream.Requests()
		check := func(t *testing.T, sent string) {
			t.Helper()
			got := upstream.Wire()
			answer := send(t, sent)
			require.LessOrEqual(t, strings.Count(answer, "HTTP/1."), 1, "one answer at most")
			got = strings.TrimPrefix(upstream.Wire(), got)
			require.LessOrEqual(t, strings.Count(got, " HTTP/1.1\r\n"), 1)
			require.NotContains(t, got, "/things/two")
			next := honest.Do(t, "POST", "/v1/invoke", invoke("things.get", `{"id":"next"}`))
			require.Equal(t, 200, next.Status, next.Body)
			require.Contains(t, upstream.Wire(), "/things/next")
		}
		for name, rest := range smuggling {
			t.Run(listener+"/"+name, func(t *testing.T) { check(t, head+rest) })
		}
		for name, line := range lines {
			t.Run(listener+"/"+name, func(t *testing.T) {
				_, fields, _ := strings.Cut(head, "\r\n")
				if strings.Contains(line, "Host") || strings.Contains(line, "Nohost") {
					fields = strings.Replace(fields, "Host: localhost\r\n", "", 1)
				}
				check(t, line+fields+"\r\nTWO")
			})
		}
		t.Logf("%s: %d calls reached the upstream", listener, upstream.Requests()-before)
	}
	for request := range strings.SplitSeq(strings.TrimSuffix(upstream.Wire(), "\r\n\r\n"), "\r\n\r\n") {
		require.True(t, strings.HasPrefix(request, "GET /things/"), "the framing is the library's alone")
		require.NotContains(t, request, "Transfer-Encoding")
		require.NotContains(t, request, "Content-Length")
	}
}

// echoPath answers with the path that it was asked for.
func echoPath(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) }
