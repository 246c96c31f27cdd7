package openapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/connector/openapi"
	"github.com/onedoor/onedoor/server/fault"
)

// operations makes a document of operations, each "METHOD PATH [ID [TAG]]", at servers.
func operations(servers string, list ...string) []byte {
	paths := map[string][]string{}
	var order []string
	for _, one := range list {
		f := append(strings.Fields(one), "", "")
		more := `"responses":{}`
		if f[2] != "" {
			more += fmt.Sprintf(`,"operationId":%q`, f[2])
		}
		if f[3] != "" {
			more += fmt.Sprintf(`,"tags":[%q]`, f[3])
		}
		var parameters []string
		for part := range strings.SplitSeq(f[1], "/") {
			if name, ok := strings.CutPrefix(part, "{"); ok {
				parameters = append(parameters, fmt.Sprintf(`{"name":%q,"in":"path","required":true,"schema":{"type":"string"}}`, strings.TrimSuffix(name, "}")))
			}
		}
		if paths[f[1]] == nil {
			order = append(order, f[1])
		}
		paths[f[1]] = append(paths[f[1]], fmt.Sprintf(`%q:{%s,"parameters":[%s]}`, strings.ToLower(f[0]), more, strings.Join(parameters, ",")))
	}
	var all []string
	for _, path := range order {
		all = append(all, fmt.Sprintf("%q:{%s}", path, strings.Join(paths[path], ",")))
	}
	return []byte(`{"openapi":"3.0.3","servers":` + servers + `,"paths":{` + strings.Join(all, ",") + `}}`)
}

const atA = `[{"url":"https://a.example"}]`

// TestListsInOneParameter: commas a manifest can write. What it cannot is narrowed to one value.
func TestListsInOneParameter(t *testing.T) {
	for style, c := range map[string]struct {
		query   string
		changed bool
	}{
		"form":           {"ids=1,2", false},
		"pipeDelimited":  {"", true},
		"spaceDelimited": {"", true},
	} {
		t.Run(style, func(t *testing.T) {
			text := []byte(`{"openapi":"3.0.3","servers":` + atA + `,"paths":{"/things":{"get":{"operationId":"list","responses":{},"parameters":[
				{"name":"ids","in":"query","style":"` + style + `","explode":false,"schema":{"type":"array","items":{"type":"string"}}}]}}}}`)
			r, err := openapi.Import(t.Context(), text, openapi.Options{Name: "a"})
			require.NoError(t, err)
			require.Equal(t, c.changed, slices.ContainsFunc(r.Findings, func(f openapi.Finding) bool { return f.Kind == openapi.Changed }))
			b, err := imported(t, text, openapi.Options{}).Bind("list", []byte(`{"ids":["1","2"]}`))
			if c.changed {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.query, b.Query)
		})
	}
}

// imported gives the manifest of operations, as the broker would read it.
func imported(t *testing.T, text []byte, o openapi.Options) *connector.Connector {
	t.Helper()
	o.Name = "a"
	r, err := openapi.Import(t.Context(), text, o)
	require.NoError(t, err)
	c, err := connector.Parse([]byte(r.Manifest))
	require.NoError(t, err)
	return c
}

