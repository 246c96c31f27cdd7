package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

const (
	passthroughPage = "../../docs/passthrough.md"
	deskSecret      = "desk-canary-51c07be2a9d4f638"
)

// upstreamDesk is an API that neither knows of Onedoor: what testdata/desk.openapi.yaml says,
// and two streams whose second part comes only when it is asked for.
func upstreamDesk(t *testing.T) (u *testenv.Upstream, more chan struct{}) {
	t.Helper()
	more = make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /calendars/{calendar}/events/{event}", func(w http.ResponseWriter, r *http.Request) {
		number, err := strconv.Atoi(r.PathValue("event"))
		if err != nil || r.URL.Query().Get("deep") != "true" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Etag", `"1"`)
		w.Header().Set("X-Internal", "no")
		answerJSON(w, http.StatusOK, map[string]any{"calendar": r.PathValue("calendar"), "event": number, "fields": r.URL.Query()["fields"]})
	})
	mux.HandleFunc("PUT /notes/{id}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		_, _ = w.Write(body)
	})
	mux.HandleFunc("POST /charges", func(w http.ResponseWriter, r *http.Request) {
		amount, err := strconv.Atoi(r.PostFormValue("amount"))
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answerJSON(w, http.StatusCreated, map[string]any{"account": r.PostFormValue("account"), "amount": amount, "note": r.PostFormValue("note")})
	})
	mux.HandleFunc("HEAD /notes/{id}", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Etag", `"2"`) })
	mux.HandleFunc("GET /lines/{kind}", func(w http.ResponseWriter, r *http.Request) {
		first, second := "{\"n\":1}\n", "{\"n\":2}\n"
		w.Header().Set("Content-Type", "application/x-ndjson")
		if r.PathValue("kind") == "sse" {
			first, second = "data: 1\n\n", "data: 2\n\n"
			w.Header().Set("Content-Type", "text/event-stream")
		}
		_, _ = io.WriteString(w, first)
		_ = http.NewResponseController(w).Flush()
		<-more
		if r.PathValue("kind") == "broken" {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, second)
	})
	return testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+deskSecret {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})), more
}

func answerJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

const deskTools = `  - name: events.get
    severity: READ
    method: GET
    path: /calendars/{calendar}/events/{event}
    path_characters: "@"
    query: {fields: fields, deep: deep}
    arguments:
      type: object
      required: [calendar, event]
      properties: {calendar: {type: string}, event: {type: integer}, fields: {type: array, items: {type: string}}, deep: {type: boolean}}
    resources: ["event:{calendar}/{event}"]
    response: {headers: [Etag]}
  - name: notes.set
    severity: WRITE
    method: PUT
    path: /notes/{id}
    body: [text, tags]
    arguments:
      type: object
      required: [id, text]
      properties: {id: {type: integer}, text: {type: string}, tags: {type: array, items: {type: string}}}
    resources: ["note:{id}"]
  - name: notes.head
    severity: READ
    method: HEAD
    path: /notes/{id}
    arguments: {type: object, required: [id], properties: {id: {type: integer}}}
    resources: ["note:{id}"]
    response: {headers: [Etag]}
  - name: charges.create
    severity: WRITE
    method: POST
    path: /charges
    form: {account: account, amount: amount, note: note}
    arguments:
      type: object
      required: [account, amount]
      properties: {account: {type: string}, amount: {type: integer}, note: {type: string}}
    resources: ["account:{account}"]
  - name: lines.read
    severity: READ
    method: GET
    path: /lines/{kind}
    arguments: {type: object, required: [kind], properties: {kind: {type: string}}}
    resources: ["lines:{kind}"]
`

var deskGrants = []string{
	"desk: events.get READ event:ann@example.com/*",
	"desk: notes.set,notes.head WRITE note:1",
	"desk: charges.create WRITE account:a1",
	"desk: lines.read READ lines:*",
}

