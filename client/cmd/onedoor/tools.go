package main

import (
	"context"
	"strings"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

type toolsCmd struct{}

func (toolsCmd) Help() string {
	return `-o json also has each tool's JSON Schema (.tools[].argumentsSchema) and its name for model tool calling.

  onedoor tools
  onedoor -o json tools`
}

// Run implements the command.
func (toolsCmd) Run(s *session) error {
	return s.callAsTask("tools", adminTimeout, func(ctx context.Context, cl *client.Client) error {
		tools, err := cl.Tools(ctx)
		if err != nil {
			return err
		}
		return s.show(&onedoorv1.ListToolsResponse{Tools: tools}, func(t *table) {
			t.row("CONNECTOR", "TOOL", "SEVERITY", "RESOURCES", "GRANTED", "DESCRIPTION")
			for _, tool := range tools {
				t.row(tool.GetConnector(), tool.GetName(), severity(tool.GetSeverity()), strings.Join(tool.GetResources(), ","),
					strings.Join(tool.GetGrantedResources(), ","), tool.GetDescription())
			}
		})
	})
}

type explainCmd struct {
	Connector string `arg:"" help:"The connector's name."`
	Tool      string `arg:"" help:"The tool's name."`
	argumentFlags
}

func (explainCmd) Help() string {
	return `Calls nothing and reserves nothing. The exit code is 0 for an allowed call and 3 for a refused one.

` + argumentHelp + `

  onedoor explain crm contacts.delete --arg id=42`
}

// Run implements the command.
func (c *explainCmd) Run(s *session) error {
	arguments, err := c.read(s)
	if err != nil {
		return err
	}
	return s.callAsTask("explain", adminTimeout, func(ctx context.Context, cl *client.Client) error {
		verdict, err := cl.Explain(ctx, c.Connector, c.Tool, arguments)
		if err != nil {
			return err
		}
		err = s.show(verdict, func(t *table) { explainRows(t, verdict) })
		if err == nil && !verdict.GetAllowed() {
			return errNotAllowed
		}
		return err
	})
}

func explainRows(t *table, verdict *onedoorv1.ExplainResponse) {
	if verdict.GetAllowed() {
		t.row("ALLOWED", "yes")
		t.row("GRANT", verdict.GetGrantId())
	} else {
		t.row("ALLOWED", "no")
		t.row("REASON", verdict.GetReason())
		t.row("BECAUSE", verdict.GetExplanation())
	}
	t.row("SEVERITY", severity(verdict.GetSeverity()))
	t.row("RESOURCES", strings.Join(verdict.GetResources(), ","))
}
