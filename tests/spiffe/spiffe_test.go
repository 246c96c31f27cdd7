// Package spiffe_test holds the development authority against a Workload API client
// that is not go-spiffe: PyPI's spiffe.
package spiffe_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/devspiffe"
)

// python is the interpreter of the tests' virtual environment.
func python(t *testing.T) string {
	t.Helper()
	venv := os.Getenv("ONEDOOR_VENV")
	if venv == "" {
		venv = filepath.Join("..", "..", ".venv")
	}
	path := filepath.Join(venv, "bin", "python")
	require.NoError(t, exec.Command(path, "-c", "import spiffe").Run(), "%s has no spiffe: run `make deps`", path)
	return path
}

func TestPythonWorkloadAPIClient(t *testing.T) {
	dir, err := os.MkdirTemp("", "od") // t.TempDir is too long for a socket
	require.NoError(t, err)
	defer func() { _ = os.RemoveAll(dir) }()
	a, err := devspiffe.New(devspiffe.Options{
		TrustDomain: spiffeid.RequireTrustDomainFromString("home.test"), Dir: filepath.Join(dir, "s"),
	})
	require.NoError(t, err)
	defer a.Close()
	alice := "spiffe://home.test/alice"
	address, err := a.Add(devspiffe.Workload{ID: spiffeid.RequireFromString(alice), Socket: "alice"})
	require.NoError(t, err)

	cmd := exec.CommandContext(t.Context(), python(t), "client.py", address, "home.test")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := json.NewDecoder(out)

	var first struct {
		ID                   string   `json:"spiffe_id"`
		URIs                 []string `json:"uris"`
		Serial               string   `json:"serial"`
		JWTID                string   `json:"jwt_id"`
		JWTKeys              int      `json:"jwt_keys"`
		WrongAudienceRefused bool     `json:"wrong_audience_refused"`
	}
	if err := lines.Decode(&first); err != nil {
		_ = cmd.Wait()
		require.NoError(t, err, complaints.String())
	}
	a.Rotate()
	var second struct {
		Serial string `json:"serial"`
	}
	err = lines.Decode(&second)
	waited := cmd.Wait()
	require.NoError(t, err, complaints.String())
	require.NoError(t, waited, complaints.String())

	require.Equal(t, alice, first.ID)
	require.Equal(t, []string{alice}, first.URIs)
	require.Equal(t, alice, first.JWTID)
	require.Equal(t, 1, first.JWTKeys)
	require.True(t, first.WrongAudienceRefused)
	require.NotEqual(t, first.Serial, second.Serial)
}
