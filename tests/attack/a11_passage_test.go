package attack_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

// deskTools have what makes two requests look alike: paths that overlap, addresses in
// paths, lists, forms, and a tool of each severity.
const deskTools = `  - name: calendars.purge
    severity: DESTRUCTIVE
    method: POST
    path: /calendars/{calendar}:purge
    arguments: {type: object, required: [calendar], properties: {calendar: {type: string}}}
    resources: ["calendar:{calendar}"]
  - name: calendars.touch
    severity: WRITE
    method: POST
    path: /calendars/{calendar}
    path_characters: "@:"
    arguments: {type: object, required: [calendar], properties: {calendar: {type: string}}}
    resources: ["calendar:{calendar}"]
  - name: events.get
    severity: READ
    method: GET
    path: /calendars/{calendar}/events/{event}
    path_characters: "@"
    query: {fields: {argument: fields, list: comma}, zone: zone}
    arguments:
      type: object
      required: [calendar, event]
      properties: {calendar: {type: string}, event: {type: integer}, fields: {type: array, items: {type: string}}, zone: {type: string}}
    resources: ["event:{calendar}/{event}"]
  - name: events.delete
    severity: DESTRUCTIVE
    method: DELETE
    path: /calendars/{calendar}/events/{event}
    arguments: {type: object, required: [calendar, event], properties: {calendar: {type: string}, event: {type: integer}}}
    resources: ["event:{calendar}/{event}"]
  - name: notes.set
    severity: WRITE
    method: PUT
    path: /notes/{id}
    body: [text]
    arguments: {type: object, required: [id, text], properties: {id: {type: integer}, text: {type: string}}}
    resources: ["note:{id}"]
  - name: charges.create
    severity: WRITE
    method: POST
    path: /charges
    form: {account: account, amount: amount}
    arguments: {type: object, required: [account, amount], properties: {account: {type: string}, amount: {type: integer}}}
    resources: ["account:{account}"]
`

var deskGrants = []string{
	"things: events.get READ event:ann@example.com/*",
	"things: calendars.touch WRITE calendar:ann@example.com,calendar:ann",
	"things: notes.set WRITE note:1",
	"things: charges.create WRITE account:a1",
}

// desk is a broker with those tools, and a task that may do some of it to what is Ann's.
func desk(t *testing.T) (*testenv.Broker, *testenv.Upstream, testenv.Task) {
	t.Helper()
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write([]byte("done"))
	}))
	b := testenv.NewSite(t, "", 0).Start(t)
	b.Apply(t, upstream.Manifest("things", bearer, deskTools))
	b.Put(t, "things", "alice", canary)
	return b, upstream, b.Mint(t, nil, deskGrants...)
}