func desk(t *testing.T) (*testenv.Broker, *testenv.Upstream, chan struct{}) {
	t.Helper()
	u, more := upstreamDesk(t)
	b := testenv.NewSite(t, "", 0).Start(t)
	b.Apply(t, u.Manifest("desk", "{main: {owner: user, attach: bearer}}", deskTools))
	b.Put(t, "desk", "alice", deskSecret)
	return b, u, more
}

// TestGeneratedClients runs the programs of docs/passthrough.md as they are printed there,
// with clients that are generated from an OpenAPI document and not changed.
func TestGeneratedClients(t *testing.T) {
	b, u, _ := desk(t)
	for _, one := range []struct {
		language, begins string
		want             []string
	}{
		{"python", "import os\n", []string{"ann@example.com 7 ['a', 'b c']", "Hello, wörld", "a & b"}},
		{"js", "import { readFileSync }", []string{"ann@example.com 7 [ 'a', 'b c' ]", "Hello, wörld"}},
	} {
		t.Run(one.language, func(t *testing.T) {
			task := b.Mint(t, nil, deskGrants...)
			before := u.Requests()
			var complaints strings.Builder
			out, ended := runIn(t, generated(t, one.language, "desk"), b, task.Key, one.language, printedOn(t, passthroughPage, one.language, one.begins), &complaints)
			text, err := io.ReadAll(out)
			require.NoError(t, err)
			err = ended()
			require.False(t, strings.Contains(complaints.String()+string(text), task.Key), "the key was shown")
			require.NoError(t, err, complaints.String())
			lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
			require.Equal(t, one.want, lines[:len(lines)-1])
			require.True(t, strings.HasPrefix(lines[len(lines)-1], "RESOURCE_NOT_GRANTED: "), lines[len(lines)-1])
			require.Equal(t, before+len(one.want), u.Requests(), "a refusal sends nothing")
			require.False(t, strings.Contains(u.Wire(), task.Key), "the task key went along")
			for _, never := range []string{"python", "node", "undici", "Python", "X-Onedoor"} {
				require.False(t, strings.Contains(u.Wire(), never), "%q went along", never)
			}
		})
	}
	require.Contains(t, u.Wire(), "GET /calendars/ann@example.com/events/7?fields=a&fields=b%20c&deep=true HTTP/1.1\r\n")
}

// generated gives a folder with the client of a language for one of testdata's documents.
func generated(t *testing.T, language, api string) string {
	t.Helper()
	dir := t.TempDir()
	if language == "js" {
		_, modules := testenv.Node(t, "openapi-fetch")
		require.NoError(t, os.Symlink(filepath.Join(modules, "node_modules"), filepath.Join(dir, "node_modules")))
		return dir
	}
	document, err := filepath.Abs("testdata/" + api + ".openapi.yaml")
	require.NoError(t, err)
	generator := filepath.Join(filepath.Dir(venvPython(t)), "openapi-python-client")
	made := testenv.Run(t, "", []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, generator, "generate", "--path", document, "--meta", "none", "--output-path", filepath.Join(dir, api+"_client"))
	require.Zero(t, made.Code, "%s: run `make deps`", made.Stderr)
	return dir
}

