package sidecar

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/onedoor/onedoor/client"
)

// listen opens the one listener. What others than this machine's processes could reach
// is refused: behind it there is no authentication but the task key.
func listen(o Options) (net.Listener, error) {
	if path, ok := strings.CutPrefix(o.Listen, "unix:"); ok {
		return listenUnix(path, o.Group)
	}
	if o.Group != "" {
		return nil, fmt.Errorf("%w: --socket-group belongs to --listen unix:PATH", client.ErrNotConfigured)
	}
	host, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("%w: --listen %q: want 127.0.0.1:PORT or unix:PATH", client.ErrNotConfigured, o.Listen)
	}
	if host == "localhost" {
		host = "127.0.0.1" // whatever a hosts file says of the name
	}
	// A zone, or an address in another form, is read by different programs differently.
	if address, err := netip.ParseAddr(host); err != nil || !address.IsLoopback() || address.Zone() != "" {
		return nil, fmt.Errorf("%w: --listen %q: only loopback (127.0.0.1, [::1]) or unix:PATH, since whoever reaches it speaks as this workload",
			client.ErrNotConfigured, o.Listen)
	}
	return net.Listen("tcp", net.JoinHostPort(host, port))
}

// listenUnix makes the socket in a folder that nobody else can enter and moves it to its
// place when its mode is right: there is no moment in which others could connect.
func listenUnix(path, group string) (net.Listener, error) {
	if path == "" || strings.HasPrefix(path, "@") {
		return nil, fmt.Errorf("%w: --listen unix:%s: want the path of a file", client.ErrNotConfigured, path)
	}
	if err := vacant(path); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".od")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	if err := permit(made, group); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if err := os.Rename(made, path); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return &socket{UnixListener: listener, path: path}, nil
}

// permit gives the socket to its owner, and to a group if one is named.
func permit(path, group string) error {
	if group == "" {
		return os.Chmod(path, 0o600)
	}
	gid, err := strconv.Atoi(group)
	if err != nil {
		g, err := user.LookupGroup(group)
		if err != nil {
			return fmt.Errorf("%w: --socket-group: %w", client.ErrNotConfigured, err)
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return fmt.Errorf("%w: --socket-group %s: its number is %q", client.ErrNotConfigured, group, g.Gid)
		}
	}
	if err := os.Chown(path, -1, gid); err != nil {
		return fmt.Errorf("--socket-group: %w", err)
	}
	return os.Chmod(path, 0o660) //nolint:gosec // the group was asked for
}

// vacant refuses a path where something else is, or where somebody answers. The socket
// of a process that was killed is replaced.
func vacant(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%w: --listen unix:%s: there is a file that is no socket", client.ErrNotConfigured, path)
	}
	if conn, err := net.Dial("unix", path); err == nil { //nolint:noctx // a local socket answers at once
		return errors.Join(fmt.Errorf("%w: --listen unix:%s: another process listens there", client.ErrNotConfigured, path), conn.Close())
	}
	return nil
}

// socket is a listener that takes its file away with it.
type socket struct {
	*net.UnixListener
	path string
}

// Close stops listening.
func (s *socket) Close() error {
	return errors.Join(s.UnixListener.Close(), os.Remove(s.path))
}

// Addr gives the place to which the socket was moved.
func (s *socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }
