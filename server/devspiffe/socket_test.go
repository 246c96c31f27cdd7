package devspiffe_test

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/devspiffe"
)

func TestSocket(t *testing.T) {
	// occupy puts something where the socket is to be.
	tests := []struct {
		name   string
		occupy func(t *testing.T, path string)
		err    string
	}{
		{"nothing there", func(*testing.T, string) {}, ""},
		{"left behind by a process that is gone", func(t *testing.T, path string) {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			require.NoError(t, err)
			l.SetUnlinkOnClose(false)
			require.NoError(t, l.Close())
		}, ""},
		{"somebody listens", func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			require.NoError(t, err)
			t.Cleanup(func() { _ = l.Close() })
		}, "somebody listens"},
		{"a file", func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
		}, "no socket"},
		{"a link", func(t *testing.T, path string) {
			require.NoError(t, os.Symlink("/nowhere", path))
		}, "no socket"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := shortDir(t)
			a := newAuthority(t, devspiffe.Options{Dir: dir})
			path := filepath.Join(dir, "alice")
			tt.occupy(t, path)
			addr, err := a.Add(devspiffe.Workload{ID: alice, Socket: "alice"})
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				_, err := os.Lstat(path)
				require.NoError(t, err, "what was there stays")
				return
			}
			require.NoError(t, err)
			require.Equal(t, "unix://"+path, addr)
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, fs.ModeSocket|0o600, info.Mode())
			folder, err := os.Stat(dir)
			require.NoError(t, err)
			require.Equal(t, fs.FileMode(0o700), folder.Mode().Perm())
			x509Source(t, addr)
		})
	}
}

func TestLongestSocketPath(t *testing.T) {
	dir := shortDir(t)
	a := newAuthority(t, devspiffe.Options{Dir: dir})
	room := 107 - len(dir) - 1
	addr, err := a.Add(devspiffe.Workload{ID: alice, Socket: strings.Repeat("a", room)})
	require.NoError(t, err)
	x509Source(t, addr)
	_, err = a.Add(devspiffe.Workload{ID: bob, Socket: strings.Repeat("b", room+1)})
	require.ErrorContains(t, err, "path of 108 bytes")
}

func TestClose(t *testing.T) {
	dir := shortDir(t)
	a := newAuthority(t, devspiffe.Options{Dir: dir})
	x509Source(t, add(t, a, alice)) // an open stream must not hold it up
	a.Close()
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "the sockets are gone")
	_, err = a.Add(devspiffe.Workload{ID: bob, Socket: "bob"})
	require.ErrorContains(t, err, "closed")
	a.Close() // once more does nothing
}