func TestSeverities(t *testing.T) {
	for operation, want := range map[string]string{
		"GET /contacts listContacts":            "READ",
		"HEAD /contacts":                        "READ",
		"GET /keys listKeys":                    "READ", // and is marked
		"GET /contacts/{id} deleteContact":      "DESTRUCTIVE",
		"GET /pulls/{id}/merge pulls/is-merged": "READ",
		"POST /contacts createContact":          "WRITE",
		"POST /contacts/create":                 "WRITE",
		"POST /contacts":                        "DESTRUCTIVE",
		"POST /contacts/search":                 "READ",
		"POST /x contacts.search":               "READ",
		"POST /search/delete":                   "DESTRUCTIVE",
		"POST /search researchAndDestroy":       "DESTRUCTIVE",
		"POST /lists/{id}/run runList":          "DESTRUCTIVE",
		"POST /run frobnicate":                  "DESTRUCTIVE",
		"PUT /contacts/{id} updateContact":      "WRITE",
		"PUT /contacts/{id} search":             "DESTRUCTIVE",
		"PATCH /contacts/{id} patchContact":     "WRITE",
		"DELETE /contacts/{id} removeContact":   "DESTRUCTIVE",
		"DELETE /roles/{id} removeRole":         "ADMIN",
		"POST /members addMember":               "ADMIN",
		"POST /apiKeys createApiKey":            "ADMIN",
		"PUT /hooks/{id} updateHook":            "ADMIN",
		"POST /users/invite":                    "ADMIN",
		"POST /webhooks/search searchWebhooks":  "ADMIN",
		"POST /mails sendMail":                  "DESTRUCTIVE",
		"POST /payments createPayment":          "DESTRUCTIVE",
		// What only looks like a question changes something: these are things, and no verbs.
		"POST /lists postLists":                 "DESTRUCTIVE",
		"POST /lists/{id} postListsId":          "DESTRUCTIVE",
		"POST /boards/{id}/lists":               "DESTRUCTIVE",
		"POST /queries":                         "DESTRUCTIVE",
		"POST /searches":                        "DESTRUCTIVE",
		"POST /allow-list":                      "DESTRUCTIVE",
		"POST /list-items":                      "DESTRUCTIVE",
		"POST /search/{index}":                  "DESTRUCTIVE",
		"POST /x lists.share":                   "DESTRUCTIVE",
		"POST /x list.subscribe":                "DESTRUCTIVE",
		"GET /jobs/{id}/cancel":                 "DESTRUCTIVE",
		"GET /jobs/{id}/cancel jobCancellation": "DESTRUCTIVE",
		"GET /users/{id}/update":                "DESTRUCTIVE",
		"GET /contacts createContact":           "DESTRUCTIVE",
		"GET /jobs:cancel":                      "DESTRUCTIVE",
		"GET /payments":                         "READ",
		"GET /pulls/{id}/merge getMerge":        "READ",
	} {
		t.Run(operation, func(t *testing.T) {
			require.Equal(t, want, imported(t, operations(atA, operation), openapi.Options{}).Tools[0].Severity.String())
		})
	}
}

func TestResources(t *testing.T) {
	for path, want := range map[string]string{
		"/contacts":                     "contact:*",
		"/contacts/{id}":                "contact:{id}",
		"/v2/contacts/{id}":             "contact:{id}",
		"/companies/{id}/notes":         "company:{id}",
		"/companies/{id}/notes/{note}":  "note:{id}/{note}",
		"/repos/{owner}/{repo}":         "repo:{owner}/{repo}",
		"/repos/{owner}/{repo}/issues":  "repo:{owner}/{repo}",
		"/contacts/search":              "contact:*",
		"/api/v1":                       "resource:*",
		"/{tenant}/things":              "tenant:{tenant}",
		"/User_Groups/{id}":             "user_group:{id}",
		"/status":                       "status:*",
		"/2024/boxes/{id}":              "box:{id}",
		"/statuses/{id}/addresses/{no}": "address:{id}/{no}",
	} {
		t.Run(path, func(t *testing.T) {
			require.Equal(t, []string{want}, imported(t, operations(atA, "GET "+path), openapi.Options{}).Tools[0].Resources)
		})
	}
}

func TestServers(t *testing.T) {
	for name, tc := range map[string]struct{ servers, origin, at, path, refused string }{
		"one":                        {servers: atA, at: "https://a.example", path: "/x"},
		"with a path":                {servers: `[{"url":"https://a.example/v1/"}]`, at: "https://a.example", path: "/v1/x"},
		"with a port":                {servers: `[{"url":"https://a.example:8443/v1"}]`, at: "https://a.example:8443", path: "/v1/x"},
		"plain HTTP goes by":         {servers: `[{"url":"http://a.example"},{"url":"https://b.example"}]`, at: "https://b.example", path: "/x"},
		"relative":                   {servers: `[{"url":"/v1"}]`, refused: "origin"},
		"relative, origin given":     {servers: `[{"url":"/v1"}]`, origin: "https://o.example", at: "https://o.example", path: "/v1/x"},
		"variables":                  {servers: `[{"url":"https://{t}.example"}]`, refused: "variables"},
		"variables, origin given":    {servers: `[{"url":"https://{t}.example/v1"}]`, origin: "https://o.example", at: "https://o.example", path: "/v1/x"},
		"origin with a path":         {servers: `[{"url":"https://a.example/v1"}]`, origin: "https://o.example/v9", at: "https://o.example", path: "/v9/x"},
		"origin with a slash":        {servers: `[{"url":"https://a.example/v1"}]`, origin: "https://o.example/", at: "https://o.example", path: "/x"},
		"none":                       {servers: `[]`, refused: "names no server"},
		"an address":                 {servers: `[{"url":"https://127.0.0.1"}]`, refused: "origin"},
		"a metadata service":         {servers: `[{"url":"https://metadata.google.internal"}]`, refused: "origin"},
		"origin that is none":        {servers: atA, origin: "http://o.example", refused: "origin"},
		"origin that holds a secret": {servers: atA, origin: "https://user:pass@o.example", refused: "origin"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := openapi.Import(t.Context(), operations(tc.servers, "GET /x"), openapi.Options{Name: "a", Origin: tc.origin})
			if tc.refused != "" {
				require.ErrorContains(t, err, tc.refused)
				require.True(t, fault.Is(err, fault.ArgumentInvalid))
				return
			}
			require.NoError(t, err)
			c, err := connector.Parse([]byte(r.Manifest))
			require.NoError(t, err)
			require.Equal(t, tc.at, c.Origin.String())
			b, err := c.Bind(c.Tools[0].Name, nil)
			require.NoError(t, err)
			require.Equal(t, tc.path, b.Path)
		})
	}
}