// A request in the upstream's own form is no way to another tool, or to what was not
// granted: whatever in path, query, body or headers says one thing to us and another to
// the upstream sends nothing.
func TestAttack11_Passage(t *testing.T) {
	t.Parallel()
	const formType = "application/x-www-form-urlencoded"
	b, upstream, task := desk(t)
	rest := b.REST(t, testenv.Sandbox, task.Key)
	const event = "/c/things/calendars/ann@example.com/events/7"
	for name, one := range map[string]struct {
		method, path, body, contentType string
		status                          int
		reason                          string
	}{
		"another calendar":                   {"GET", "/c/things/calendars/bob@example.com/events/7", "", "", 403, "RESOURCE_NOT_GRANTED"},
		"another calendar by dots":           {"GET", "/c/things/calendars/ann@example.com/../bob/events/7", "", "", 400, "ARGUMENT_INVALID"},
		"another calendar by escaped dots":   {"GET", "/c/things/calendars/ann@example.com%2f..%2fbob/events/7", "", "", 400, "ARGUMENT_INVALID"},
		"another calendar by a second @":     {"GET", "/c/things/calendars/ann@example.com@evil.example/events/7", "", "", 403, "RESOURCE_NOT_GRANTED"},
		"another calendar, escaped twice":    {"GET", "/c/things/calendars/ann%2540example.com/events/7", "", "", 400, "ARGUMENT_INVALID"},
		"a beginning that is not granted":    {"GET", "/c/things/calendars/ann@example.comx/events/7", "", "", 403, "RESOURCE_NOT_GRANTED"},
		"another calendar in the query":      {"GET", event + "?calendar=bob@example.com", "", "", 400, "ARGUMENT_INVALID"},
		"another calendar in a body":         {"GET", event, `{"calendar":"bob@example.com"}`, "", 400, "ARGUMENT_INVALID"},
		"a tool that was not granted":        {"DELETE", event, "", "", 404, "TOOL_UNKNOWN"}, // its path takes no @
		"a tool that was not granted at all": {"DELETE", "/c/things/calendars/ann/events/7", "", "", 403, "GRANT_MISSING"},
		"a method in the query":              {"GET", event + "?_method=DELETE", "", "", 400, "ARGUMENT_INVALID"},
		"a method in a form":                 {"POST", "/c/things/charges", "account=a1&amount=1&_method=DELETE", formType, 400, "ARGUMENT_INVALID"},
		"a verb behind the argument":         {"POST", "/c/things/calendars/ann:purge", "", "", 403, "GRANT_MISSING"},
		"a verb behind it, escaped":          {"POST", "/c/things/calendars/ann%3apurge", "", "", 400, "ARGUMENT_INVALID"},
		"a verb behind it, in our own form":  {"POST", "/v1/invoke", invoke("calendars.touch", `{"calendar":"ann:purge"}`), "", 400, "ARGUMENT_INVALID"},
		"HEAD for GET":                       {"HEAD", event, "", "", 404, "TOOL_UNKNOWN"},
		"OPTIONS":                            {"OPTIONS", event, "", "", 404, "TOOL_UNKNOWN"},
		"TRACE":                              {"TRACE", event, "", "", 404, "TOOL_UNKNOWN"},
		"a slash at the end":                 {"GET", event + "/", "", "", 400, "ARGUMENT_INVALID"},
		"two slashes":                        {"GET", "/c/things//calendars/ann@example.com/events/7", "", "", 400, "ARGUMENT_INVALID"},
		"parameters of a segment":            {"GET", event + ";v=1", "", "", 400, "ARGUMENT_INVALID"},
		"a parameter twice":                  {"GET", event + "?zone=a&zone=b", "", "", 400, "ARGUMENT_INVALID"},
		"a parameter twice, escaped":         {"GET", event + "?zone=a&%7Aone=b", "", "", 400, "ARGUMENT_INVALID"},
		"a parameter in brackets":            {"GET", event + "?zone[]=a", "", "", 400, "ARGUMENT_INVALID"},
		"a parameter within a value":         {"GET", event + "?zone=a;fields=b", "", "", 400, "ARGUMENT_INVALID"},
		"an end of line in a query":          {"GET", event + "?zone=a%0d%0aX-Drop:%201&fields=,", "", "", 400, "ARGUMENT_INVALID"},
		"another note in the body":           {"PUT", "/c/things/notes/1", `{"text":"a","id":2}`, "", 400, "ARGUMENT_INVALID"},
		"a member twice":                     {"PUT", "/c/things/notes/1", `{"text":"a","text":"b"}`, "", 400, "ARGUMENT_INVALID"},
		"a form for JSON":                    {"PUT", "/c/things/notes/1", "text=a", formType, 400, "ARGUMENT_INVALID"},
		"JSON that says it is text":          {"PUT", "/c/things/notes/1", `{"text":"a"}`, "text/plain", 400, "ARGUMENT_INVALID"},
		"JSON for a form":                    {"POST", "/c/things/charges", `{"account":"a1","amount":1}`, "application/json", 400, "ARGUMENT_INVALID"},
		"another account":                    {"POST", "/c/things/charges", "account=a2&amount=1", formType, 403, "RESOURCE_NOT_GRANTED"},
		"two accounts":                       {"POST", "/c/things/charges", "account=a1&amount=1&account=a2", formType, 400, "ARGUMENT_INVALID"},
		"two accounts, one escaped":          {"POST", "/c/things/charges", "account=a1&amount=1&%61ccount=a2", formType, 400, "ARGUMENT_INVALID"},
		"two accounts, one in brackets":      {"POST", "/c/things/charges", "account=a1&amount=1&account[]=a2", formType, 400, "ARGUMENT_INVALID"},
		"another account in the query":       {"POST", "/c/things/charges?account=a2", "account=a1&amount=1", formType, 400, "ARGUMENT_INVALID"},
		"an account behind a semicolon":      {"POST", "/c/things/charges", "amount=1&account=a1;account=a2", formType, 400, "ARGUMENT_INVALID"},
		"an account behind a zero":           {"POST", "/c/things/charges", "amount=1&account=a1%00a2", formType, 400, "ARGUMENT_INVALID"},
		"parts":                              {"POST", "/c/things/charges", "--x\r\n\r\n--x--", "multipart/form-data; boundary=x", 400, "ARGUMENT_INVALID"},
		"another charset":                    {"POST", "/c/things/charges", "account=a1&amount=1", formType + "; charset=utf-7", 400, "ARGUMENT_INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			if one.body != "" && one.contentType == "" {
				one.contentType = "application/json"
			}
			answer := rest.DoAs(t, one.method, one.path, one.body, one.contentType)
			require.Equal(t, one.status, answer.Status, answer.Body)
			if strings.HasPrefix(one.path, "/c/") {
				require.Equal(t, one.reason, answer.Header.Get("X-Onedoor-Reason"), answer.Body)
			}
			absent(t, "the answer", answer.Body, canary)
		})
	}
	for _, header := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "Content-Range", "If-Match"} {
		answer := rest.Do(t, http.MethodPost, "/c/things/calendars/ann", "", header, "DELETE")
		require.Equal(t, "ARGUMENT_INVALID", answer.Header.Get("X-Onedoor-Reason"), header)
	}
	require.Zero(t, upstream.Requests(), "nothing was sent")
}

