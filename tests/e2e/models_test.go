package e2e_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

const modelsPage = "../../docs/models.md"

// models is a broker with the three ready connectors, all to one provider.
func models(t *testing.T, edit ...func(*config.Config)) (*testenv.Broker, *testenv.Provider) {
	t.Helper()
	p := testenv.NewProvider(t)
	b := testenv.NewSite(t, "", 0).Start(t, edit...)
	for _, name := range []string{"openai", "anthropic", "gemini"} {
		b.Apply(t, p.Ready(t, name))
		b.Put(t, name, "", testenv.ProviderKey)
	}
	return b, p
}

var modelGrants = []string{
	"openai: chat.completions,responses.create READ model:gpt-5.4-mini",
	"anthropic: messages.create READ model:claude-sonnet-5",
	"gemini: content.generate,content.stream READ model:gemini-2.5-flash",
}

// TestModelSDKs runs the programs of docs/models.md as they are printed there, with the
// providers' own SDKs. The provider sends the second part of a stream only after the
// program has shown the first: no clock is asked.
func TestModelSDKs(t *testing.T) {
	b, p := models(t)
	for _, one := range []struct {
		name, language, begins string
		calls                  int // plain calls before the stream
		refusal                string
	}{
		{"Python openai", "python", "# openai\n", 2, "RESOURCE_NOT_GRANTED - Error code: 403 - RESOURCE_NOT_GRANTED: "},
		{"Python anthropic", "python", "# anthropic\n", 1, "RESOURCE_NOT_GRANTED - Error code: 403 - "},
		{"Node openai", "js", "// openai\n", 2, "RESOURCE_NOT_GRANTED - 403 RESOURCE_NOT_GRANTED: "},
		{"Node anthropic", "js", "// anthropic\n", 1, "RESOURCE_NOT_GRANTED - 403 "},
	} {
		t.Run(one.name, func(t *testing.T) {
			task := b.Mint(t, nil, modelGrants...)
			before, start := p.Requests(), len(p.Wire())
			var complaints strings.Builder
			out, ended := runProgram(t, b, task.Key, one.language, printed(t, one.language, one.begins), &complaints)
			for range one.calls {
				require.Equal(t, "Hello, world", readLine(t, out))
			}
			first := make([]byte, len("Hello,"))
			_, err := io.ReadFull(out, first)
			require.NoError(t, err)
			require.Equal(t, "Hello,", string(first))
			p.More()
			require.Equal(t, " world", readLine(t, out))
			refusal := readLine(t, out)
			require.True(t, strings.HasPrefix(refusal, one.refusal), refusal)
			require.Contains(t, refusal, "model:")
			rest, err := io.ReadAll(out)
			require.NoError(t, err)
			require.Empty(t, string(rest))
			err = ended()
			require.False(t, strings.Contains(complaints.String(), task.Key), "the key was shown")
			require.NoError(t, err, complaints.String())

			require.Equal(t, before+one.calls+1, p.Requests(), "a refusal sends nothing, and nobody tries again")
			requireOurs(t, p.Wire()[start:], task.Key)
			require.Contains(t, kinds(b.Events(t, task.ID)), "REFUSAL RESOURCE_NOT_GRANTED")
			requireMetered(t, b, task.ID, int64(one.calls)+1)
		})
	}
}

// requireMetered: each call is in the ledger, by the 5 tokens that the provider counts for
// every answer, streamed or not.
func requireMetered(t *testing.T, b *testenv.Broker, taskID string, calls int64) {
	t.Helper()
	operator := b.Client(t, testenv.Operator, "")
	var sum *onedoorv1.UsageSum
	testenv.Eventually(t, "the ledger", func() bool {
		answer, err := operator.Usage().Summarize(t.Context(), &onedoorv1.UsageSummarizeRequest{TaskId: taskID})
		require.NoError(t, err)
		if len(answer.GetSums()) > 0 {
			sum = answer.GetSums()[0]
		}
		return sum.GetCalls() == calls
	})
	require.Equal(t, 5*calls, sum.GetInputTokens()+sum.GetOutputTokens())
	require.Zero(t, sum.GetEstimatedCalls())
}

// requireOurs: nothing of the caller's headers is on the wire, and the key once a call.
func requireOurs(t *testing.T, wire, key string) {
	t.Helper()
	lower := strings.ToLower(wire)
	for _, never := range []string{"x-stainless", "openai/", "anthropic/", "python", "node", "undici", "idempotency", "x-onedoor", strings.ToLower(key)} {
		require.False(t, strings.Contains(lower, never), "%q went along", never)
	}
	require.Equal(t, strings.Count(wire, " HTTP/1.1\r\n"), strings.Count(wire, testenv.ProviderKey))
	require.Equal(t, strings.Count(wire, " HTTP/1.1\r\n"), strings.Count(wire, "User-Agent: onedoor\r\n"))
}

func readLine(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	require.NoError(t, err, line)
	return strings.TrimSuffix(line, "\n")
}

// printed is a program of the page on models.
func printed(t *testing.T, language, begins string) string {
	t.Helper()
	return printedOn(t, modelsPage, language, begins)
}

// printedOn is a program of any page.
func printedOn(t *testing.T, path, language, begins string) string {
	t.Helper()
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		if strings.HasPrefix(m[1], begins) {
			found = append(found, m[1])
		}
	}
	require.Len(t, found, 1, begins)
	return found[0]
}

// runProgram starts a program in a sandbox's folder, with the environment of one and our
// package for Python. It gives its output, and what waits
// for its end.
func runProgram(t *testing.T, b *testenv.Broker, key, language, program string, complaints io.Writer) (*bufio.Reader, func() error) {
	t.Helper()
	dir := t.TempDir()
	if language == "js" {
		node(t, dir)
	}
	return runIn(t, dir, b, key, language, program, complaints)
}

// runIn is runProgram in a folder that holds what the program needs.
func runIn(t *testing.T, dir string, b *testenv.Broker, key, language, program string, complaints io.Writer) (*bufio.Reader, func() error) {
	t.Helper()
	written := b.CLI(t, testenv.Sandbox, "", "svid", "--write", filepath.Join(dir, "svid"))
	require.Zero(t, written.Code, written.Stderr)
	interpreter, file := venvPython(t), "program.py"
	if language == "js" {
		var err error
		interpreter, err = exec.LookPath("node")
		require.NoError(t, err)
		file = "program.mjs"
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(program), 0o600))

	// What is never sent would be waited for without end.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, interpreter, file)
	cmd.Dir = dir
	sdk, err := filepath.Abs("../../sdk-python/src")
	require.NoError(t, err)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "PYTHONPATH=" + sdk, "PYTHONDONTWRITEBYTECODE=1",
		"ONEDOOR_REST_URL=" + b.RESTURL, "ONEDOOR_TASK_KEY=" + key, "ONEDOOR_TRUST_BUNDLE=" + b.Bundle,
		"ONEDOOR_ADDR=" + b.Addr, "ONEDOOR_BROKER_ID=" + b.ID, "SPIFFE_ENDPOINT_SOCKET=" + b.Socket(testenv.Sandbox),
	}
	cmd.Stderr = complaints
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return bufio.NewReader(out), cmd.Wait
}

// venvPython is the interpreter beside which the packages of tests/requirements.txt are.
func venvPython(t *testing.T) string {
	t.Helper()
	path := venvProgram(t, "python")
	require.NoError(t, exec.Command(path, "-c", "from importlib.util import find_spec as f; assert f('openai') and f('anthropic') and f('mcp')").Run(), "%s lacks the SDKs: run `make deps`", path)
	return path
}

// venvProgram is a program of the packages of tests/requirements.txt.
func venvProgram(t *testing.T, name string) string {
	t.Helper()
	venv := os.Getenv("ONEDOOR_VENV")
	if venv == "" {
		venv = "../../.venv"
	}
	path, err := filepath.Abs(filepath.Join(venv, "bin", name))
	require.NoError(t, err)
	require.FileExists(t, path, "run `make deps`")
	return path
}

