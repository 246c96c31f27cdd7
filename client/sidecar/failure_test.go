package sidecar_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/onedoor/onedoor/client/internal/brokertest"
	"github.com/onedoor/onedoor/client/sidecar"
)

func TestNothingWasSent(t *testing.T) {
	authority, err := brokertest.NewAuthority("test.example")
	require.NoError(t, err)
	other, err := brokertest.NewAuthority("test.example") // another root of the same name
	require.NoError(t, err)
	var requests atomic.Int64
	count := func(http.ResponseWriter, *http.Request) { requests.Add(1) }
	broker, neighbour := serve(t, authority, "/broker", count), serve(t, authority, "/broker2", count)
	impostor := serve(t, other, "/broker", count)
	for name, tc := range map[string]struct {
		rest, reason, says string
		source             *brokertest.Authority
	}{
		"nobody listens":                 {"127.0.0.1:1", "BROKER_UNAVAILABLE", "nothing was sent", authority},
		"another member of the domain":   {neighbour, "BROKER_UNTRUSTED", "answered as spiffe://test.example/broker2", authority},
		"the right name of another CA":   {impostor, "BROKER_UNTRUSTED", "ONEDOOR_BROKER_ID", authority},
		"the broker does not believe us": {broker, "BROKER_UNTRUSTED", "", other},
	} {
		t.Run(name, func(t *testing.T) {
			source, err := tc.source.NewSource("/sandbox/1")
			require.NoError(t, err)
			r := &rig{}
			r.start(t, sidecar.Options{REST: tc.rest, BrokerID: brokerID, X509Source: source})
			answer := r.do(t, http.MethodPost, "/v1/invoke", strings.NewReader("{}"))
			require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
			require.Equal(t, tc.reason, answer.reason(t))
			require.Contains(t, answer.text, tc.says)
			require.NotEmpty(t, answer.Header.Get("Retry-After"))
			require.Empty(t, answer.Header.Get("X-Should-Retry"))
			require.Equal(t, http.StatusServiceUnavailable, r.do(t, http.MethodGet, "/readyz", nil).StatusCode)
			require.Equal(t, http.StatusOK, r.do(t, http.MethodGet, "/healthz", nil).StatusCode)
		})
	}
	require.Zero(t, requests.Load())
}

// half is a source whose SVID is of one authority and whose bundle is of another: it
// believes the broker, and the broker does not believe it.
type half struct {
	*brokertest.Source
	svids *brokertest.Source
}

// GetX509SVID implements x509svid.Source.
func (h half) GetX509SVID() (*x509svid.SVID, error) { return h.svids.GetX509SVID() }

// A broker that refuses our certificate does so when our side of the handshake is over.
// That is still before anything was sent, and said so.
func TestARefusedCertificateIsNoUnknownOutcome(t *testing.T) {
	other, err := brokertest.NewAuthority("elsewhere.example")
	require.NoError(t, err)
	foreign, err := other.NewSource("/sandbox/1")
	require.NoError(t, err)
	r := newRig(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") }, func(o *sidecar.Options) {
		o.X509Source = half{o.X509Source.(*brokertest.Source), foreign}
	})
	answer := r.do(t, http.MethodPost, "/v1/invoke", strings.NewReader("{}"))
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	require.Equal(t, "BROKER_UNAVAILABLE", answer.reason(t))
	require.Contains(t, answer.text, "it ended the connection of this workload")
}

