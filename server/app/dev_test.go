package app_test

import (
	"bytes"
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onedoor/onedoor/server/app"
	"github.com/onedoor/onedoor/server/config"
)

// output is what Dev prints; ready is closed with its last line.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	ready chan struct{}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.text.Write(b)
	if strings.HasSuffix(o.text.String(), "ready\n") {
		close(o.ready)
	}
	return n, err
}

// run starts Dev, waits until it is ready, does something, and stops it.
func run(t *testing.T, dir string, then func()) (log string) {
	t.Helper()
	out := &output{ready: make(chan struct{})}
	var logged bytes.Buffer
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- app.Dev(ctx, app.DevOptions{Dir: dir}, out, slog.New(slog.NewTextHandler(&logged, nil)))
	}()
	select {
	case <-out.ready:
		then()
	case err := <-ended:
		require.NoError(t, err)
		require.Fail(t, "it ended before it was ready")
	}
	stop()
	require.NoError(t, <-ended)
	return logged.String()
}

// TestDevStartsAgain: the second start finds everything as the first one left it, and
// neither leaves anything running.
func TestDevStartsAgain(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	// Sockets have short paths: t.TempDir holds the test's whole name.
	dir, err := os.MkdirTemp("", "od")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	config := filepath.Join(dir, "onedoord.yaml")

	var first []byte
	log := run(t, dir, func() { first, err = os.ReadFile(config) })
	require.NoError(t, err)
	require.Contains(t, log, "key made")

	var second []byte
	log = run(t, dir, func() { second, err = os.ReadFile(config) })
	require.NoError(t, err)
	require.Equal(t, string(first), string(second), "the ports stay")
	require.NotContains(t, log, "key made")

	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, "%s is for its owner alone", path)
		return nil
	}))
}

func TestDevSaysWhatIsWrong(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	err := app.Dev(t.Context(), app.DevOptions{Dir: dir}, &output{ready: make(chan struct{})}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "--dir", "the sockets' paths are too long")

	dir = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "onedoord.yaml"), []byte("mistake: 1\n"), 0o600))
	err = app.Dev(t.Context(), app.DevOptions{Dir: dir}, &output{ready: make(chan struct{})}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "mistake")
}

// TestTwoDevsAtOnce: each gets ports of its own, and a port that is asked for and taken
// is an error that says so.
func TestTwoDevsAtOnce(t *testing.T) {
	one, err := os.MkdirTemp("", "od")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(one)) })
	two, err := os.MkdirTemp("", "od")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(two)) })
	run(t, one, func() {
		text, err := os.ReadFile(filepath.Join(one, "onedoord.yaml"))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(two, "onedoord.yaml"), []byte(strings.ReplaceAll(string(text), one, two)), 0o600))
		run(t, two, func() {}) // its ports of before are taken now

		taken, err := config.Load(filepath.Join(one, "onedoord.yaml"))
		require.NoError(t, err)
		err = app.Dev(t.Context(), app.DevOptions{Dir: two, Addresses: map[string]string{"grpc": taken.Listeners.GRPC.Address}},
			&output{ready: make(chan struct{})}, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, "listeners.grpc")
		require.ErrorIs(t, err, syscall.EADDRINUSE)
	})
}