// node gives dir the SDKs, and the path of the program that runs them.
func node(t *testing.T, dir string) (program string) {
	t.Helper()
	modules, err := filepath.Abs("../../.node/node_modules")
	require.NoError(t, err)
	program, err = exec.LookPath("node")
	for _, name := range []string{"openai", "@anthropic-ai/sdk", "@modelcontextprotocol/sdk", "undici"} {
		if err == nil {
			_, err = os.Stat(filepath.Join(modules, name))
		}
	}
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("Node: not run (node, or a package in .node, is missing: run `make deps`)")
	}
	require.NoError(t, err)
	require.NoError(t, os.Symlink(modules, filepath.Join(dir, "node_modules")))
	return program
}

// Where the answer was lost nobody knows what the call did, and no SDK makes it again,
// though all of them repeat after other errors of this status.
func TestModelSDKsDoNotRepeat(t *testing.T) {
	b, p := models(t)
	for _, one := range []struct{ name, language, begins string }{
		{"Python openai", "python", "# openai\n"}, {"Python anthropic", "python", "# anthropic\n"},
		{"Node openai", "js", "// openai\n"}, {"Node anthropic", "js", "// anthropic\n"},
	} {
		t.Run(one.name, func(t *testing.T) {
			task := b.Mint(t, nil, "openai: chat.completions READ model:*", "anthropic: messages.create READ model:*")
			program := regexp.MustCompile(`gpt-5\.4-mini|claude-sonnet-5`).ReplaceAllString(printed(t, one.language, one.begins), testenv.LostModel)
			before := p.Requests()
			var complaints strings.Builder
			out, ended := runProgram(t, b, task.Key, one.language, program, &complaints)
			said, err := io.ReadAll(out)
			require.NoError(t, err)
			require.Error(t, ended(), "the program ends with the exception")
			require.Empty(t, string(said))
			require.Contains(t, complaints.String(), "OUTCOME_UNKNOWN: ")
			require.Equal(t, before+1, p.Requests())
			require.Equal(t, []string{"INTENT", "OUTCOME UNKNOWN"}, settled(t, b, task.ID, 2))
		})
	}
}

// A body may be as large as REST takes: pictures are.
func TestModelLargeBody(t *testing.T) {
	b, p := models(t)
	task := b.Mint(t, nil, modelGrants...)
	picture := strings.Repeat("A", 7<<20)
	answer := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/c/openai/v1/responses",
		`{"model":"gpt-5.4-mini","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,`+picture+`"}]}]}`)
	require.Equal(t, http.StatusOK, answer.Status, answer.Body)
	require.True(t, strings.Contains(p.Wire(), picture), "it went up whole")
}

// Google's form, without its SDK: method, path and header are what it documents.
func TestModelGemini(t *testing.T) {
	b, p := models(t)
	task := b.Mint(t, nil, modelGrants...)
	anonymous := b.REST(t, testenv.Sandbox, "")
	const body = `{"contents":[{"role":"user","parts":[{"text":"Greet the world."}]}]}`
	answer := anonymous.Do(t, http.MethodPost, "/c/gemini/v1beta/models/gemini-2.5-flash:generateContent", body, "X-Goog-Api-Key", task.Key)
	require.Equal(t, http.StatusOK, answer.Status, answer.Body)
	require.Contains(t, answer.Body, `"text":"Hello, world"`)
	require.NotEmpty(t, answer.Header.Get("X-Onedoor-Invocation-Id"))
	require.Empty(t, answer.Header.Get("Set-Cookie"))
	go p.More()
	streamed := anonymous.Do(t, http.MethodPost, "/c/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", body, "X-Goog-Api-Key", task.Key)
	require.Equal(t, http.StatusOK, streamed.Status, streamed.Body)
	require.Equal(t, "text/event-stream", streamed.Header.Get("Content-Type"))
	require.Equal(t, 2, strings.Count(streamed.Body, "\r\n\r\n"), "byte for byte")
	inQuery := anonymous.Do(t, http.MethodPost, "/c/gemini/v1beta/models/gemini-2.5-flash:generateContent?key="+task.Key, body)
	require.Equal(t, http.StatusUnauthorized, inQuery.Status)
	require.Contains(t, inQuery.Body, "x-goog-api-key")
	requireOurs(t, p.Wire(), task.Key)
	require.Equal(t, 2, p.Requests())
	require.False(t, strings.Contains(b.Log(), task.Key), "the log holds the key")
}

