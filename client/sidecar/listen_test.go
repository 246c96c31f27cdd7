package sidecar_test

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/client/sidecar"
)

func TestRefusedOptions(t *testing.T) {
	dir := shortDir(t)
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("kept"), 0o600))
	good := sidecar.Options{
		Listen: "127.0.0.1:0", REST: "https://127.0.0.1:1", BrokerID: brokerID, WorkloadSocket: "unix:///nowhere", Log: slog.New(slog.DiscardHandler),
	}
	for name, tc := range map[string]struct {
		change func(*sidecar.Options)
		says   string
	}{
		"all addresses":           {func(o *sidecar.Options) { o.Listen = "0.0.0.0:0" }, "only loopback"},
		"all addresses, short":    {func(o *sidecar.Options) { o.Listen = ":8080" }, "only loopback"},
		"all addresses, IPv6":     {func(o *sidecar.Options) { o.Listen = "[::]:0" }, "only loopback"},
		"an address of a network": {func(o *sidecar.Options) { o.Listen = "192.0.2.1:0" }, "only loopback"},
		"a name":                  {func(o *sidecar.Options) { o.Listen = "sidecar.example:0" }, "only loopback"},
		"a port alone":            {func(o *sidecar.Options) { o.Listen = "8080" }, "want 127.0.0.1:PORT"},
		"nothing":                 {func(o *sidecar.Options) { o.Listen = "" }, "--listen"},
		"an abstract socket":      {func(o *sidecar.Options) { o.Listen = "unix:@x" }, "the path of a file"},
		"a socket without a path": {func(o *sidecar.Options) { o.Listen = "unix:" }, "the path of a file"},
		"a file in its place":     {func(o *sidecar.Options) { o.Listen = "unix:" + file }, "no socket"},
		"a group without socket":  {func(o *sidecar.Options) { o.Group = "root" }, "--socket-group"},
		"a group nobody knows":    {func(o *sidecar.Options) { o.Listen, o.Group = "unix:"+filepath.Join(dir, "s"), "nosuchgroup" }, "--socket-group"},
		"no REST address":         {func(o *sidecar.Options) { o.REST = "" }, sidecar.EnvREST},
		"REST without TLS":        {func(o *sidecar.Options) { o.REST = "http://127.0.0.1:1" }, "want https://HOST:PORT"},
		"REST with a path":        {func(o *sidecar.Options) { o.REST = "https://127.0.0.1:1/v1" }, "want https://HOST:PORT"},
		"REST with a login":       {func(o *sidecar.Options) { o.REST = "https://a@127.0.0.1:1" }, "want https://HOST:PORT"},
		"REST without a port":     {func(o *sidecar.Options) { o.REST = "127.0.0.1" }, "want https://HOST:PORT"},
		"no broker":               {func(o *sidecar.Options) { o.BrokerID = "" }, client.EnvBrokerID},
		"a whole trust domain":    {func(o *sidecar.Options) { o.BrokerID = "spiffe://test.example" }, client.EnvBrokerID},
		"no Workload API":         {func(o *sidecar.Options) { o.WorkloadSocket = "" }, client.EnvWorkloadSocket},
		"a path as Workload API":  {func(o *sidecar.Options) { o.WorkloadSocket = "/run/api.sock" }, client.EnvWorkloadSocket},
		"every origin":            {func(o *sidecar.Options) { o.AllowOrigins = []string{"*"} }, "--allow-origin"},
		"an origin with a path":   {func(o *sidecar.Options) { o.AllowOrigins = []string{"https://app.example/"} }, "--allow-origin"},
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			tc.change(&o)
			err := sidecar.Run(t.Context(), o, func(string) { t.Error("it serves") })
			require.ErrorIs(t, err, client.ErrNotConfigured)
			require.ErrorContains(t, err, tc.says)
		})
	}
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "kept", string(kept))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing is left behind")
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(shortDir(t), "api.sock")
	on := func(o *sidecar.Options) { o.Listen = "unix:" + path }
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	stale.SetUnlinkOnClose(false)
	require.NoError(t, stale.Close())

	r := newRig(t, seen, on)
	require.Equal(t, "unix:"+path, r.address)
	requireMode(t, path, 0o600)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	for host, status := range map[string]int{"localhost": 200, "127.0.0.1": 200, "unix": 200, "evil.example": 403} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/v1/tools", http.NoBody)
		require.NoError(t, err)
		response, err := transport.RoundTrip(request)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, status, response.StatusCode, host)
	}
	err = sidecar.Run(t.Context(), sidecar.Options{
		Listen: "unix:" + path, REST: "127.0.0.1:1", BrokerID: brokerID, WorkloadSocket: "unix:///nowhere", Log: slog.New(slog.DiscardHandler),
	}, func(string) {})
	require.ErrorContains(t, err, "another process listens there")
	transport.CloseIdleConnections()
	require.NoError(t, r.stop())
	_, err = os.Lstat(path)
	require.ErrorIs(t, err, fs.ErrNotExist)

	newRig(t, seen, on, func(o *sidecar.Options) { o.Group = strconv.Itoa(os.Getgid()) })
	requireMode(t, path, 0o660)
}

func requireMode(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, mode, info.Mode().Perm())
}

// shortDir is a folder in which sockets can lie.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "od")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}
