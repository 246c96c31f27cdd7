package sidecar_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onedoor/onedoor/client/internal/brokertest"
	"github.com/onedoor/onedoor/client/sidecar"
)

func TestMain(m *testing.M) {
	code := m.Run()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if err := goleak.Find(); code == 0 && err != nil {
		_, _ = os.Stderr.WriteString("left behind: " + err.Error() + "\n")
		code = 1
	}
	os.Exit(code)
}

const (
	brokerID = "spiffe://test.example/broker"
	taskKey  = "od1t_secretsecretsecret"
)

// logged collects what a sidecar logs.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// rig is a broker's REST listener, played by a handler, and a sidecar before it.
type rig struct {
	authority *brokertest.Authority
	source    *brokertest.Source // the sandbox's
	address   string             // as the sidecar says it
	log       *logged
	stop      func() error // asks the sidecar to end and waits for it
}

// serve plays the broker: h answers all but the sidecar's probe.
func serve(t *testing.T, authority *brokertest.Authority, path string, h http.HandlerFunc) (address string) {
	t.Helper()
	source, err := authority.NewSource(path)
	require.NoError(t, err)
	config := tlsconfig.MTLSServerConfig(source, authority.Bundle(), tlsconfig.AuthorizeAny())
	config.MinVersion, config.SessionTicketsDisabled = tls.VersionTLS13, true
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{
		TLSConfig: config, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead && r.RequestURI == "/" {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			h(w, r)
		}),
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close(); <-served })
	return listener.Addr().String()
}

// newRig starts both; edit may change the sidecar's options.
func newRig(t *testing.T, h http.HandlerFunc, edit ...func(*sidecar.Options)) *rig {
	t.Helper()
	authority, err := brokertest.NewAuthority("test.example")
	require.NoError(t, err)
	r := &rig{authority: authority}
	r.source, err = authority.NewSource("/sandbox/1")
	require.NoError(t, err)
	rest := "127.0.0.1:1"
	if h != nil {
		rest = serve(t, authority, "/broker", h)
	}
	r.start(t, sidecar.Options{REST: "https://" + rest, BrokerID: brokerID, X509Source: r.source}, edit...)
	return r
}

func (r *rig) start(t *testing.T, o sidecar.Options, edit ...func(*sidecar.Options)) {
	t.Helper()
	r.log = &logged{}
	o.Listen, o.Log = "127.0.0.1:0", slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, e := range edit {
		e(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- sidecar.Run(ctx, o, func(address string) { ready <- address }) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		require.NoError(t, r.stop())
		require.NotContains(t, r.log.String(), taskKey, "a key is in the log")
		if t.Failed() {
			t.Log(r.log.String())
		}
	})
	select {
	case r.address = <-ready:
	case err := <-ended:
		ended <- err
		require.NoError(t, err)
	}
}

// got is an answer, read to its end.
type got struct {
	*http.Response
	text string
	cut  bool // the answer broke off
}

// reason gives that of an error of the sidecar's own.
func (g got) reason(t *testing.T) string {
	t.Helper()
	var body struct {
		Code    int
		Message string
		Type    string
		Details []struct{ Reason, Domain string }
		Error   struct{ Message, Code, Status, Type string }
	}
	require.NoError(t, json.Unmarshal([]byte(g.text), &body), g.text)
	require.Len(t, body.Details, 1, g.text)
	reason := body.Details[0].Reason
	require.Equal(t, reason, g.Header.Get("X-Onedoor-Reason"))
	require.Equal(t, []string{reason, reason, "error"}, []string{body.Error.Code, body.Error.Status, body.Type})
	require.Equal(t, reason+": "+body.Message, body.Error.Message)
	return reason
}

// do makes a request; header holds names and values in turn.
func (r *rig) do(t *testing.T, method, path string, body io.Reader, header ...string) got {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.address+path, body)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+taskKey)
	for i := 0; i < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
		request.Header.Del("Host")
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return got{response, string(text), err != nil}
}

// raw sends bytes, which must make the other side close the connection, and gives the
// answers until it does.
func (r *rig) raw(t *testing.T, text string) []got {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.address, "http://"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	var all []got
	for reader := bufio.NewReader(conn); ; {
		response, err := http.ReadResponse(reader, nil) //nolint:bodyclose // it lies over the connection, which is closed
		if err != nil {
			return all
		}
		body, err := io.ReadAll(response.Body)
		all = append(all, got{response, string(body), err != nil})
	}
}
