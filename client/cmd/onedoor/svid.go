package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"

	"github.com/onedoor/onedoor/client"
)

type svidCmd struct {
	Write string `required:"" placeholder:"DIR" help:"The folder for svid.pem, key.pem and bundle.pem."`
	Watch bool   `help:"Stay, and write them anew at every rotation."`
}

func (svidCmd) Help() string {
	return `svid.pem holds the SVID and its chain, key.pem (mode 0600) its private key, bundle.pem the roots of its
trust domain. Each file is replaced atomically. SVIDs live for minutes: run it with --watch, or again before use.
Needs SPIFFE_ENDPOINT_SOCKET alone.

  onedoor svid --write ./id
  curl --cert id/svid.pem --key id/key.pem --cacert id/bundle.pem …`
}

// Run implements the command.
func (c *svidCmd) Run(s *session) error {
	socket := client.FromEnv().WorkloadSocket
	if socket == "" {
		return fmt.Errorf("%w: the Workload API's address (%s) is missing", client.ErrNotConfigured, client.EnvWorkloadSocket)
	}
	source, err := client.NewSource(s.ctx, socket, 0)
	if err != nil {
		return err
	}
	defer source.Close()
	for {
		if err := c.write(s, source); err != nil {
			return err
		}
		if !c.Watch {
			return nil
		}
		if err := source.WaitUntilUpdated(s.ctx); err != nil {
			return nil // told to stop
		}
	}
}

// write replaces the files by what source has now.
func (c *svidCmd) write(s *session, source *workloadapi.X509Source) error {
	svid, err := source.GetX509SVID()
	if err != nil {
		return err
	}
	bundle, err := source.GetX509BundleForTrustDomain(svid.ID.TrustDomain())
	if err != nil {
		return err
	}
	cert, key, err := svid.Marshal()
	if err != nil {
		return err
	}
	roots, err := bundle.Marshal()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Write, 0o700); err != nil {
		return err
	}
	for _, file := range []struct {
		name    string
		content []byte
		mode    os.FileMode
	}{{"bundle.pem", roots, 0o644}, {"key.pem", key, 0o600}, {"svid.pem", cert, 0o644}} {
		if err := replaceFile(filepath.Join(c.Write, file.name), file.content, file.mode); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.stderr, "onedoor: wrote %s, good until %s\n", clean(svid.ID.String()), svid.Certificates[0].NotAfter.Local().Format(time.RFC3339))
	return nil
}

// replaceFile puts a whole new file in path's place: a reader sees the old or the new.
func replaceFile(path string, content []byte, mode os.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(content); err != nil {
		return err
	}
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
