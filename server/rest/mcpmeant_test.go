package rest_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/rest"
)

// A name with dots, as grants have it, is answered with the name for models: of what the
// task may call, and of nothing else.
func TestMCPDottedNames(t *testing.T) {
	granted := []*onedoorv1.Tool{
		{Connector: "crm", Name: "contacts.get", FunctionName: "crm__contacts_get"},
		{Connector: "erp", Name: "contacts.get", FunctionName: "erp__contacts_get"},
		{Connector: "crm", Name: "deals.get", FunctionName: "crm__deals_get"},
		{Connector: "crm", Name: "search", FunctionName: "crm__search"},
	}
	for name, hint := range map[string]string{
		"crm.contacts.get":                  ": here it is called crm__contacts_get",
		"erp__contacts.get":                 ": here it is called erp__contacts_get",
		"contacts.get":                      ": here it is called crm__contacts_get or erp__contacts_get",
		"deals.get":                         ": here it is called crm__deals_get",
		"crm.search":                        ": here it is called crm__search",
		"search":                            "",
		"crm.contacts.update":               "",
		"contacts.ge":                       "",
		"crm.CONTACTS.get":                  "",
		"payroll.contacts.get":              "",
		"crm.contacts.get ":                 "",
		"https://evil.example/contacts.get": "",
	} {
		t.Run(name, func(t *testing.T) {
			for reason, code := range map[string]codes.Code{"GRANT_MISSING": codes.PermissionDenied, "TOOL_UNKNOWN": codes.NotFound} {
				b := toolBroker(func(context.Context, *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
					return nil, refused(code, reason, "no")
				})
				b.tools = func(context.Context) (*onedoorv1.ListToolsResponse, error) {
					return &onedoorv1.ListToolsResponse{Tools: granted}, nil
				}
				conn, _ := connect(t, b)
				a := readRPC(t, ask(rest.NewHandler(conn, rest.Options{}), mcpPost(callOf(name, "{}"))))
				require.Equal(t, -32602, a.Error.Code)
				require.Equal(t, "unknown tool "+name+hint, a.Error.Message)
				require.JSONEq(t, `{"invocation_id":"inv-1"}`, string(a.Error.Data))

				b.tools = func(context.Context) (*onedoorv1.ListToolsResponse, error) {
					return nil, refused(codes.ResourceExhausted, "RATE_LIMITED", "too many")
				}
				a = readRPC(t, ask(rest.NewHandler(conn, rest.Options{}), mcpPost(callOf(name, "{}"))))
				require.Equal(t, "unknown tool "+name, a.Error.Message, "without the list there is no hint")
			}
		})
	}
}
