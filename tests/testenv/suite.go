package testenv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Main is the TestMain of a package whose tests drive the built programs: it runs
// them, ends what they share, and gives the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	if err := shared.end(); err != nil {
		fmt.Fprintln(os.Stderr, "testenv:", err)
		return 1
	}
	return code
}

// shared is what the tests of one process have in common: building the programs takes
// seconds, starting a broker half a second.
var shared suite

type suite struct {
	mu     sync.Mutex
	folder string
	built  error
	dev    *Broker
}

// Binary gives the path of onedoord or onedoor, built from this checkout.
func Binary(t testing.TB, name string) string {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	folder, err := shared.build()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, name)
}

// Dev gives the development broker that all tests of the process share. Tests must
// not change what others rely on: its connectors, alice's credentials, its keys.
func Dev(t testing.TB) *Broker {
	t.Helper()
	Binary(t, "onedoord")
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.dev == nil {
		b, err := startDev(filepath.Join(shared.folder, "onedoord"), filepath.Join(shared.folder, "dev"))
		if err != nil {
			t.Fatal(err)
		}
		shared.dev = b
	}
	return shared.dev
}

func (s *suite) build() (string, error) {
	if s.folder != "" || s.built != nil {
		return s.folder, s.built
	}
	folder, err := os.MkdirTemp("", "od") // a short name: unix sockets come to lie in it
	if err != nil {
		return "", err
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err == nil {
		err = look(strings.TrimSpace(string(root)))
	}
	if err == nil {
		build := exec.Command("go", "build", "-o", folder+string(filepath.Separator), "./server/cmd/onedoord", "./client/cmd/onedoor")
		build.Dir = strings.TrimSpace(string(root))
		var out []byte
		if out, err = build.CombinedOutput(); err != nil {
			err = fmt.Errorf("build the programs: %w\n%s", err, out)
		}
	}
	if err != nil {
		s.built = errors.Join(err, os.RemoveAll(folder))
		return "", s.built
	}
	s.folder = folder
	return folder, nil
}

// look opens the folders of what the programs are made of. The go command remembers what
// a test has opened itself, and not what a build that it starts reads: without this it
// would take the results of yesterday's programs for those of today's.
func look(root string) error {
	for _, part := range []string{"client", "proto", "server"} {
		if err := filepath.WalkDir(filepath.Join(root, part), func(_ string, _ fs.DirEntry, err error) error { return err }); err != nil {
			return err
		}
	}
	_, err := os.Stat(filepath.Join(root, "go.sum"))
	return err
}

func (s *suite) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.folder == "" {
		return nil
	}
	var err error
	if s.dev != nil {
		err = s.dev.Stop()
	}
	return errors.Join(err, os.RemoveAll(s.folder))
}
