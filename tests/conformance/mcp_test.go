package conformance_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

// hidden are the reasons that the Model Context Protocol shows as one: a tool that was not
// granted sounds like one that does not exist.
var hidden = map[string]bool{"GRANT_MISSING": true, "TOOL_UNKNOWN": true, "CONNECTOR_UNKNOWN": true}

// callMCP calls by the Model Context Protocol, as the smallest client would.
func callMCP(t *testing.T, b *testenv.Broker, key string, c testCase) result {
	name := strings.ReplaceAll(c.Connector+"__"+c.Tool, ".", "_")
	got := b.REST(t, testenv.Sandbox, key).Do(t, http.MethodPost, "/mcp",
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+name+`","arguments":`+c.Arguments+`}}`)
	var answer struct {
		Error *struct {
			Code int
			Data struct{ Reason string }
		}
		Result struct {
			Content []struct{ Text string }
			Meta    struct {
				Reason string `json:"onedoor/reason"`
				Status int    `json:"onedoor/status"`
			} `json:"_meta"`
			IsError bool
		}
	}
	require.NoError(t, json.Unmarshal([]byte(got.Body), &answer), got.Body)
	r := answer.Result
	switch {
	case answer.Error != nil && answer.Error.Code == -32602 && hidden[string(c.Expect.Reason)]:
		return result{Reason: string(c.Expect.Reason)}
	case answer.Error != nil:
		require.NotEqual(t, http.StatusOK, got.Status, got.Body)
		return result{HTTP: got.Status, Reason: answer.Error.Data.Reason}
	case r.Meta.Reason != "":
		require.True(t, r.IsError)
		return result{Reason: r.Meta.Reason}
	}
	require.Equal(t, r.Meta.Status >= 400, r.IsError)
	var body string
	for _, part := range r.Content {
		if !strings.HasPrefix(part.Text, "HTTP status ") {
			body += part.Text
		}
	}
	return result{Status: r.Meta.Status, Body: body}
}
