package aws_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// The table that our signer is held against is what botocore signs.
func TestBotocoreSignsTheTable(t *testing.T) {
	const table = "../../server/sigv4/testdata/requests.json"
	var complaints bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program(t, "python"), "sign.py", table)
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(t, err, complaints.String())
	var signed map[string]map[string]string
	require.NoError(t, json.Unmarshal(out, &signed))

	text, err := os.ReadFile(table)
	require.NoError(t, err)
	var cases []struct {
		Name   string
		Signed map[string]string
	}
	require.NoError(t, json.Unmarshal(text, &cases))
	require.Greater(t, len(cases), 20)
	require.Len(t, signed, len(cases))
	for _, c := range cases {
		require.Equal(t, signed[c.Name], c.Signed, c.Name)
	}
}
