package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client/internal/brokertest"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// TestImport: the document goes compressed, the manifest comes out alone, and what is to
// be said of it goes to stderr with nothing in it that a terminal obeys.
func TestImport(t *testing.T) {
	var asked *onedoorv1.ConnectorsImportRequest
	stage(t, &brokertest.Broker{Answer: func(_ context.Context, _ int, call brokertest.Call) (any, error) {
		asked = call.Request.(*onedoorv1.ConnectorsImportRequest)
		return &onedoorv1.ConnectorsImportResponse{
			Manifest: "connector: crm\n", Operations: 3, Tools: 2,
			Findings: []*onedoorv1.ImportFinding{
				{Kind: onedoorv1.ImportFinding_KIND_NOT_MAPPED, Where: "/paths/~1a\x1b[2J", What: "POST /a", Why: "a form"},
				{Kind: onedoorv1.ImportFinding_KIND_REVIEW, Where: "/paths/~1b", What: "GET /b\nnot mapped: x", Why: "look"},
			},
		}, nil
	}})
	dir := t.TempDir()
	spec, file := filepath.Join(dir, "spec.json"), filepath.Join(dir, "crm.yaml")
	document := `{"openapi":"3.0.3"` + strings.Repeat(" ", 10<<20) + `}`
	require.NoError(t, os.WriteFile(spec, []byte(document), 0o600))

	code, stdout, stderr := onedoor(t, "", "connector", "import", spec, "--name", "crm", "--origin", "https://o.example",
		"--include", "tag:a,b", "--include", "/c*", "--exclude", "d")
	require.Zero(t, code, stderr)
	require.Equal(t, "connector: crm\n", stdout)
	require.Equal(t, "not mapped: POST /a: a form [/paths/~1a\uFFFD[2J]\nreview: GET /b\uFFFDnot mapped: x: look [/paths/~1b]\n"+
		"2 of 3 operations are tools; not mapped: 1, changed: 0, to review: 1\n", stderr)
	z, err := gzip.NewReader(bytes.NewReader(asked.GetDocument()))
	require.NoError(t, err)
	sent, err := io.ReadAll(z)
	require.NoError(t, err)
	require.Equal(t, document, string(sent))
	require.Equal(t, []string{"tag:a,b", "/c*"}, asked.GetInclude())
	require.Equal(t, []string{"d"}, asked.GetExclude())
	require.Equal(t, "https://o.example", asked.GetOrigin())

	packed := string(asked.GetDocument())
	code, stdout, stderr = onedoor(t, packed, "connector", "import", "-", "--name", "crm", "--write", file)
	require.Zero(t, code, stderr)
	require.Empty(t, stdout)
	require.Equal(t, packed, string(asked.GetDocument()), "what is compressed already is sent as it is")
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "connector: crm\n", string(written))

	code, _, stderr = onedoor(t, "x", "connector", "import", "-", "--name", "crm", "--write", file)
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "is there already")
	code, stdout, _ = onedoor(t, "x", "-o", "json", "connector", "import", "-", "--name", "crm")
	require.Zero(t, code)
	require.Contains(t, stdout, `"kind": "KIND_NOT_MAPPED"`)
	code, _, _ = onedoor(t, "x", "connector", "import", "-")
	require.Equal(t, exitUsage, code, "a name is needed")
}
