package attack_test

import (
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

// atoms are what paths that mean something else are made of.
var atoms = []string{
	"..", ".", "/", "//", "%2e", "%2E", "%2f", "%5c", "\\", ";", ";x=1", "..;/", "%252e", "%252f", "%c0%ae", "%c0%af", "%e0%80%af", "%ef%bc%8f", "%u002e", "%00", "%0a", "%0d%0a", "%09",
	"%20", "+", "~", "?", "#", "%3f", "%23", "%", "%2", "%zz", "@", ":", ":443", "*", "a", "1", "-", "_", "files", "v1", "models", "..%2f", "\u2215", "\uff0f", "\u2024", "\xc0\xae", "\xff", "\t", "\x01", "\x7f",
}

// judged is what a value in a path may be, from the first byte to the last.
var judged = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,256}$`)

func isJudged(s string) bool { return judged.MatchString(s) && s != "." && s != ".." }

// drawPath puts some atoms together.
func drawPath(random *rand.Rand) string {
	var b strings.Builder
	for range 1 + random.IntN(5) {
		b.WriteString(atoms[random.IntN(len(atoms))])
	}
	return b.String()
}

// Whatever stands in the place of an argument, in a provider's own form or in ours, the
// upstream gets either its very bytes, in their one segment, or nothing; and the trail
// names them as the resource.
func TestAttack09_RandomPaths(t *testing.T) {
	b, p, _ := providers(t)
	task := b.Mint(t, nil, "openai: models.get READ model:*", "things: things.get READ thing:*")
	send, rest := rawSender(t, b), b.REST(t, testenv.Sandbox, task.Key)
	random := rand.New(rand.NewPCG(9, 9))
	var resources []string
	good := 0
	for i := range 400 {
		text := drawPath(random)
		if i%8 == 0 {
			text = strings.Map(func(r rune) rune {
				if r >= 0x7f || !judged.MatchString(string(r)) {
					return -1
				}
				return r
			}, text) + "a"
		}
		before := p.Requests()
		if i%2 == 0 {
			status := send("GET /c/openai/v1/models/"+text+" HTTP/1.1\r\nHost: b\r\n", task.Key, "")
			require.Equal(t, isJudged(text), status == http.StatusTeapot, "%q: %d", text, status)
		} else {
			answer := rest.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":`+quoted(strings.ToValidUTF8(text, "\ufffd"))+`}`))
			require.Equal(t, isJudged(text), answer.Status == http.StatusOK, "%q: %s", text, answer.Body)
		}
		if !isJudged(text) {
			require.Equal(t, before, p.Requests(), "%q", text)
			continue
		}
		good++
		require.Equal(t, before+1, p.Requests(), "%q", text)
		path, kind := "/v1/models/"+text, "model:"
		if i%2 == 1 {
			path, kind = "/things/"+text, "thing:"
		}
		require.Contains(t, p.Wire(), "GET "+path+" HTTP/1.1\r\n")
		resources = append(resources, kind+text)
	}
	require.Greater(t, good, 20)
	var recorded []string
	for _, e := range b.Events(t, task.ID) {
		if e.GetKind() == "INTENT" {
			recorded = append(recorded, e.GetResources()...)
		}
	}
	require.Equal(t, resources, recorded, "what was judged is what is on record")
}

