package connector_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
)

// crm is the manifest on which most tests work.
func crm(t testing.TB) *connector.Connector {
	t.Helper()
	text, err := os.ReadFile("testdata/crm.yaml")
	require.NoError(t, err)
	c, err := connector.Parse(text)
	require.NoError(t, err)
	return c
}

func TestParse(t *testing.T) {
	c := crm(t)
	require.Equal(t, "crm", c.Name)
	require.Equal(t, "http", c.Kind)
	require.Equal(t, "Customer records", c.Description)
	require.Equal(t, "https://crm.example:8443", c.Origin.String())
	require.Len(t, c.Egress.AllowRanges, 2)
	require.Empty(t, c.Egress.RootCAs)
	require.Empty(t, c.Workspace)
	require.Zero(t, c.Revision)
	require.Equal(t, map[string]connector.Slot{
		"main": {Name: "main", Owner: connector.UserOwned, Kind: "bearer"},
		"app":  {Name: "app", Owner: connector.WorkspaceOwned, Kind: "header", Param: "X-App-Key", Prefix: "Token "},
		"site": {Name: "site", Owner: connector.WorkspaceOwned, Kind: "query", Param: "site_key"},
	}, c.Slots)

	get, ok := c.Tool("contacts.get")
	require.True(t, ok)
	require.Equal(t, grant.Read, get.Severity)
	require.True(t, get.Idempotent)
	require.Equal(t, "crm__contacts_get", get.FunctionName)
	require.Equal(t, []string{"contact:{id}"}, get.Resources)
	require.Equal(t, []string{"Etag", "X-Total"}, get.ResponseHeaders)
	require.Equal(t, int64(1<<20), get.MaxResponseBytes)
	require.Equal(t, 10*time.Second, get.Timeout)
	require.Equal(t, "/items", get.Rows)
	require.True(t, get.RowsCounted)
	require.JSONEq(t, `{"type":"object","required":["id"],"properties":{"id":{"type":["string","integer"]},
		"fields":{"type":"array","items":{"type":["string","integer","boolean","number"]}},"deep":{"type":"boolean"}},
		"additionalProperties":false}`, get.Schema)

	update, ok := c.Tool("contacts.update")
	require.True(t, ok)
	require.False(t, update.Idempotent)
	require.Equal(t, 30*time.Second, update.Timeout)
	require.Equal(t, int64(10<<20), update.MaxResponseBytes)
	require.Empty(t, update.ResponseHeaders)
	require.False(t, update.RowsCounted)

	ping, ok := c.Tool("ping")
	require.True(t, ok)
	require.Equal(t, `{"type":"object","additionalProperties":false}`, ping.Schema)

	_, ok = c.Tool("contacts")
	require.False(t, ok)
	for i := 1; i < len(c.Tools); i++ {
		require.Less(t, c.Tools[i-1].Name, c.Tools[i].Name)
	}
}

// small is a manifest of ten lines before its tool's last fields.
const small = `connector: crm
kind: http
origin: https://crm.example
tools:
  - name: get
    severity: READ
    method: GET
    path: /contacts/{id}
    resources: ["contact:{id}"]
    arguments:
      type: object
      required: [id]
      properties: {id: {type: string}}
`

