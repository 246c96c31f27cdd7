package connector_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
)

// FuzzParse: whatever the text, no panic, one reason, and what is accepted can be
// called without a panic too.
func FuzzParse(f *testing.F) {
	full, err := os.ReadFile("testdata/crm.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	f.Add([]byte(small))
	f.Add([]byte("connector: a\n<<: &a {b: *a}\n"))
	f.Add([]byte(withSlots(f, "{main: "+githubApp+"}")))
	for _, oauth := range []string{signedGrant, keyedClient, storedSubject, saidSubject} {
		f.Add([]byte(withSlots(f, grantOf(oauth))))
	}
	f.Add([]byte(awsManifest(`{region: eu, service: s3, role: "` + role + `", session_policy: {report: {actions: ["s3:Get"], arn: "arn:aws:s3:::r/{id}/*"}}}`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := connector.Parse(text)
		if err != nil {
			if c != nil || !fault.Is(err, fault.ArgumentInvalid) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if !strings.HasPrefix(c.Origin.String(), "https://") || len(c.Tools) == 0 {
			t.Fatal("accepted without origin or tools")
		}
		for _, tool := range c.Tools {
			if !tool.Severity.Valid() || len(tool.Resources) == 0 || len(tool.FunctionName) > 64 {
				t.Fatalf("accepted the tool %+v", tool)
			}
			b, err := c.Bind(tool.Name, []byte(`{"id":"1"}`))
			if err == nil {
				checkBound(t, b)
			}
		}
	})
}

// FuzzBind: whatever the arguments, no panic; and what is bound has exactly its
// template's segments, reads back as it was built, and is JSON that others read as
// we did.
func FuzzBind(f *testing.F) {
	c := crm(f)
	tools := []string{"contacts.get", "contacts.update", "contacts.merge", "contacts.search", "contacts.touch", "files.read", "ping"}
	for _, args := range []string{
		`{"id":"42"}`, `{"id":9007199254740993,"fields":["a",1,true],"deep":false}`, `{"id":"%2e%2e"}`, `{"id":"..;x"}`, `{"id":"a\u2f00"}`,
		`{"ids":["a",1]}`, `{"drive":"d","path":"a/b"}`, `{"id":"x","extra":{"a":[1.10,{"b":"\ud83d\ude00"}]}}`, `{"id":"//"}`, `{"id":"%252e"}`, ``,
	} {
		for i := range tools {
			f.Add(uint8(i), []byte(args))
		}
	}
	f.Fuzz(func(t *testing.T, tool uint8, args []byte) {
		b, err := c.Bind(tools[int(tool)%len(tools)], args)
		if err != nil {
			if b != nil || !fault.Is(err, fault.ArgumentInvalid) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		checkBound(t, b)
		if len(args) > 0 && !json.Valid(args) {
			t.Fatalf("accepted what is no JSON: %q", args)
		}
		if len(b.Body) > 0 {
			checkBody(t, args, b.Body)
		}
	})
}

func checkBound(t *testing.T, b *connector.Bound) {
	t.Helper()
	target := b.Origin.String() + b.Path
	if b.Query != "" {
		target += "?" + b.Query
	}
	u, err := url.Parse(target)
	if err != nil || u.String() != target || u.EscapedPath() != b.Path || u.RawQuery != b.Query || u.Scheme+"://"+u.Host != b.Origin.String() || u.Fragment != "" || u.User != nil {
		t.Fatalf("%q reads back as %+v: %v", target, u, err)
	}
	if u.JoinPath().Path != u.Path {
		t.Fatalf("%q is not clean", b.Path)
	}
	if strings.ContainsAny(b.Path, "%;\\?#") || strings.Contains(b.Path, "//") {
		t.Fatalf("path %q", b.Path)
	}
	if len(b.Resources) == 0 {
		t.Fatal("nothing to judge")
	}
	if segments, ok := map[string]int{"contacts.get": 2, "contacts.update": 2, "contacts.merge": 2, "contacts.search": 2, "files.read": 3, "ping": 1}[b.Tool.Name]; ok &&
		b.Connector.Name == "crm" && b.Connector.Description == "Customer records" && strings.Count(b.Path, "/") != segments {
		t.Fatalf("path %q has other segments than its template", b.Path)
	}
	for name, values := range b.Header {
		if strings.ContainsAny(name+strings.Join(values, ""), "\r\n\x00") {
			t.Fatalf("header %q", name)
		}
	}
}

// checkBody holds the body against another reader of the same arguments.
func checkBody(t *testing.T, args, body []byte) {
	t.Helper()
	if len(args) == 0 {
		args = []byte("{}")
	}
	given, sent := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if err := json.Unmarshal(args, &given); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &sent); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	for name, value := range sent {
		if !bytes.Equal(value, given[name]) {
			t.Fatalf("%q: %q became %q", name, given[name], value)
		}
	}
}

// FuzzPath: whatever the template and the argument, a path that is built is the template
// with the argument in its places, unchanged, one segment each.
func FuzzPath(f *testing.F) {
	f.Add("/a/{id}", "1")
	f.Fuzz(func(t *testing.T, template, id string) {
		quoted, err := json.Marshal(template)
		if err != nil || !utf8.ValidString(template) || !utf8.ValidString(id) {
			return
		}
		c, err := connector.Parse([]byte(strings.Replace(pathManifest, "PATH", string(quoted), 1)))
		if err != nil {
			return
		}
		arguments, err := json.Marshal(map[string]string{"id": id})
		if err != nil {
			t.Fatal(err)
		}
		b, err := c.Bind("get", arguments)
		if err != nil {
			return
		}
		if want := strings.ReplaceAll(template, "{id}", id); b.Path != want {
			t.Fatalf("%q with %q became %q", template, id, b.Path)
		}
		if strings.Count(b.Path, "/") != strings.Count(template, "/") {
			t.Fatalf("%q has other segments than %q", b.Path, template)
		}
		for segment := range strings.SplitSeq(b.Path, "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q with %q leads elsewhere", template, id)
			}
		}
		checkBound(t, b)
	})
}

const pathManifest = `connector: a
kind: http
origin: https://a.example
tools:
  - name: get
    severity: READ
    method: GET
    path: PATH
    arguments: {type: object, required: [id], properties: {id: {type: string}}}
    resources: ["thing:{id}"]
`
