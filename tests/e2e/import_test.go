package e2e_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// notesAPI describes what notes serves: what an author of an API publishes, with things
// in it that no manifest can say.
const notesAPI = `{
  "openapi": "3.1.0",
  "info": {"title": "Notes", "version": "1"},
  "servers": [{"url": "/api/v1"}],
  "security": [{"token": []}],
  "paths": {
    "/notes": {
      "get": {"operationId": "listNotes", "parameters": [{"name": "q", "in": "query", "schema": {"type": ["string", "null"], "maxLength": 40}}, {"name": "label", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}}]},
      "post": {"operationId": "createNote", "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Note"}}}}}
    },
    "/notes/{id}": {
      "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "integer"}}],
      "get": {"operationId": "getNote"},
      "delete": {"operationId": "deleteNote"},
      "put": {"operationId": "uploadScan", "requestBody": {"required": true, "content": {"image/png": {}}}}
    }
  },
  "components": {
    "schemas": {"Note": {"type": "object", "required": ["id", "text"], "properties": {"id": {"type": "integer", "readOnly": true}, "text": {"type": "string"}, "size": {"type": "integer"}}}},
    "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Notes-Token"}}
  }
}`

// TestImport goes the whole way from a published document to calls: what was imported
// is applied as it stands but for the test's own CA and network.
func TestImport(t *testing.T) {
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		answer, _ := json.Marshal(map[string]string{
			"call": r.Method + " " + r.RequestURI, "body": string(body), "token": r.Header.Get("X-Notes-Token")[:5],
		})
		_, _ = w.Write(answer)
	}))
	b := testenv.NewSite(t, "", 0).Start(t)
	spec := filepath.Join(t.TempDir(), "notes.json")
	require.NoError(t, os.WriteFile(spec, []byte(notesAPI), 0o600))

	refused := b.CLI(t, testenv.Operator, "", "connector", "import", spec, "--name", "notes")
	require.Equal(t, 4, refused.Code, refused.Stderr)
	require.Contains(t, refused.Stderr, "origin")

	file := filepath.Join(t.TempDir(), "notes.yaml")
	made := b.CLI(t, testenv.Operator, "", "connector", "import", spec, "--name", "notes", "--origin", upstream.Origin, "--write", file)
	require.Zero(t, made.Code, made.Stderr)
	require.Empty(t, made.Stdout)
	require.Contains(t, made.Stderr, "not mapped: PUT /notes/{id}: the body is image/png")
	require.Contains(t, made.Stderr, "4 of 5 operations are tools")
	again := b.CLI(t, testenv.Operator, "", "connector", "import", spec, "--name", "notes", "--origin", upstream.Origin, "--write", file)
	require.Equal(t, 2, again.Code, "what was edited is not overwritten")
	require.Contains(t, b.CLI(t, testenv.Operator, "", "connector", "list").Stdout, "NAME")
	require.NotContains(t, b.CLI(t, testenv.Operator, "", "connector", "list").Stdout, "notes", "an import applies nothing")

	text, err := os.ReadFile(file)
	require.NoError(t, err)
	b.Apply(t, reachable(string(text), upstream))
	put := b.CLIWith(t, testenv.Operator, "", "secret-of-alice", "credential", "put", "notes", "--user", "alice", "--from-file", "-")
	require.Zero(t, put.Code, put.Stderr)

	task := b.Mint(t, nil, "notes: listNotes,getNote,createNote WRITE note:*")
	client := b.Client(t, testenv.Sandbox, task.Key)
	for name, call := range map[string]struct{ tool, arguments, call, body string }{
		"list":   {"listNotes", `{"q": "a b", "label": ["x", "y"]}`, "GET /api/v1/notes?q=a%20b&label=x&label=y", ""},
		"get":    {"getNote", `{"id": 7}`, "GET /api/v1/notes/7", ""},
		"create": {"createNote", `{"text": "hi", "size": 9007199254740993}`, "POST /api/v1/notes", `{"text":"hi","size":9007199254740993}`},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := client.Invoke(t.Context(), "notes", call.tool, json.RawMessage(call.arguments))
			require.NoError(t, err)
			var got struct{ Call, Body, Token string }
			require.NoError(t, json.Unmarshal(answer.Body, &got))
			require.Equal(t, call.call, got.Call)
			require.Equal(t, call.body, got.Body)
			require.Equal(t, "secre", got.Token)
		})
	}
	_, err = client.Invoke(t.Context(), "notes", "deleteNote", json.RawMessage(`{"id": 7}`))
	require.ErrorContains(t, err, "GRANT_MISSING")
	_, err = client.Invoke(t.Context(), "notes", "createNote", json.RawMessage(`{"text": "hi", "id": 1}`))
	require.ErrorContains(t, err, "ARGUMENT_INVALID", "what is read-only is no argument")
}

// reachable gives an imported manifest what it takes to reach an upstream of these tests.
func reachable(manifest string, upstream *testenv.Upstream) string {
	top, tools, _ := strings.Cut(manifest, "tools:\n")
	return top + "network: {allow: [127.0.0.0/8]}\ntls:\n  ca: |\n    " + strings.ReplaceAll(strings.TrimSpace(upstream.CA), "\n", "\n    ") + "\ntools:\n" + tools
}

// Over REST, compressed; and for nobody but operators.
func TestImportOverREST(t *testing.T) {
	b := testenv.NewSite(t, "", 0).Start(t)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write([]byte(notesAPI))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	body := `{"document":"` + base64.StdEncoding.EncodeToString(packed.Bytes()) + `","name":"notes","origin":"https://notes.example"}`
	answer := b.REST(t, testenv.Operator, "").Do(t, http.MethodPost, "/v1/connectors:import", body)
	require.Equal(t, http.StatusOK, answer.Status, answer.Body)
	var got struct {
		Manifest   string
		Tools      int
		Operations int
		Findings   []struct{ Kind, Where, What, Why string }
	}
	require.NoError(t, json.Unmarshal([]byte(answer.Body), &got))
	require.Contains(t, got.Manifest, "path: /api/v1/notes/{id}")
	require.Equal(t, 4, got.Tools)
	require.Equal(t, 5, got.Operations)
	require.Equal(t, "KIND_NOT_MAPPED", got.Findings[0].Kind)
	require.Equal(t, "/paths/~1notes~1{id}/put", got.Findings[0].Where)

	for name, as := range map[string]testenv.Role{"sandbox": testenv.Sandbox, "orchestrator": testenv.Orchestrator} {
		t.Run(name, func(t *testing.T) {
			_, err := b.Client(t, as, "").Connectors().Import(t.Context(), &onedoorv1.ConnectorsImportRequest{Document: []byte(notesAPI), Name: "notes", Origin: "https://notes.example"})
			require.ErrorContains(t, err, "CALLER_NOT_ALLOWED")
		})
	}
}