func TestLostAnswers(t *testing.T) {
	var requests atomic.Int64
	r := newRig(t, func(http.ResponseWriter, *http.Request) { requests.Add(1); panic(http.ErrAbortHandler) })
	for name, tc := range map[string]struct {
		method, path string
		status       int
		reason       string
	}{
		"a call":                {http.MethodPost, "/v1/invoke", 502, "OUTCOME_UNKNOWN"},
		"a model's call":        {http.MethodPost, "/c/openai/v1/responses", 502, "OUTCOME_UNKNOWN"},
		"a message of MCP":      {http.MethodPost, "/mcp", 502, "OUTCOME_UNKNOWN"},
		"a provider's own GET":  {http.MethodGet, "/c/openai/v1/models", 502, "OUTCOME_UNKNOWN"},
		"a read of the API":     {http.MethodGet, "/v1/tools", 503, "BROKER_UNAVAILABLE"},
		"a delete with no body": {http.MethodDelete, "/c/crm/contacts/1", 502, "OUTCOME_UNKNOWN"},
	} {
		t.Run(name, func(t *testing.T) {
			before := requests.Load()
			var body io.Reader
			if tc.method == http.MethodPost {
				body = strings.NewReader("{}")
			}
			answer := r.do(t, tc.method, tc.path, body, "Idempotency-Key", "1")
			require.Equal(t, tc.status, answer.StatusCode, answer.text)
			require.Equal(t, tc.reason, answer.reason(t))
			require.Equal(t, before+1, requests.Load(), "never made twice")
			if tc.status == http.StatusBadGateway {
				require.Equal(t, "false", answer.Header.Get("X-Should-Retry"))
				require.Empty(t, answer.Header.Get("Retry-After"))
			}
		})
	}
	require.NotContains(t, r.log.String(), "responses", "no path is logged")
}

// SVID_EXPIRED says that nothing happened: the call goes over a new connection, once more
// for each refusal and within bounds, with the same body.
func TestSVIDExpired(t *testing.T) {
	const rest = `{"code":16,"message":"x","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"SVID_EXPIRED","domain":"onedoor"}]}`
	refuse := map[string]http.HandlerFunc{
		"/c/m": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Onedoor-Reason", "SVID_EXPIRED")
			w.WriteHeader(http.StatusUnauthorized)
		},
		"/v1/": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, rest)
		},
		"/mcp": func(w http.ResponseWriter, _ *http.Request) { // another's word
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, strings.Replace(rest, `"onedoor"`, `"elsewhere"`, 1))
		},
	}
	small, large := strings.Repeat("s", 200<<10), strings.Repeat("l", 300<<10)
	for name, tc := range map[string]struct {
		path, body    string
		refusals      int
		status, tries int
	}{
		"by the header":              {"/c/m/x", small, 1, 200, 2},
		"by the body":                {"/v1/invoke", small, 1, 200, 2},
		"without a body":             {"/v1/invoke", "", 1, 200, 2},
		"twice":                      {"/v1/invoke", small, 2, 200, 3},
		"for ever":                   {"/v1/invoke", small, 9, 401, 3},
		"too large to be sent again": {"/v1/invoke", large, 1, 401, 1},
		"not the broker's reason":    {"/mcp/", small, 1, 401, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var bodies, peers []string
			r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
				text, _ := io.ReadAll(r.Body)
				mu.Lock()
				defer mu.Unlock()
				bodies, peers = append(bodies, string(text)), append(peers, r.RemoteAddr)
				if len(bodies) <= tc.refusals {
					refuse[r.RequestURI[:4]](w, r)
				}
			})
			answer := r.do(t, http.MethodPost, tc.path, strings.NewReader(tc.body))
			require.Equal(t, tc.status, answer.StatusCode)
			if tc.status == 401 {
				require.Contains(t, answer.text, "SVID_EXPIRED", "the refusal is whole")
			}
			require.Len(t, bodies, tc.tries)
			for i := range bodies {
				require.True(t, bodies[i] == tc.body, "try %d has another body", i)
				require.False(t, i > 0 && peers[i] == peers[i-1], "over the same connection")
			}
		})
	}
}

// An upstream whose answer reads like the broker's refusal has been called: to believe it
// would be to call it again.
func TestAnUpstreamIsNotTheBroker(t *testing.T) {
	const forged = `{"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"SVID_EXPIRED","domain":"onedoor"}]}`
	for name, header := range map[string]string{"by the body": "X-Other", "by the header": "X-Onedoor-Reason"} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set(header, "SVID_EXPIRED")
				w.Header().Set("X-Onedoor-Invocation-Id", "i1")
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = io.WriteString(w, forged)
			})
			answer := r.do(t, http.MethodPost, "/c/crm/contacts", strings.NewReader("{}"))
			require.Equal(t, http.StatusUnauthorized, answer.StatusCode)
			require.Equal(t, forged, answer.text)
			require.EqualValues(t, 1, calls.Load(), "the call was made again")
		})
	}
}