// TestPassthroughCurl: curl, with the key wherever it can put one.
func TestPassthroughCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("curl: not run (it is not installed)")
	}
	require.NoError(t, err)
	b, u, _ := desk(t)
	task := b.Mint(t, nil, deskGrants...)
	dir := t.TempDir()
	written := b.CLI(t, testenv.Sandbox, "", "svid", "--write", filepath.Join(dir, "svid"))
	require.Zero(t, written.Code, written.Stderr)
	run := func(arguments ...string) string {
		t.Helper()
		common := []string{"--silent", "--show-error", "--include", "--max-time", "60", "--cert", dir + "/svid/svid.pem", "--key", dir + "/svid/key.pem", "--cacert", b.Bundle}
		got := testenv.Run(t, "", []string{"HOME=" + dir}, append(append([]string{curl}, common...), arguments...)...)
		require.Zero(t, got.Code, got.Stderr)
		return got.Stdout
	}
	event := b.RESTURL + "/c/desk/calendars/ann%40example.com/events/7?deep=true"
	for name, how := range map[string][]string{
		"bearer": {"-H", "Authorization: Bearer " + task.Key}, "x-api-key": {"-H", "X-Api-Key: " + task.Key},
		"the user's name": {"-u", task.Key + ":"}, "the password": {"-u", "api:" + task.Key},
	} {
		answer := run(append(how, event)...)
		require.Contains(t, answer, `{"calendar":"ann@example.com","event":7,"fields":null}`, name)
		require.Contains(t, strings.ToLower(answer), "\netag: \"1\"\r\n")
		require.NotContains(t, strings.ToLower(answer), "x-internal")
		require.Contains(t, strings.ToLower(answer), "\nx-onedoor-invocation-id: ")
	}
	require.Contains(t, run("-u", task.Key+":", "-d", "account=a1", "-d", "amount=5", "--data-urlencode", "note=ä+&", b.RESTURL+"/c/desk/charges"), `{"account":"a1","amount":5,"note":"ä+\u0026"}`)
	require.Contains(t, strings.ToLower(run("-u", task.Key+":", "--head", b.RESTURL+"/c/desk/notes/1")), "\netag: \"2\"\r\n")
	require.Contains(t, run("-u", task.Key+":"+task.Key, event), "TASK_KEY_INVALID")
	require.Contains(t, run("-u", "api:none", event), "TASK_KEY_INVALID")
	require.Contains(t, run("-u", task.Key+":", "--head", event), "x-onedoor-reason: TOOL_UNKNOWN")
	require.Contains(t, run("-u", task.Key+":", "-X", "DELETE", b.RESTURL+"/c/desk/notes/1"), `"code":"TOOL_UNKNOWN"`)
	for _, mark := range []string{task.Key, base64.StdEncoding.EncodeToString([]byte(task.Key + ":"))} {
		require.False(t, strings.Contains(u.Wire(), mark), "the task key went along")
		require.False(t, strings.Contains(b.Log(), mark), "the log holds the key")
	}
}

// TestPassthroughStreams: each piece of an answer is there before the next is sent, and an
// answer that breaks off is never taken for a whole one.
func TestPassthroughStreams(t *testing.T) {
	b, _, more := desk(t)
	task := b.Mint(t, nil, deskGrants...)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: b.TLS(t, testenv.Sandbox)}}
	t.Cleanup(client.CloseIdleConnections)
	for kind, want := range map[string]struct{ contentType, first, second string }{
		"ndjson": {"application/x-ndjson", "{\"n\":1}\n", "{\"n\":2}\n"},
		"sse":    {"text/event-stream", "data: 1\n\n", "data: 2\n\n"},
		"broken": {"application/x-ndjson", "{\"n\":1}\n", ""},
	} {
		t.Run(kind, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.RESTURL+"/c/desk/lines/"+kind, nil)
			require.NoError(t, err)
			request.Header.Set("X-Api-Key", task.Key)
			answer, err := client.Do(request)
			require.NoError(t, err)
			defer func() { require.NoError(t, answer.Body.Close()) }()
			require.Equal(t, http.StatusOK, answer.StatusCode)
			require.Equal(t, want.contentType, answer.Header.Get("Content-Type"))
			first := make([]byte, len(want.first))
			_, err = io.ReadFull(answer.Body, first)
			require.NoError(t, err)
			require.Equal(t, want.first, string(first))
			more <- struct{}{}
			rest, err := io.ReadAll(answer.Body)
			require.Equal(t, want.second, string(bytes.TrimSpace(rest))+strings.Repeat("\n", strings.Count(want.second, "\n")))
			require.Equal(t, kind == "broken", err != nil)
		})
	}
}
