package grant

import (
	"fmt"
	"slices"
	"time"

	"github.com/onedoor/onedoor/server/fault"
)

// Within returns no error if no call that the children allow is refused by the parents:
// each child lies within one single parent. Two parents that only together cover a
// child do not; that is stricter than it need be, and simple to see. It says for each
// child in which parent it lies, as an index. Where several hold it, that is the first,
// but one without limits goes before one with, as in NewSet: what the child uses should
// not count where it need not.
//
// Tools are compared as names, so patterns are expanded before. A child must stand on
// its parent's connector revision, since another revision can give the same name
// another meaning. The error is a *fault.Error with DELEGATION_WIDENS that says what
// widens, against the parent that came nearest.
func Within(children, parents []Grant) ([]int, error) {
	at := make([]int, len(children))
	for i := range children {
		child := &children[i]
		if err := child.Validate(); err != nil {
			return nil, widens(i, err.Error())
		}
		var text string
		if at[i], text = holder(child, parents); text != "" {
			return nil, widens(i, text)
		}
	}
	return at, nil
}

func widens(i int, text string) error {
	return fault.New(fault.DelegationWidens, fmt.Sprintf("grant %d: %s", i+1, text), nil).With("field", fmt.Sprintf("grants[%d]", i))
}

// holder finds the parent that holds all of child. Where there is none, text says in what
// child goes beyond the parent that holds the most of it.
func holder(child *Grant, parents []Grant) (at int, text string) {
	text, at = "the parent has no grant on "+short(child.Connector), -1
	furthest := 0
	for i := range parents {
		beyond, passed := compare(child, &parents[i])
		switch {
		case beyond == "" && (at < 0 || parents[at].Limits.Any() && !parents[i].Limits.Any()):
			at = i
		case beyond != "" && passed > furthest:
			text, furthest = beyond, passed
		}
	}
	if at >= 0 {
		return at, ""
	}
	return at, text
}

// compare says in what child goes beyond parent, and how many checks it passed
// before; nothing beyond means that it is contained.
func compare(child, parent *Grant) (beyond string, passed int) {
	checks := []func() string{
		func() string { return beyondConnector(child, parent) },
		func() string { return beyondTools(child, parent) },
		func() string { return beyondResources(child, parent) },
		func() string { return beyondSeverity(child, parent) },
		func() string { return beyondLimits(child.Limits, parent.Limits) },
		func() string { return beyondEnd(child.ExpiresAt, parent.ExpiresAt) },
	}
	for i, check := range checks {
		if text := check(); text != "" {
			return text, i
		}
	}
	return "", len(checks)
}

func beyondConnector(child, parent *Grant) string {
	if child.Connector == parent.Connector && child.Revision == parent.Revision {
		return ""
	}
	return fmt.Sprintf("the parent has no grant on %s revision %d", child.Connector, child.Revision)
}

func beyondTools(child, parent *Grant) string {
	for _, t := range child.Tools {
		if !slices.Contains(parent.Tools, t) {
			return fmt.Sprintf("tool %s is not within the parent's %s", t, list(parent.Tools))
		}
	}
	return ""
}

func beyondResources(child, parent *Grant) string {
	for _, c := range child.Resources {
		if !slices.ContainsFunc(parent.Resources, func(p Pattern) bool { return p.Contains(c) }) {
			return fmt.Sprintf("resource %s is not within the parent's %s", short(c.text), list(texts(parent.Resources)))
		}
	}
	return ""
}

func beyondSeverity(child, parent *Grant) string {
	if parent.approves(child.MaxSeverity) {
		return ""
	}
	return fmt.Sprintf("severity %s is above the parent's %s", child.MaxSeverity, parent.MaxSeverity)
}

// beyondLimits takes no limit under a limited parent for wider: zero is "not
// limited", not the smallest number.
func beyondLimits(child, parent Limits) string {
	for _, l := range []struct {
		name          string
		child, parent int64
		text          func(int64) string
	}{
		{"calls", child.Calls, parent.Calls, formatCount},
		{"bytes", child.Bytes, parent.Bytes, formatBytes},
		{"rows", child.Rows, parent.Rows, formatCount},
		{"tokens", child.Tokens, parent.Tokens, formatCount},
		{"usd", child.MicroUSD, parent.MicroUSD, formatUSD},
	} {
		switch {
		case l.parent == 0:
		case l.child == 0:
			return fmt.Sprintf("%s is not limited, the parent's limit is %s=%s", l.name, l.name, l.text(l.parent))
		case l.child > l.parent:
			return fmt.Sprintf("%s=%s is above the parent's %s", l.name, l.text(l.child), l.text(l.parent))
		}
	}
	return ""
}

func beyondEnd(child, parent time.Time) string {
	switch {
	case parent.IsZero():
		return ""
	case child.IsZero():
		return "no end of its own, the parent's grant ends at " + parent.UTC().Format(time.RFC3339)
	case child.After(parent):
		return fmt.Sprintf("until=%s is after the parent's %s",
			child.UTC().Format(time.RFC3339), parent.UTC().Format(time.RFC3339))
	}
	return ""
}
