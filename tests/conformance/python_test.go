package conformance_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/onedoor/onedoor/tests/testenv"
)

// openPython starts call.py, which makes one call after the other through the Python SDK.
func openPython(mode, way string) func(t *testing.T, b *testenv.Broker) caller {
	return func(t *testing.T, b *testenv.Broker) caller {
		root, err := filepath.Abs("../..")
		require.NoError(t, err)
		venv := os.Getenv("ONEDOOR_VENV")
		if venv == "" {
			venv = filepath.Join(root, ".venv")
		}
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(venv, "bin", "python"), "call.py", mode, way) // it ends with its input
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "PYTHONPATH=" + filepath.Join(root, "sdk-python", "src"), "PYTHONDONTWRITEBYTECODE=1",
			"ONEDOOR_ADDR=" + b.Addr, "ONEDOOR_BROKER_ID=" + b.ID, "SPIFFE_ENDPOINT_SOCKET=" + b.Socket(testenv.Sandbox),
		}
		in, out := testenv.Converse(t, cmd)
		lines := bufio.NewReader(out)
		return func(t *testing.T, key string, c testCase) result {
			t.Helper()
			require.NoError(t, json.NewEncoder(in).Encode(map[string]string{
				"Key": key, "Connector": c.Connector, "Tool": c.Tool, "Arguments": c.Arguments,
			}))
			line, err := lines.ReadBytes('\n')
			require.NoError(t, err, "the program has ended; what it said comes last")
			var got struct {
				Status             int
				Body, Reason, Code string
			}
			require.NoError(t, json.Unmarshal(line, &got))
			return result{Code: codeNamed(t, got.Code), Reason: got.Reason, Status: got.Status, Body: got.Body}
		}
	}
}

// codeNamed reads a code as Python writes it, for instance PERMISSION_DENIED.
func codeNamed(t *testing.T, name string) codes.Code {
	t.Helper()
	var c codes.Code
	if name != "" {
		require.NoError(t, c.UnmarshalJSON([]byte(`"`+strings.ToUpper(name)+`"`)))
	}
	return c
}
