package mint

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
)

// grants reads the texts, and fixes what they mean: tool names instead of patterns,
// on the connector's revision of now.
func (m *Mint) grants(ctx context.Context, by authn.Identity, texts []string, end time.Time) ([]grant.Grant, error) {
	if len(texts) == 0 {
		return nil, noGrants()
	}
	current := map[string]*connector.Connector{}
	grants := make([]grant.Grant, 0, len(texts))
	for i, text := range texts {
		field := fmt.Sprintf("grants[%d]", i)
		g, err := grant.Parse(text)
		if err != nil {
			return nil, fault.Invalid(field, err.Error())
		}
		if !by.Orchestrator.MayUse(g.Connector) {
			return nil, exceeds("connectors", fmt.Sprintf("%s: this orchestrator may not grant the connector %s", field, g.Connector))
		}
		if current[g.Connector] == nil {
			c, err := m.current(ctx, by.Workspace, g.Connector)
			if err != nil {
				return nil, inField(field, err)
			}
			current[g.Connector] = c
		}
		if err := m.fix(&g, current[g.Connector], by.Orchestrator, end, field); err != nil {
			return nil, err
		}
		grants = append(grants, g)
	}
	return grants, nil
}

func (m *Mint) current(ctx context.Context, workspace, name string) (*connector.Connector, error) {
	r, err := m.o.Connectors.Current(ctx, workspace, name)
	if err != nil {
		return nil, err
	}
	return m.o.Connectors.Parsed(ctx, r)
}

// fix pins one grant to a connector and checks it against its orchestrator's bounds.
func (m *Mint) fix(g *grant.Grant, c *connector.Connector, o *authn.Orchestrator, end time.Time, field string) error {
	if g.MaxSeverity > o.MaxSeverity {
		return exceeds("max_severity", fmt.Sprintf("%s: this orchestrator may grant at most %s", field, o.MaxSeverity))
	}
	tools, err := c.ExpandTools(g.Tools)
	if err != nil {
		return fault.Invalid(field, fault.From(err).Public)
	}
	g.ID, g.Revision, g.Tools = m.o.NewID(), c.Revision, tools
	if err := c.CanCount(g.Limits, g.Tools, g.Resources); err != nil {
		return fault.Invalid(field, fault.From(err).Public)
	}
	if err := checkUntil(g, m.o.Now(), end); err != nil {
		return inField(field, err)
	}
	return nil
}

// checkUntil judges a grant's own end by now and by the end of its task.
func checkUntil(g *grant.Grant, now, end time.Time) error {
	switch {
	case g.ExpiresAt.IsZero():
	case !g.ExpiresAt.After(now):
		return fault.New(fault.ArgumentInvalid, "until is in the past", nil)
	case g.ExpiresAt.After(end):
		return fault.New(fault.ArgumentInvalid, "until is later than the task's end; leave it out to end with the task", nil)
	}
	return nil
}

func noGrants() error {
	return fault.Invalid("grants", "at least one; a task without grants could do nothing")
}

// inField says to which field a fault from below belongs.
func inField(field string, err error) error {
	f := fault.From(err)
	if f.Reason == fault.Internal {
		return err
	}
	return fault.New(f.Reason, field+": "+f.Public, err).With("field", field)
}

// printable refuses what two readers could take for two different names.
func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return false
		}
	}
	return norm.NFC.IsNormalString(s) && strings.TrimSpace(s) == s
}