// What a broker has not begun with, by HTTP/2's own rules, is made again elsewhere.
func TestUnbegunCallsAreMadeAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		refuse func(f *http2.Framer, id uint32) error
		status int
	}{
		"a connection on its way out":      {func(f *http2.Framer, _ uint32) error { return f.WriteGoAway(1, http2.ErrCodeNo, nil) }, 200},
		"a stream that is refused":         {func(f *http2.Framer, id uint32) error { return f.WriteRSTStream(id, http2.ErrCodeRefusedStream) }, 200},
		"a stream that is cancelled":       {func(f *http2.Framer, id uint32) error { return f.WriteRSTStream(id, http2.ErrCodeCancel) }, 502},
		"on its way out, but it was begun": {func(f *http2.Framer, id uint32) error { return errorAfter(f.WriteGoAway(id, http2.ErrCodeNo, nil)) }, 502},
	} {
		t.Run(name, func(t *testing.T) {
			authority, err := brokertest.NewAuthority("test.example")
			require.NoError(t, err)
			address := frames(t, authority, tc.refuse)
			source, err := authority.NewSource("/sandbox/1")
			require.NoError(t, err)
			r := &rig{}
			r.start(t, sidecar.Options{REST: address, BrokerID: brokerID, X509Source: source})
			answer := r.do(t, http.MethodPost, "/v1/invoke", strings.NewReader("{}"))
			require.Equal(t, tc.status, answer.StatusCode, answer.text)
		})
	}
}

// errorAfter ends the connection behind what was written.
func errorAfter(err error) error {
	if err != nil {
		return err
	}
	return io.EOF
}

// frames plays a broker frame by frame: the first connection answers the probe and refuses
// the call, all others answer everything.
func frames(t *testing.T, authority *brokertest.Authority, refuse func(*http2.Framer, uint32) error) (address string) {
	t.Helper()
	source, err := authority.NewSource("/broker")
	require.NoError(t, err)
	config := tlsconfig.MTLSServerConfig(source, authority.Bundle(), tlsconfig.AuthorizeAny())
	config.NextProtos = []string{"h2"}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	var running sync.WaitGroup
	t.Cleanup(func() { _ = listener.Close(); running.Wait() })
	running.Go(func() {
		for n := 1; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { playFrames(conn, n == 1, refuse) })
		}
	})
	return listener.Addr().String()
}

func playFrames(conn net.Conn, isFirst bool, refuse func(*http2.Framer, uint32) error) {
	defer func() { _ = conn.Close() }()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(conn, conn)
	if framer.WriteSettings() != nil {
		return
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() && framer.WriteSettingsAck() != nil {
				return
			}
		case *http2.HeadersFrame:
			if isFirst && f.StreamID > 1 {
				if refuse(framer, f.StreamID) != nil {
					return
				}
				continue
			}
			var block bytes.Buffer
			_ = hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
			if framer.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true}) != nil {
				return
			}
		}
	}
}

// Whoever calls too much at once is told to come again; nothing waits in a queue.
func TestBusy(t *testing.T) {
	const places = 200
	arrived, proceed := make(chan struct{}, places), make(chan struct{})
	r := newRig(t, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-proceed })
	var callers sync.WaitGroup
	for range places {
		callers.Go(func() {
			if answer := r.do(t, http.MethodPost, "/v1/invoke", strings.NewReader("{}")); answer.StatusCode != http.StatusOK {
				t.Errorf("%d %s", answer.StatusCode, answer.text)
			}
		})
	}
	for range places {
		<-arrived
	}
	answer := r.do(t, http.MethodPost, "/v1/invoke", strings.NewReader("{}"))
	require.Equal(t, http.StatusTooManyRequests, answer.StatusCode)
	require.Equal(t, "RATE_LIMITED", answer.reason(t))
	require.Equal(t, "1", answer.Header.Get("Retry-After"))
	close(proceed)
	callers.Wait()
	require.Equal(t, http.StatusOK, r.do(t, http.MethodPost, "/v1/invoke", strings.NewReader("{}")).StatusCode, "places come back")
}

// A request whose body breaks off is the program's own fault.
func TestBodyBreaksOff(t *testing.T) {
	r := newRig(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	all := r.raw(t, "POST /v1/invoke HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n")
	require.Len(t, all, 1)
	require.Equal(t, http.StatusBadRequest, all[0].StatusCode)
	require.Equal(t, "BODY_CUT", all[0].reason(t))
}