// The broker's own paths have one spelling: another one is no way to a call, nor past
// what judges it.
func TestAttack09_TheBrokersOwnPaths(t *testing.T) {
	b, p, task := providers(t)
	send := rawSender(t, b)
	for _, path := range []string{
		"//v1/invoke", "/./v1/invoke", "/v1/./invoke", "/x/../v1/invoke", "/v1/x/../invoke", "/v1//invoke", "/v1/invoke/", "/v1/invoke/.", "/v1/invoke;x", "/v1/invoke%20", "/v1/invoke%00", "/V1/invoke",
		"/%76%31/invoke", "/v1%2finvoke", "/v1/%69nvoke", "/v1\\invoke", "/v1/invoke#x", "v1/invoke", "*", "/c/../v1/invoke", "/c/openai/../../v1/invoke", "/v1/invoke:stream/..", "/v1/invoke:%73tream",
	} {
		status := send("POST "+path+" HTTP/1.1\r\nHost: b\r\n", task.Key, invoke("things.get", `{"id":"1"}`))
		require.Contains(t, []int{400, 403, 404, 405}, status, path)
	}
	for _, path := range []string{
		"/C/openai/v1/chat/completions", "//c/openai/v1/chat/completions", "/%63/openai/v1/chat/completions", "/c%2fopenai/v1/chat/completions", "/x/../c/openai/v1/chat/completions", "/./c/openai/v1/chat/completions",
		"/c/./openai/v1/chat/completions", "/c/openai/./v1/chat/completions", "/c/openai/v1/../v1/chat/completions", "/c/openai/v1//chat/completions", "/c/openai//v1/chat/completions", "/c/openai/v1/chat/completions/",
		"/c/openai/v1/chat/completions;x", "/c/openai/v1/chat/completions%20", "/c/openai/v1/chat%2fcompletions", "/c/openai/v1/%63hat/completions", "/c/openai/V1/chat/completions", "/c/openai%2fv1/chat/completions",
		"/c/%6fpenai/v1/chat/completions", "/c/openai/v1/models/..%2fchat/completions", "/c/openai\\v1\\chat\\completions", "/c/things/../openai/v1/chat/completions", "/c/anthropic/../openai/v1/chat/completions",
	} {
		status := send("POST "+path+" HTTP/1.1\r\nHost: b\r\n", task.Key, `{"model":"m","messages":[{"role":"user","content":"hi"}]}`)
		require.Contains(t, []int{400, 403, 404, 405}, status, path)
	}
	require.Zero(t, p.Requests())
}

// A resource that is granted by its beginning does not lead out of there, for any reader
// that makes a path or a URL of it; whether the argument goes into path, query or body.
func TestAttack09_OutOfAGrantedPrefix(t *testing.T) {
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {})
	b.Apply(t, upstream.Manifest("files", bearer, `  - name: files.read
    severity: READ
    method: GET
    path: /read
    query: {path: path}
    arguments: {type: object, required: [path], properties: {path: {type: string}}}
    resources: ["file:{path}"]
  - name: files.copy
    severity: READ
    method: POST
    path: /copy
    body: all
    arguments: {type: object, required: [paths], properties: {paths: {type: array, items: {type: string}}}}
    resources: ["file:{paths}"]
`))
	b.Put(t, "files", "alice", canary)
	task := b.Mint(t, nil, "files: files.read,files.copy READ file:team/*")
	rest := b.REST(t, testenv.Sandbox, task.Key)
	call := func(tool, arguments string) testenv.Answer {
		return rest.Do(t, http.MethodPost, "/v1/invoke", `{"connector":"files","tool":"`+tool+`","arguments":`+arguments+`}`)
	}
	for _, path := range []string{
		"team/../boss/x", "team/..", "team/./x", "team/x/../../boss", `team/..\\boss`, `team\\..\\boss`, "team/%2e%2e/boss", "team/%252e%252e/boss", "team/..%2fboss", "team/*",
		"team/..;/boss", "team/..;v=1/boss", "team/..?x", "team/..#x", "team/.;/x", "team/..;?#/x",
		"team/\u2025/boss", "team/\uff0e\uff0e/boss", "team/.\uff0e/boss", "team/\u2024\u2024/boss", "team\uff0f..\uff0fboss", "team/..\uff0fboss", "team/x\uff0f..\uff3c..", "team/..\u2215boss", "team/..\u2044boss",
		"team/ ../boss", "team/.\u200b./boss", "team/\u202e../boss", "team/..\u0000", "team/x\u000a", "team/../", "boss/x", "team", "teams/x", "Team/x", "/team/x", "./team/x", "",
	} {
		for tool, arguments := range map[string]string{"files.read": `{"path":"` + path + `"}`, "files.copy": `{"paths":["team/a","` + path + `"]}`} {
			answer := call(tool, arguments)
			require.Contains(t, []string{"ARGUMENT_INVALID", "RESOURCE_NOT_GRANTED"}, answer.Reason(t), "%s %q: %s", tool, path, answer.Body)
		}
	}
	require.Empty(t, upstream.Wire())
	for _, path := range []string{"team/a", "team/a/b.c", "team/..a", "team/a..", "team/...", "team/.hidden", "team/a;b", "team/a?b", "team/\u8868\uff0f\u88cf", "team/caf\u00e9", "team/a@b", "team/a:b"} {
		answer := call("files.read", `{"path":"`+path+`"}`)
		require.Equal(t, http.StatusOK, answer.Status, "%q: %s", path, answer.Body)
	}
}