// replaced gives small with each old text replaced by the new one that follows it.
func replaced(t testing.TB, pairs ...string) string {
	t.Helper()
	text := small
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(t, text, pairs[i])
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		name string
		text string
		want string // part of the message
	}{
		{"nothing", "", "line 1: empty"},
		{"no mapping", "- a\n", "line 1: manifest: want a mapping"},
		{"no YAML", "a: [\n", "line 1: not YAML"},
		{"two documents", small + "---\na: b\n", "one YAML document alone"},
		{"not UTF-8", "connector: \xff\n", "not valid UTF-8"},
		{"unknown field", replaced(t, "kind:", "colour: red\nkind:"), `line 2: manifest has no field "colour"`},
		{"unknown field of a tool", replaced(t, "    method", "    host: evil.example\n    method"), `line 7: tool has no field "host"`},
		{"key twice", replaced(t, "kind:", "connector: a\nkind:"), `line 2: "connector" stands twice, first on line 1`},
		{"key twice in the schema", replaced(t, "{id: {type: string}}", "{id: {type: string}, id: {}}"), `line 13: "id" stands twice`},
		{"alias", replaced(t, "kind: http", "kind: &k http\ndescription: *k"), "line 2: anchors and aliases"},
		{"tag", replaced(t, "kind: http", "kind: !!str http"), "line 2: tags are not taken"},
		{"merge key", replaced(t, "kind: http", "kind: http\n<<: {}"), "line 3: a key must be a string"},
		{"wrong type", replaced(t, "kind: http", "kind: [http]"), "line 2: kind: want a string, not a list"},
		{"null", replaced(t, "kind: http", "kind:"), "line 2: kind: want a string, not nothing"},
		{"a number for text", replaced(t, "connector: crm", "connector: 5"), "line 1: connector: want a string, not the number 5 without quotes"},
		{"a name for a tool", strings.Split(small, "tools:")[0] + "tools: [contacts.get]\n", "line 4: tool: want a mapping, not text"},
		{"a mapping of tools", strings.Split(small, "tools:")[0] + "tools: {get: {}}\n", "line 4: tools: want a list that is not empty, not a mapping"},
		{"a time without unit", replaced(t, "    method", "    timeout: 5\n    method"), "line 7: timeout: want a duration like 10s, at most 10m0s, not the number 5"},
		{"other kind", replaced(t, "kind: http", "kind: ftp"), `line 2: kind "ftp": want http`},
		{"no tools", strings.Split(small, "tools:")[0], "line 1: manifest: tools is missing"},
		{"empty tools", strings.Split(small, "tools:")[0] + "tools: []\n", "line 4: tools: want a list that is not empty"},
		{"connector name", replaced(t, "connector: crm", "connector: Crm_1"), `line 1: connector "Crm_1"`},
		{"connector name too long", replaced(t, "connector: crm", "connector: "+strings.Repeat("a", 64)), "line 1: connector: want 1 to 63 bytes"},

		{"http origin", replaced(t, "https://crm.example", "http://crm.example"), "line 3: origin"},
		{"IP origin", replaced(t, "https://crm.example", "https://10.0.0.1"), "line 3: origin"},
		{"decimal IP origin", replaced(t, "https://crm.example", "https://2130706433"), "line 3: origin"},
		{"IPv6 origin", replaced(t, "https://crm.example", `"https://[::1]"`), "line 3: origin"},
		{"userinfo", replaced(t, "https://crm.example", "https://x@evil.example"), "line 3: origin"},
		{"origin with path", replaced(t, "https://crm.example", "https://crm.example/"), "line 3: origin"},
		{"origin with query", replaced(t, "https://crm.example", "https://crm.example?a"), "line 3: origin"},
		{"origin with fragment", replaced(t, "https://crm.example", `"https://crm.example#a"`), "line 3: origin"},
		{"origin with a final dot", replaced(t, "https://crm.example", "https://crm.example."), "line 3: origin"},
		{"IDN origin", replaced(t, "https://crm.example", "https://crm.exämple"), "line 3: origin"},
		{"origin in capitals", replaced(t, "https://crm.example", "https://CRM.example"), "line 3: origin: write it as https://crm.example"},
		{"origin with its default port", replaced(t, "https://crm.example", "https://crm.example:443"), "line 3: origin: write it as https://crm.example"},
		{"origin with a placeholder", replaced(t, "https://crm.example", `"https://{id}.example"`), "line 3: origin"},

		{"range: everything", replaced(t, "kind:", "network: {allow: [0.0.0.0/0]}\nkind:"), "line 2: network.allow"},
		{"range: public", replaced(t, "kind:", "network: {allow: [8.8.8.0/24]}\nkind:"), "line 2: network.allow"},
		{"range: more than private", replaced(t, "kind:", "network: {allow: [10.0.0.0/7]}\nkind:"), "line 2: network.allow"},
		{"range: mapped", replaced(t, "kind:", `network: {allow: ["::ffff:10.0.0.0/104"]}`+"\nkind:"), "line 2: network.allow"},
		{"range: host bits", replaced(t, "kind:", "network: {allow: [10.1.2.3/16]}\nkind:"), "line 2: network.allow"},
		{"range: no list", replaced(t, "kind:", "network: {allow: 10.0.0.0/8}\nkind:"), "line 2: network.allow: want a list"},
		{"CA: nothing", replaced(t, "kind:", "tls: {ca: hello}\nkind:"), "line 2: tls.ca"},
		{"TLS: nothing", replaced(t, "kind:", "tls: {}\nkind:"), "line 2: tls: want ca, client or server_id"},
		{"TLS: another client", replaced(t, "kind:", "tls: {client: pem}\nkind:"), `line 2: tls.client "pem": want svid`},
		{"TLS: server ID of another scheme", replaced(t, "kind:", "tls: {server_id: 'https://prod.example/a'}\nkind:"), "line 2: tls.server_id"},
		{"TLS: server ID of a whole domain", replaced(t, "kind:", "tls: {server_id: 'spiffe://prod.example'}\nkind:"), "line 2: tls.server_id"},
		{"TLS: server ID in another spelling", replaced(t, "kind:", "tls: {server_id: 'SPIFFE://Prod.example/a'}\nkind:"), "line 2: tls.server_id"},
		{"TLS: server ID beside a CA", replaced(t, "kind:", "tls: {server_id: 'spiffe://prod.example/a', ca: x}\nkind:"), "no CA beside"},
		{"no skipping of verification", replaced(t, "kind:", "tls: {insecure_skip_verify: true}\nkind:"), "line 2: tls has no field"},

		{"two certificates", replaced(t, "tools:", "credentials: {a: {owner: user, attach: certificate}, b: {owner: workspace, attach: certificate}}\ntools:"), "would be attached where"},
		{"certificate with a header", replaced(t, "tools:", "credentials: {main: {owner: user, attach: {certificate: X-A}}}\ntools:"), `attach has no field "certificate"`},
		{"certificate beside the SVID", replaced(t, "kind:", "tls: {client: svid}\nkind:", "tools:", "credentials: {main: {owner: user, attach: certificate}}\ntools:"), "a connection shows one"},
		{"slot without owner", replaced(t, "tools:", "credentials: {main: {attach: bearer}}\ntools:"), "line 4: slot: owner is missing"},
		{"slot with another owner", replaced(t, "tools:", "credentials: {main: {owner: me, attach: bearer}}\ntools:"), "line 4: owner: want user or workspace"},
		{"slot with unknown attachment", replaced(t, "tools:", "credentials: {main: {owner: user, attach: digest}}\ntools:"), "line 4: attach: want"},
		{"slot with unknown place", replaced(t, "tools:", "credentials: {main: {owner: user, attach: {cookie: a}}}\ntools:"), `line 4: attach has no field "cookie"`},
		{"slot in two places", replaced(t, "tools:", "credentials: {main: {owner: user, attach: {header: A, query: a}}}\ntools:"), "exclude each other"},
		{"slot in the Host header", replaced(t, "tools:", "credentials: {main: {owner: user, attach: {header: host}}}\ntools:"), "line 4: the header Host cannot carry"},
		{"slot with CRLF", replaced(t, "tools:", `credentials: {main: {owner: user, attach: {header: "A\r\nB"}}}`+"\ntools:"), "line 4: the header"},
		{"prefix with CRLF", replaced(t, "tools:", `credentials: {main: {owner: user, attach: {header: A, prefix: "a\r\nb"}}}`+"\ntools:"), "line 4: prefix"},
		{"prefix without header", replaced(t, "tools:", `credentials: {main: {owner: user, attach: {query: a, prefix: "b"}}}`+"\ntools:"), "line 4: prefix"},
		{"two slots in one place", replaced(t, "tools:", "credentials: {a: {owner: user, attach: bearer}, b: {owner: user, attach: basic}}\ntools:"), "line 4: slot b would be attached where a is"},

		{"tool name", replaced(t, "name: get", "name: get/it"), "line 5: tool \"get/it\""},
		{"tool name too long for a function", replaced(t, "name: get", "name: "+strings.Repeat("a", 60)), "line 5: tool aaa"},
		{"severity missing", replaced(t, "    severity: READ\n", ""), "line 5: tool: severity is missing"},
		{"severity unspecified", replaced(t, "READ", "UNSPECIFIED"), "line 6: severity"},
		{"severity in small letters", replaced(t, "READ", "read"), "line 6: severity"},
		{"READ that deletes", replaced(t, "GET", "DELETE"), "line 7: tool get: DELETE is no READ"},
		{"READ that puts", replaced(t, "GET", "PUT"), "line 7: tool get: PUT is no READ"},
		{"READ that patches", replaced(t, "GET", "PATCH"), "line 7: tool get: PATCH is no READ"},
		{"method", replaced(t, "GET", "CONNECT"), "line 7: method"},
		{"resources missing", replaced(t, "    resources: [\"contact:{id}\"]\n", ""), "line 5: tool: resources is missing"},
		{"no resources", replaced(t, `["contact:{id}"]`, `[]`), "line 9: resources: want a list that is not empty"},

		{"path is relative", replaced(t, "/contacts/{id}", "contacts/{id}"), "line 8: path: must begin with /"},
		{"path is another host", replaced(t, "/contacts/{id}", "//evil.example/{id}"), "line 8: path: holds //"},
		{"path with dots", replaced(t, "/contacts/{id}", "/a/../{id}"), "line 8: path"},
		{"path with an escape", replaced(t, "/contacts/{id}", "/a%2f/{id}"), "line 8: path"},
		{"path with a query", replaced(t, "/contacts/{id}", "/a?b={id}"), "line 8: path"},
		{"path with a fragment", replaced(t, "/contacts/{id}", `"/a#b/{id}"`), "line 8: path"},
		{"path with parameters", replaced(t, "/contacts/{id}", "/a;b/{id}"), "line 8: path"},
		{"path with a backslash", replaced(t, "/contacts/{id}", `/a\b/{id}`), "line 8: path"},
		{"path with two arguments in a segment", replaced(t, "/contacts/{id}", "/{id}-{id}"), "line 8: path: two arguments"},
		{"path with an open brace", replaced(t, "/contacts/{id}", `"/contacts/{id"`), "line 8: path: want {argument}"},
		{"path too long", replaced(t, "/contacts/{id}", "/"+strings.Repeat("a", 1024)), "line 8: path: want 1 to 1024 bytes"},
		{"path of no argument", replaced(t, "/contacts/{id}", "/contacts/{other}"), `line 8: tool get: "other" is no argument`},
		{"path of an argument that may be left out", replaced(t, "required: [id]", "required: []"), `line 8: tool get: the argument "id" must be required`},
		{"placed twice", replaced(t, "    method", "    query: {q: id}\n    method"), `line 7: tool get: the argument "id" is placed twice`},
		{"placed twice in the path", replaced(t, "/contacts/{id}", "/contacts/{id}/{id}"), "is placed twice"},
		{"placed nowhere", replaced(t, "/contacts/{id}", "/contacts"), `line 5: tool get: the argument "id" goes nowhere`},
		{"query of no argument", replaced(t, "    method", "    query: {q: other}\n    method"), `line 7: tool get: "other" is no argument`},
		{"query parameter with &", replaced(t, "    method", "    query: {\"a&b\": id}\n    method"), "line 7: query"},
		{"query that is the credential's", replaced(t, "tools:", "credentials: {main: {owner: user, attach: {query: Key}}}\ntools:", "    method", "    query: {key: id}\n    method"), `line 8: query "key": the name is taken`},
		{"body of GET", replaced(t, "    method", "    body: all\n    method"), "line 7: tool get: GET has no body"},
		{"body of no argument", replaced(t, "READ", "WRITE", "    method: GET", "    body: [other]\n    method: POST"), `line 7: tool get: "other" is no argument`},
		{"body of a placed argument", replaced(t, "READ", "WRITE", "    method: GET", "    body: [id]\n    method: POST"), `line 7: tool get: the argument "id" is placed twice`},
		{"body of another word", replaced(t, "READ", "WRITE", "    method: GET", "    body: everything\n    method: POST"), "line 7: body: want a list"},

		{"resource of no argument", replaced(t, "contact:{id}", "contact:{other}"), `line 9: resource: "other" is no argument`},
		{"resource without type", replaced(t, "contact:{id}", "{id}"), "line 9: resource"},
		{"resource with a type of the caller's", replaced(t, "contact:{id}", "{id}:a"), "line 9: resource"},
		{"resource with part of a type", replaced(t, "contact:{id}", "a{id}:b"), "line 9: resource"},
		{"resource with * in it", replaced(t, "contact:{id}", "contact:{id}/*"), "line 9: resource"},
		{"resource of an argument that may be left out", replaced(t, "/contacts/{id}", "/contacts", "    method", "    query: {id: id}\n    method", "required: [id]", "required: []"), `line 10: tool get: the argument "id" must be required`},
		{"resource with *", replaced(t, "contact:{id}", "contact:eu-*"), "line 9: resource"},
		{"resource that cannot be told apart", replaced(t, "contact:{id}", "contact:{id}{id}"), "line 9: resource: after the argument \"id\" want a separator"},
		{"resource with a weak separator", replaced(t, "contact:{id}", "contact:{id}-{id}"), "line 9: resource: after the argument \"id\" want a separator"},

		{"arguments: no object", replaced(t, "type: object", "type: array"), "line 11: arguments: want type: object"},
		{"arguments: open", replaced(t, "required: [id]", "additionalProperties: true"), "line 12: arguments: additionalProperties must be false"},
		{"arguments: open by a schema", replaced(t, "required: [id]", "additionalProperties: {}"), "line 12: arguments: additionalProperties must be false"},
		{"arguments: patterns of names", replaced(t, "required: [id]", "patternProperties: {a: {}}"), "line 12: arguments: patternProperties"},
		{"arguments: equal but for case", replaced(t, "{id: {type: string}}", "{id: {type: string}, ID: {type: string}}"), `line 13: argument "ID" differs from "id" only in case`},
		{"arguments: equal but for Kelvin", replaced(t, "{id: {type: string}}", "{k: {}, \u212a: {}, id: {}}"), `only in case`},
		{"arguments: typing error", replaced(t, "{type: string}", "{type: string, maxLenght: 3}"), `line 13: arguments: the keyword "maxLenght" is not known`},
		{"arguments: unknown format", replaced(t, "{type: string}", "{type: string, format: emial}"), `line 13: arguments: the format "emial"`},
		{"arguments: unknown type", replaced(t, "{type: string}", "{type: strnig}"), "line 13: arguments: not a JSON Schema: properties.id.type"},
		{"arguments: bad pattern", replaced(t, "{type: string}", `{type: string, pattern: "("}`), "line 13: arguments: not a JSON Schema"},
		{"arguments: $ref to a file", replaced(t, "{type: string}", `{$ref: "file:///etc/passwd"}`), "line 13: arguments: $ref"},
		{"arguments: $ref to a URL", replaced(t, "{type: string}", `{$ref: "https://json-schema.org/draft/2020-12/schema"}`), "line 13: arguments: $ref"},
		{"arguments: $ref to a file, hidden behind a value", replaced(t, "{type: string}", `{$ref: "#/properties/id/default", default: {$ref: "file:///etc/passwd"}}`), "line 11: arguments: not a JSON Schema"},
		{"arguments: $ref to nothing", replaced(t, "{type: string}", `{$ref: "#/$defs/none"}`), "line 11: arguments: not a JSON Schema"},
		{"arguments: $id", replaced(t, "required: [id]", "$id: https://a.example/"), `line 12: arguments: the keyword "$id"`},
		{"arguments: $dynamicRef", replaced(t, "{type: string}", `{$dynamicRef: "#a"}`), `the keyword "$dynamicRef"`},
		{"arguments: older draft", replaced(t, "required: [id]", "$schema: http://json-schema.org/draft-04/schema#"), "line 12: arguments: want JSON Schema 2020-12"},
		{"arguments: hexadecimal", replaced(t, "{type: string}", "{type: string, maxLength: 0x10}"), `line 13: "0x10": write it as JSON would`},
		{"arguments: infinity", replaced(t, "{type: string}", "{type: number, maximum: .inf}"), `line 13: ".inf": write it as JSON would`},
		{"arguments: huge exponent", replaced(t, "{type: string}", "{type: number, maximum: 1e9999}"), "line 13: arguments: not a JSON Schema: properties.id.maximum: want number"},
		{"arguments: schema too long", replaced(t, "{type: string}", "{type: string, description: "+strings.Repeat("a", 65<<10)+"}"), "the schema is longer than 65536 bytes"},

		{"header: Host", replaced(t, "    method", "    headers: {host: evil.example}\n    method"), "line 7: the header Host"},
		{"header: framing", replaced(t, "    method", "    headers: {transfer-encoding: chunked}\n    method"), "line 7: the header Transfer-Encoding"},
		{"header: forwarded", replaced(t, "    method", "    headers: {X-Forwarded-For: a}\n    method"), "line 7: the header X-Forwarded-For"},
		{"header: proxy", replaced(t, "    method", "    headers: {proxy-authorization: a}\n    method"), "line 7: the header Proxy-Authorization"},
		{"header: Authorization", replaced(t, "    method", "    headers: {authorization: a}\n    method"), "line 7: the header Authorization"},
		{"header: method override", replaced(t, "    method", "    headers: {X-HTTP-Method-Override: DELETE}\n    method"), "line 7: the header X-Http-Method-Override"},
		{"header: encoding", replaced(t, "    method", "    headers: {Accept-Encoding: br}\n    method"), "line 7: the header Accept-Encoding"},
		{"header: the credential's", replaced(t, "tools:", "credentials: {main: {owner: user, attach: {header: X-API-Key}}}\ntools:", "    method", "    headers: {x-api-key: a}\n    method"), "line 8: the header X-Api-Key carries the credential"},
		{"header: CRLF", replaced(t, "    method", `    headers: {A: "a\r\nHost: b"}`+"\n    method"), "line 7: headers: want printable ASCII"},
		{"header: name", replaced(t, "    method", `    headers: {"A b": a}`+"\n    method"), "line 7: the header"},
		{"header: twice", replaced(t, "    method", `    headers: {Aa: a, aA: b}`+"\n    method"), "line 7: the header Aa stands twice"},
		{"response header: cookie", replaced(t, "    method", `    response: {headers: [set-cookie]}`+"\n    method"), "line 7: the header Set-Cookie is never passed on"},
		{"response too large", replaced(t, "    method", `    response: {max_bytes: 65MiB}`+"\n    method"), "line 7: max_bytes"},
		{"response of nothing", replaced(t, "    method", `    response: {max_bytes: 0}`+"\n    method"), "line 7: max_bytes"},
		{"rows: no pointer", replaced(t, "    method", `    response: {rows: items}`+"\n    method"), "line 7: rows"},
		{"timeout: too long", replaced(t, "    method", `    timeout: 11m`+"\n    method"), "line 7: timeout"},
		{"first_byte: more than in all", replaced(t, "    method", `    timeout: 10s`+"\n    first_byte: 11s\n    method"), "line 8: first_byte"},
		{"idle: nothing", replaced(t, "    method", `    idle: 0s`+"\n    method"), "line 7: idle"},
		{"timeout: without unit", replaced(t, "    method", `    timeout: 10`+"\n    method"), "line 7: timeout"},
		{"idempotent: text", replaced(t, "    method", `    idempotent: "yes"`+"\n    method"), "line 7: idempotent: want true or false, not text in quotes"},

		{"tool twice", small + strings.Replace(strings.Split(small, "tools:\n")[1], "/contacts", "/others", 1), "line 14: tool get stands twice, first on line 5"},
		{"one function name", small + "  - {name: a.b, severity: READ, method: GET, path: /a, resources: [\"x:*\"]}\n  - {name: a_b, severity: READ, method: GET, path: /b, resources: [\"x:*\"]}\n", "line 15: tools a.b and a_b share the function name crm__a_b"},
		{"a function name for a name", small + "  - {name: crm__get, severity: READ, method: GET, path: /a, resources: [\"x:*\"]}\n", "line 14: tool crm__get has the function name of tool get"},
		{"same path", small + strings.NewReplacer("get", "other", "{id}", "{key}", "[id]", "[key]", "{id:", "{key:").Replace(strings.Split(small, "tools:\n")[1]), "line 17: tool other: every GET of its path is one of get on line 8"},
		{"shadowed", small + "  - {name: other, severity: READ, method: GET, path: /contacts/me, resources: [\"x:*\"]}\n", "line 14: tool other: every GET of its path is one of get on line 8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := connector.Parse([]byte(tt.text))
			require.Nil(t, c)
			require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
			require.Equal(t, "manifest", fault.From(err).Metadata["field"])
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestParseTellsAllFaultsAtOnce(t *testing.T) {
	_, err := connector.Parse([]byte(replaced(t, "kind: http", "kind: ftp", "READ", "read", "/contacts/{id}", "contacts", "contact:{id}", "{id}")))
	for _, want := range []string{"line 2: ", "line 6: ", "line 8: ", "line 9: "} {
		require.ErrorContains(t, err, want)
	}
}

// A schema on the broker's own disk, sound in itself, is not read.
func TestParseReadsNoFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "schema.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"type":"string"}`), 0o600))
	_, err := connector.Parse([]byte(replaced(t, "{type: string}", `{$ref: "#/properties/id/default", default: {$ref: "file://`+file+`"}}`)))
	require.ErrorContains(t, err, "a schema may refer only to itself")
}

func TestParseCertificates(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	require.NoError(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	good := block("CERTIFICATE", der)
	for _, tt := range []struct {
		name, text string
		taken      bool
	}{
		{"one", good, true},
		{"two", good + good, true},
		{"with a key", good + block("PRIVATE KEY", key), false},
		{"half a certificate", block("CERTIFICATE", der[:len(der)/2]), false},
		{"under another label", block("TRUSTED CERTIFICATE", der), false},
		{"cut off", good + good[:40], false},
		{"with text after", good + "hello\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			indented := "    " + strings.ReplaceAll(strings.TrimSpace(tt.text), "\n", "\n    ") + "\n"
			c, err := connector.Parse([]byte(replaced(t, "kind:", "tls:\n  ca: |\n"+indented+"kind:")))
			if !tt.taken {
				require.ErrorContains(t, err, "line 3: tls.ca")
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.text, string(c.Egress.RootCAs))
		})
	}
}

func TestParseTakes(t *testing.T) {
	tests := map[string]string{
		"the smallest":                  small,
		"literal before argument":       strings.Replace(small, "tools:\n", "tools:\n  - {name: me, severity: READ, method: GET, path: /contacts/me, resources: [\"x:*\"]}\n", 1),
		"same path by another method":   small + "  - {name: other, severity: READ, method: HEAD, path: /contacts/me, resources: [\"x:*\"]}\n",
		"trailing slash":                replaced(t, "/contacts/{id}", "/contacts/{id}/"),
		"text around an argument":       replaced(t, "/contacts/{id}", "/contacts/v.{id}:batch"),
		"every fixed character":         replaced(t, "/contacts/{id}", "/-._~!$&'()*+,=:@/{id}"),
		"local reference":               replaced(t, "{type: string}", `{$ref: "#/$defs/id"}`, "required: [id]", "required: [id]\n      $defs: {id: {type: string}}"),
		"a property called $ref":        replaced(t, "properties: {id", `properties: {"$ref": {type: string}, id`, "    method", "    query: {r: \"$ref\"}\n    method"),
		"rows are the whole answer":     replaced(t, "    method", "    response: {rows: \"\"}\n    method"),
		"POST that reads":               replaced(t, "GET", "POST"),
		"resource of several arguments": replaced(t, "contact:{id}", "contact:{id}/{id}"),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := connector.Parse([]byte(text))
			require.NoError(t, err)
		})
	}
}

func BenchmarkParse(b *testing.B) {
	text, err := os.ReadFile("testdata/crm.yaml")
	require.NoError(b, err)
	for b.Loop() {
		if _, err := connector.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
