package docs_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
)

func TestTheConnectorExample(t *testing.T) {
	examples := blocks(read(t, "docs/connectors.md"), "yaml")
	require.Len(t, examples, 1)
	c, err := connector.Parse([]byte(examples[0]))
	require.NoError(t, err)
	for _, call := range []struct {
		name, tool, arguments, request, body string
		resources                            []string
	}{
		{"read", "ticket.get", `{"id": 7}`, "GET /v2/tickets/7.json", "", []string{"ticket:7"}},
		{"search", "ticket.search", `{"text": "a b", "limit": 5}`, "GET /v2/search?query=a%20b&per_page=5", "", []string{"ticket:*"}},
		{"comment", "ticket.comment", `{"text": "hi", "id": 7}`, "POST /v2/tickets/7/comments", `{"text":"hi"}`, []string{"ticket:7"}},
		{"merge", "ticket.merge", `{"into": 1, "from": [3, 4]}`, "POST /v2/tickets/1/merge", `{"from":[3, 4]}`, []string{"ticket:1", "ticket:3", "ticket:4"}},
	} {
		t.Run(call.name, func(t *testing.T) {
			b, err := c.Bind(call.tool, []byte(call.arguments))
			require.NoError(t, err)
			request := b.Method + " " + b.Path
			if b.Query != "" {
				request += "?" + b.Query
			}
			require.Equal(t, call.request, request)
			require.Equal(t, call.body, string(b.Body))
			var resources []string
			for _, r := range b.Resources {
				resources = append(resources, r.String())
			}
			require.Equal(t, call.resources, resources)
		})
	}
}
