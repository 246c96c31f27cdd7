package sidecar_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client/internal/brokertest"
	"github.com/onedoor/onedoor/client/sidecar"
)

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, time.Minute, 10*time.Millisecond, what)
}

// After a rotation calls go over a new connection, with the new SVID, while a stream on
// the old one ends undisturbed; then the old one is closed.
func TestRotation(t *testing.T) {
	more := make(chan struct{})
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s\n", r.RemoteAddr, r.TLS.PeerCertificates[0].SerialNumber)
		if r.RequestURI == "/v1/invoke:stream" {
			_ = http.NewResponseController(w).Flush()
			<-more
			_, _ = io.WriteString(w, "end")
		}
	})
	who := func() string { return r.do(t, http.MethodPost, "/v1/invoke", strings.NewReader("{}")).text }
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.address+"/v1/invoke:stream", http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	stream := bufio.NewReader(response.Body)
	first, err := stream.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, first, who(), "one connection before the rotation")
	require.NoError(t, r.source.Rotate())
	second := who()
	require.NotEqual(t, strings.Fields(first)[0], strings.Fields(second)[0], "another connection")
	require.NotEqual(t, strings.Fields(first)[1], strings.Fields(second)[1], "another SVID")
	require.Equal(t, second, who(), "and only one")
	more <- struct{}{}
	rest, err := io.ReadAll(stream)
	require.NoError(t, err)
	require.Equal(t, "end", string(rest))
}

func TestOldConnectionsAreClosed(t *testing.T) {
	var mu sync.Mutex
	open := map[string]bool{}
	r := newRig(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		open[r.RemoteAddr] = true
	})
	for range 5 {
		require.Equal(t, http.StatusOK, r.do(t, http.MethodPost, "/v1/invoke", strings.NewReader("{}")).StatusCode)
		require.NoError(t, r.source.Rotate())
	}
	require.Len(t, open, 5)
	eventually(t, "one connection is left", func() bool { return connectionsOf(t, open) <= 1 })
}

// connectionsOf counts those of our own connections that have one of the local addresses.
func connectionsOf(t *testing.T, addresses map[string]bool) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/net/tcp")
	require.NoError(t, err)
	n := 0
	for address := range addresses {
		var a, b, c, d, port int
		_, err := fmt.Sscanf(address, "%d.%d.%d.%d:%d", &a, &b, &c, &d, &port)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			cells := strings.Fields(line)
			if cells[1] == fmt.Sprintf("%02X%02X%02X%02X:%04X", d, c, b, a, port) && cells[3] == "01" { // established
				n++
			}
		}
	}
	return n
}

func TestManyCallsAcrossRotations(t *testing.T) {
	r := newRig(t, seen)
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 100 {
				if answer := r.do(t, http.MethodPost, "/v1/invoke", strings.NewReader("{}")); answer.text != "POST /v1/invoke\n{}" {
					t.Errorf("%d %s", answer.StatusCode, answer.text)
					return
				}
			}
		})
	}
	over := make(chan struct{})
	go func() { callers.Wait(); close(over) }()
	for rotations := 0; ; rotations++ {
		require.NoError(t, r.source.Rotate())
		select {
		case <-over:
			t.Logf("%d rotations", rotations)
			return
		case <-time.After(2 * time.Millisecond): // the rotations' own pace
		}
	}
}

// A sidecar listens before there is an identity, says what it waits for, and works as
// soon as there is one.
func TestIdentityComesLater(t *testing.T) {
	authority, err := brokertest.NewAuthority("test.example")
	require.NoError(t, err)
	dir := shortDir(t)
	socket := "unix://" + filepath.Join(dir, "workload.sock")
	r := &rig{}
	r.start(t, sidecar.Options{REST: serve(t, authority, "/broker", seen), BrokerID: brokerID, WorkloadSocket: socket})
	for path, method := range map[string]string{"/v1/invoke": http.MethodPost, "/readyz": http.MethodGet} {
		answer := r.do(t, method, path, nil)
		require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
		require.Equal(t, "NO_IDENTITY", answer.reason(t))
		require.Equal(t, "1", answer.Header.Get("Retry-After"))
		require.Contains(t, answer.text, "SPIFFE_ENDPOINT_SOCKET")
		require.Contains(t, answer.text, socket)
	}
	require.Equal(t, http.StatusOK, r.do(t, http.MethodGet, "/healthz", nil).StatusCode)
	source, err := authority.NewSource("/sandbox/1")
	require.NoError(t, err)
	api, err := brokertest.ServeWorkloadAPI(dir, source, 2)
	require.NoError(t, err)
	t.Cleanup(api.Close)
	eventually(t, "ready", func() bool { return r.do(t, http.MethodGet, "/readyz", nil).StatusCode == http.StatusOK })
	require.Equal(t, http.StatusOK, r.do(t, http.MethodPost, "/v1/invoke", nil).StatusCode)
	require.Contains(t, r.log.String(), `"msg":"identity","spiffe_id":"spiffe://test.example/sandbox/1"`)
	require.NoError(t, api.Rotate())
	eventually(t, "the rotation is logged", func() bool { return strings.Contains(r.log.String(), "identity renewed") })
}

// Told to end while a call runs, a sidecar waits for it.
func TestDrain(t *testing.T) {
	entered, proceed := make(chan struct{}), make(chan struct{})
	slow := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-proceed
		_, _ = io.WriteString(w, "whole")
	},
		func(o *sidecar.Options) { o.Drain = time.Minute })
	answered := make(chan got, 1)
	go func() { answered <- slow.do(t, http.MethodPost, "/v1/invoke", nil) }()
	<-entered
	ended := make(chan error, 1)
	go func() { ended <- slow.stop() }()
	eventually(t, "it is stopping", func() bool { return strings.Contains(slow.log.String(), `"stopping"`) })
	close(proceed)
	require.Equal(t, "whole", (<-answered).text)
	require.NoError(t, <-ended)
}

func TestCallsAreCutAfterTheDrain(t *testing.T) {
	entered := make(chan struct{})
	r := newRig(t, func(_ http.ResponseWriter, r *http.Request) { close(entered); <-r.Context().Done() })
	var mu sync.Mutex
	broken := false
	var caller sync.WaitGroup
	caller.Go(func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.address+"/v1/invoke", http.NoBody)
		if err != nil {
			t.Error(err)
			return
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close()
		}
		mu.Lock()
		defer mu.Unlock()
		broken = err != nil || response.StatusCode != http.StatusOK
	})
	<-entered
	require.NoError(t, r.stop())
	caller.Wait()
	require.True(t, broken)
}