// What is recorded of such a call is what is recorded of an Invoke.
func TestModelAudit(t *testing.T) {
	b, _ := models(t)
	task := b.Mint(t, nil, modelGrants...)
	answer := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/c/openai/v1/responses", `{"model":"gpt-5.4-mini","input":"hi"}`)
	require.Equal(t, http.StatusOK, answer.Status, answer.Body)
	require.Equal(t, "req_1", answer.Header.Get("X-Request-Id"))
	require.Equal(t, []string{"INTENT", "OUTCOME OK"}, settled(t, b, task.ID, 2))
	var intent *onedoorv1.AuditEvent
	for _, e := range b.Events(t, task.ID) {
		if e.GetKind() == "INTENT" {
			intent = e
		}
	}
	require.Equal(t, answer.Header.Get("X-Onedoor-Invocation-Id"), intent.GetInvocationId())
	require.Equal(t, "openai responses.create", intent.GetConnector()+" "+intent.GetTool())
	require.Equal(t, []string{"model:gpt-5.4-mini"}, intent.GetResources())
}

// On the listener for JWT-SVIDs a program needs no client certificate, as for every
// other call there.
func TestModelJWTSVID(t *testing.T) {
	b, p := models(t, func(c *config.Config) {
		c.Listeners.RESTJWT = config.JWTListener{Listener: config.Listener{Address: "127.0.0.1:0"}, Audience: "onedoor"}
	})
	task := b.Mint(t, nil, modelGrants...)
	svid, err := workloadapi.FetchJWTSVID(t.Context(), jwtsvid.Params{Audience: "onedoor"}, workloadapi.WithAddr(b.Socket(testenv.Sandbox)))
	require.NoError(t, err)
	rest := b.RESTWith(t, b.Anonymous(t), b.JWTURL, task.Key)
	const body = `{"model":"gpt-5.4-mini","input":"hi"}`
	answer := rest.Do(t, http.MethodPost, "/c/openai/v1/responses", body, "X-Onedoor-Jwt-Svid", svid.Marshal())
	require.Equal(t, http.StatusOK, answer.Status, answer.Body)
	without := rest.Do(t, http.MethodPost, "/c/openai/v1/responses", body)
	require.Equal(t, http.StatusUnauthorized, without.Status)
	require.Equal(t, "SVID_MISSING", without.Header.Get("X-Onedoor-Reason"))
	require.Equal(t, 1, p.Requests())
	require.False(t, strings.Contains(p.Wire(), svid.Marshal()), "the SVID went along")
}

// When the client goes, so does the call upstream; the trail says so.
func TestModelClientGone(t *testing.T) {
	b, _ := models(t)
	task := b.Mint(t, nil, modelGrants...)
	client := testenv.HTTPS(t, b.TLS(t, testenv.Sandbox))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.RESTURL+"/c/openai/v1/chat/completions",
		strings.NewReader(`{"model":"gpt-5.4-mini","messages":[{"role":"user","content":"hi"}],"stream":true}`))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+task.Key)
	r.Header.Set("Content-Type", "application/json")
	response, err := client.Do(r)
	require.NoError(t, err)
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "Hello,")
	require.NoError(t, response.Body.Close())
	require.Equal(t, []string{"INTENT", "OUTCOME FAILED"}, settled(t, b, task.ID, 2))
}

// With an idempotency key a call is made once, whatever the text of the key.
func TestModelIdempotencyKey(t *testing.T) {
	b, p := models(t)
	task := b.Mint(t, nil, modelGrants...)
	rest := b.REST(t, testenv.Sandbox, task.Key)
	call := func() testenv.Answer {
		return rest.Do(t, http.MethodPost, "/c/openai/v1/responses", `{"model":"gpt-5.4-mini","input":"hi"}`, "Idempotency-Key", "stainless-retry-1")
	}
	first := call()
	require.Equal(t, http.StatusOK, first.Status, first.Body)
	again := call()
	require.Equal(t, http.StatusConflict, again.Status, again.Body)
	require.Equal(t, "CONFLICT", again.Header.Get("X-Onedoor-Reason"))
	require.Equal(t, "false", again.Header.Get("X-Should-Retry"))
	require.Contains(t, again.Body, first.Header.Get("X-Onedoor-Invocation-Id"))
	require.Equal(t, 1, p.Requests())
}
