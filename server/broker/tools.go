package broker

import (
	"context"
	"errors"
	"sort"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/task"
)

// GrantedTool is a tool that a task may call, and the resources on which it may.
type GrantedTool struct {
	Connector *connector.Connector
	Tool      *connector.Tool
	Patterns  []string
}

// Tools lists exactly the tools that a task may call now: named by a grant that has
// not ended, and of a severity that it approves. Sorted by connector and tool.
func (b *Broker) Tools(ctx context.Context, caller *task.Caller, grants *grant.Set) ([]GrantedTool, error) {
	found := map[[2]string]*GrantedTool{}
	now := b.o.Now()
	for _, g := range grants.Grants() {
		if !g.ExpiresAt.IsZero() && !now.Before(g.ExpiresAt) {
			continue
		}
		conn, err := b.o.Connectors.Connector(ctx, caller.Task.Workspace, g.Connector, g.Revision)
		var f *fault.Error
		if errors.As(err, &f) && (f.Reason == fault.ConnectorChanged || f.Reason == fault.ConnectorUnknown) {
			continue // withdrawn: its tools cannot be called any more
		}
		if err != nil {
			return nil, err
		}
		for _, name := range g.Tools {
			tool, ok := conn.Tool(name)
			if !ok || tool.Severity > g.MaxSeverity {
				continue
			}
			key := [2]string{g.Connector, name}
			if found[key] == nil {
				found[key] = &GrantedTool{Connector: conn, Tool: tool}
			}
			for _, p := range g.Resources {
				found[key].Patterns = append(found[key].Patterns, p.String())
			}
		}
	}
	return sorted(found), nil
}

func sorted(found map[[2]string]*GrantedTool) []GrantedTool {
	list := make([]GrantedTool, 0, len(found))
	for _, t := range found {
		list = append(list, *t)
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].Connector.Name != list[j].Connector.Name {
			return list[i].Connector.Name < list[j].Connector.Name
		}
		return list[i].Tool.Name < list[j].Tool.Name
	})
	return list
}