// What does pass is what was asked for, and what is on record.
func TestAttack11_PassageIsWhatWasAsked(t *testing.T) {
	t.Parallel()
	b, upstream, task := desk(t)
	rest := b.REST(t, testenv.Sandbox, task.Key)
	for _, one := range []struct{ method, path, body, contentType, line, sent, resource string }{
		{"GET", "/c/things/calendars/ann%40example.com/events/7?fields=a,b%2Cc&zone=%26fields%3Dd", "", "", "GET /calendars/ann@example.com/events/7?fields=a,b,c&zone=%26fields%3Dd ", "", "event:ann@example.com/7"},
		{"GET", "/c/things/calendars/ann@example.com/events/7?zone=a%0d%0aX-Drop:%201", "", "", "GET /calendars/ann@example.com/events/7?zone=a%0D%0AX-Drop%3A%201 ", "", "event:ann@example.com/7"},
		{"POST", "/c/things/calendars/ann@example.com", "", "", "POST /calendars/ann@example.com ", "", "calendar:ann@example.com"},
		{"PUT", "/c/things/notes/1", `{ "te\u0078t" : "a\u0026b" }`, "application/json", "PUT /notes/1 ", `{"text":"a\u0026b"}`, "note:1"},
		{"POST", "/c/things/charges", "account=a1&amount=1", "application/x-www-form-urlencoded", "POST /charges ", "account=a1&amount=1", "account:a1"},
		{"POST", "/c/things/charges", "amount=01&account=%611", "application/x-www-form-urlencoded", "", "", ""},
		{"POST", "/c/things/charges", "amount=1&account=%611", "application/x-www-form-urlencoded", "POST /charges ", "account=a1&amount=1", "account:a1"},
	} {
		before := upstream.Wire()
		answer := rest.DoAs(t, one.method, one.path, one.body, one.contentType)
		if one.line == "" {
			require.Equal(t, "ARGUMENT_INVALID", answer.Header.Get("X-Onedoor-Reason"), answer.Body)
			continue
		}
		require.Equal(t, http.StatusOK, answer.Status, answer.Body)
		wire := strings.TrimPrefix(upstream.Wire(), before)
		require.True(t, strings.HasPrefix(wire, one.line), "%s %s was sent otherwise", one.method, one.path)
		_, body, _ := strings.Cut(wire, "\r\n\r\n")
		require.Equal(t, one.sent, body)
		require.False(t, strings.Contains(wire, task.Key), "the task key went along")
		require.Equal(t, 1, strings.Count(wire, "\r\nAuthorization: Bearer "+canary+"\r\n"))
		var resources []string
		for _, e := range b.Events(t, task.ID) {
			if e.GetKind() == "INTENT" {
				resources = e.GetResources()
			}
		}
		require.Equal(t, []string{one.resource}, resources)
	}
}
