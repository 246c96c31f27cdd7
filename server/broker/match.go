package broker

import (
	"context"
	"strings"
)

// match names the tool of a call that is made by a function name, or the tool and the
// arguments of one in the provider's own form; decide judges them like those of any other.
// Only the holder of a grant learns whether the connector exists, and only who was granted
// the tool what it takes.
func (b *Broker) match(ctx context.Context, c *Call) error {
	if c.Request == nil {
		return b.function(ctx, c)
	}
	pinned := c.Grants.Pinned(c.Connector, "")
	if !pinned.Held {
		return notGranted(*c)
	}
	conn, err := b.o.Connectors.Connector(ctx, c.Caller.Task.Workspace, c.Connector, pinned.Revision)
	if err != nil {
		return err
	}
	tool, arguments, err := conn.Match(*c.Request)
	c.Tool, c.Arguments = tool, arguments
	if tool != "" && !c.Grants.Pinned(c.Connector, tool).Named {
		return notGranted(*c)
	}
	return err
}

// function names the tool that a model's name for it means. What it finds is judged and
// recorded under its own name, granted or not.
func (b *Broker) function(ctx context.Context, c *Call) error {
	pinned := c.Grants.Pinned(c.Connector, c.Tool)
	if pinned.Named || !pinned.Held || !strings.HasPrefix(c.Tool, c.Connector+"__") {
		return nil
	}
	conn, err := b.o.Connectors.Connector(ctx, c.Caller.Task.Workspace, c.Connector, pinned.Revision)
	if err != nil {
		return err
	}
	if tool, ok := conn.Function(c.Tool); ok {
		c.Tool = tool.Name
	}
	return nil
}