func TestChoosing(t *testing.T) {
	text := operations(atA, "GET /a getA one", "GET /b/{x} b/get one", "DELETE /b/{x} b/delete two", "GET /c")
	for name, tc := range map[string]struct {
		include, exclude, tools []string
		refused                 string
	}{
		"all":                   {tools: []string{"b.delete", "b.get", "get.c", "getA"}},
		"a tag":                 {include: []string{"tag:one"}, tools: []string{"b.get", "getA"}},
		"a path":                {include: []string{"/b/*"}, tools: []string{"b.delete", "b.get"}},
		"an operationId":        {include: []string{"b/*", "getA"}, tools: []string{"b.delete", "b.get", "getA"}},
		"a tool's name":         {include: []string{"get.c"}, tools: []string{"get.c"}},
		"not a tag":             {exclude: []string{"tag:two"}, tools: []string{"b.get", "get.c", "getA"}},
		"some, but not all":     {include: []string{"/b*"}, exclude: []string{"*delete"}, tools: []string{"b.get"}},
		"misspelt":              {include: []string{"tag:One"}, refused: "names no operation"},
		"misspelt exclusion":    {exclude: []string{"b/remove"}, refused: "names no operation"},
		"nothing left":          {exclude: []string{"*"}, refused: "leaves no operation"},
		"half a word is no one": {include: []string{"get"}, refused: "names no operation"},
	} {
		t.Run(name, func(t *testing.T) {
			o := openapi.Options{Name: "a", Include: tc.include, Exclude: tc.exclude}
			r, err := openapi.Import(t.Context(), text, o)
			if tc.refused != "" {
				require.ErrorContains(t, err, tc.refused)
				return
			}
			require.NoError(t, err)
			require.Equal(t, len(tc.tools), r.Tools)
			var names []string
			for _, tool := range imported(t, text, o).Tools {
				names = append(names, tool.Name)
			}
			require.Equal(t, tc.tools, names)
		})
	}
}

// A manifest holds a thousand tools: who has more is told how to choose.
func TestTooMany(t *testing.T) {
	var list []string
	for i := range 1001 {
		list = append(list, fmt.Sprintf("GET /t%d id%d tag%d", i, i, i%2))
	}
	_, err := openapi.Import(t.Context(), operations(atA, list...), openapi.Options{Name: "a"})
	require.ErrorContains(t, err, "1001 operations")
	require.ErrorContains(t, err, "tag:tag0 (501)")
	require.Len(t, imported(t, operations(atA, list...), openapi.Options{Include: []string{"tag:tag1"}}).Tools, 500)
}

func TestNames(t *testing.T) {
	for name, refused := range map[string]bool{"a": false, "crm-2": false, "": true, "CRM": true, "2a": true, "a_b": true, strings.Repeat("a", 41): true, "a\nb": true} {
		_, err := openapi.Import(t.Context(), operations(atA, "GET /a"), openapi.Options{Name: name})
		require.Equal(t, refused, err != nil, "%q", name)
	}
	long := strings.Repeat("long", 20)
	c := imported(t, operations(atA, "GET /a "+long+"A", "GET /b "+long+"B", "GET /c same", "GET /d same", "GET /e a.b", "GET /f a_b"), openapi.Options{})
	seen := map[string]bool{}
	for _, tool := range c.Tools {
		require.LessOrEqual(t, len(tool.FunctionName), 64)
		seen[tool.FunctionName] = true
	}
	require.Len(t, seen, 6)
}
