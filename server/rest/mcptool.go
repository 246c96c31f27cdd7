package rest

import (
	"encoding/json"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// toolOf describes a granted tool. Its name is the one for models; the schema goes as it
// is, and its arguments are judged by the broker.
func toolOf(t *onedoorv1.Tool) *mcp.Tool {
	return &mcp.Tool{
		Name: t.GetFunctionName(), Title: t.GetConnector() + " " + t.GetName(), Description: describe(t),
		InputSchema: json.RawMessage(t.GetArgumentsSchema()), Annotations: annotationsOf(t),
	}
}

// describe says with the tool what it may act on, so that a model need not find out by
// being refused.
func describe(t *onedoorv1.Tool) string {
	granted := "It may act on: " + strings.Join(t.GetGrantedResources(), ", ") + "."
	if t.GetDescription() == "" {
		return granted
	}
	return t.GetDescription() + "\n\n" + granted
}

// annotationsOf says how much harm the tool can do. A severity that is not known is taken
// for the worst. All of them act on other systems.
func annotationsOf(t *onedoorv1.Tool) *mcp.ToolAnnotations {
	reads := t.GetSeverity() == onedoorv1.Severity_SEVERITY_READ
	gentle := reads || t.GetSeverity() == onedoorv1.Severity_SEVERITY_WRITE
	return &mcp.ToolAnnotations{
		ReadOnlyHint: reads, DestructiveHint: new(!gentle), IdempotentHint: t.GetIdempotent(), OpenWorldHint: new(true),
	}
}

// meant says how a tool is called here that a name spells as operators and grants do, with
// dots: connector.tool, connector__tool or the tool alone. Only tools that the task may call
// are looked at, and they are asked for whatever the name is: what was not granted stays
// untold, and takes as long.
func (x *exchange) meant(name string) string {
	if !strings.Contains(name, ".") {
		return ""
	}
	granted, err := x.broker.ListTools(x.ctx, &onedoorv1.ListToolsRequest{})
	if err != nil {
		return "" // the refusal is told all the same
	}
	var names []string
	for _, t := range granted.GetTools() {
		switch name {
		case t.GetName(), t.GetConnector() + "." + t.GetName(), t.GetConnector() + "__" + t.GetName():
			names = append(names, t.GetFunctionName())
		}
	}
	if len(names) == 0 {
		return ""
	}
	const most = 3
	return ": here it is called " + strings.Join(names[:min(len(names), most)], " or ")
}
