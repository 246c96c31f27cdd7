package connector

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
)

const (
	maxRules   = 32
	maxActions = 64
	maxAction  = 128
	// maxPolicy is how long an inline session policy may be (AssumeRole, Policy).
	maxPolicy = 2048
)

// PolicyRule says what may be done to resources of a type, and what AWS calls them.
type PolicyRule struct {
	Type    string
	Actions []string
	// Prefix and Suffix stand around the id in the ARN. Fixed: the id is not in it.
	Prefix, Suffix string
	Fixed          bool
}

// policyRules reads {TYPE: {actions: [SERVICE:ACTION], arn: TEMPLATE}}.
func (r *reader) policyRules(n *yaml.Node) []PolicyRule {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 || len(n.Content) > 2*maxRules {
		r.fail(n, "session_policy: want a mapping of 1 to %d resource types", maxRules)
		return nil
	}
	var rules []PolicyRule
	for key, value := range pairs(n) {
		rule := PolicyRule{Type: r.text(key, "session_policy", maxName)}
		if _, err := grant.ParseResource(rule.Type + ":x"); err != nil || strings.Contains(rule.Type, ":") {
			r.fail(key, "session_policy %s: want a type of resources", quote(rule.Type))
		}
		r.fields(value, "session_policy",
			// Exact names without wildcards.
			field{"actions", true, func(n *yaml.Node) { rule.Actions = r.actions(n) }},
			// The ARN of the thing, with `{id}` once at most and only in its last part. `/*` may stand at its
			// very end: all that lies below.
			field{"arn", true, func(n *yaml.Node) { r.arn(n, &rule) }},
		)
		rules = append(rules, rule)
	}
	slices.SortFunc(rules, func(a, b PolicyRule) int { return strings.Compare(a.Type, b.Type) })
	return rules
}

// actions reads exact names: a wildcard would give what nobody wrote down, and more with
// each operation that AWS invents.
func (r *reader) actions(n *yaml.Node) []string {
	var actions []string
	for _, item := range r.list(n, "actions") {
		s := r.text(item, "actions", maxAction)
		service, name, ok := strings.Cut(s, ":")
		if !ok || service == "" || name == "" || !isIAMText(service, "-") || !isIAMText(name, "") {
			r.fail(item, "action %s: want SERVICE:ACTION, for instance s3:GetObject, without wildcards", quote(s))
		}
		if slices.Contains(actions, s) {
			r.fail(item, "action %s stands twice", quote(s))
		}
		actions = append(actions, s)
	}
	if len(actions) > maxActions {
		r.fail(n, "actions: more than %d", maxActions)
	}
	return actions
}

// arn reads a template: {id} once at most, in the last part alone, and no wildcard but
// for /* at the very end.
func (r *reader) arn(n *yaml.Node, rule *PolicyRule) {
	text := r.text(n, "arn", maxARN)
	if text == "" {
		return
	}
	base, below := strings.CutSuffix(text, "/*")
	before, after, found := strings.Cut(base, "{id}")
	parts := strings.SplitN(before, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || !strings.HasPrefix(parts[1], "aws") || parts[2] == "" || parts[5] == "" && !found ||
		!isHeaderText(before+after) || strings.ContainsAny(before+after, "*?${} ") {
		r.fail(n, "arn: want arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE with {id} once at most, in RESOURCE; * only as /* at the end")
	}
	if below {
		after += "/*"
	}
	rule.Prefix, rule.Suffix, rule.Fixed = before, after, !found
}

// policed sees that every tool acts on something that a rule speaks of: without one, no
// call of it could ever be made.
func (r *reader) policed(n *yaml.Node, c *Connector) {
	for _, slot := range c.Slots {
		if slot.AWS == nil || len(slot.AWS.Rules) == 0 {
			continue
		}
		for _, t := range c.Tools {
			if !slices.ContainsFunc(t.Resources, func(text string) bool {
				kind, _, _ := strings.Cut(text, ":")
				return slot.AWS.rule(kind) != nil
			}) {
				r.fail(n, "tool %s: session_policy of slot %s has no rule for any of its resources", t.Name, slot.Name)
			}
		}
	}
}

func (a *AWS) rule(kind string) *PolicyRule {
	for i := range a.Rules {
		if a.Rules[i].Type == kind {
			return &a.Rules[i]
		}
	}
	return nil
}

type statement struct {
	Effect   string
	Action   []string
	Resource []string
}

// SessionPolicy narrows the role to the resources of one call; "" where the manifest
// does not narrow it. What is narrowed to nothing is refused, since to STS an empty
// policy means all that the role may do. The error is ARGUMENT_INVALID.
func (a *AWS) SessionPolicy(resources []grant.Resource) (string, error) {
	if len(a.Rules) == 0 {
		return "", nil
	}
	arns := map[string][]string{}
	for _, r := range resources {
		kind, id, _ := strings.Cut(r.String(), ":")
		rule := a.rule(kind)
		if rule == nil {
			continue
		}
		arn, err := rule.arnOf(id)
		if err != nil {
			return "", err
		}
		if !slices.Contains(arns[kind], arn) {
			arns[kind] = append(arns[kind], arn)
		}
	}
	var statements []statement
	for _, rule := range a.Rules {
		if list := arns[rule.Type]; len(list) > 0 {
			slices.Sort(list) // the same resources, the same policy
			statements = append(statements, statement{"Allow", rule.Actions, list})
		}
	}
	if len(statements) == 0 {
		return "", fault.Invalid("arguments", "the connector's session policy has no rule for what this call acts on")
	}
	return policyText(statements)
}

func policyText(statements []statement) (string, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(struct {
		Version   string
		Statement []statement
	}{"2012-10-17", statements}); err != nil {
		return "", fault.New(fault.Internal, "internal error", err)
	}
	policy := strings.TrimSpace(text.String())
	if len(policy) > maxPolicy {
		return "", fault.Invalid("arguments", fmt.Sprintf(
			"name so many resources that AWS's session policy for them is longer than %d characters: make several calls", maxPolicy))
	}
	return policy, nil
}

// arnOf writes the ARN of one resource. An id with what means something in a policy is
// refused, and so is what IAM would not take; "*" is the id of a whole type alone.
func (rule *PolicyRule) arnOf(id string) (string, error) {
	if rule.Fixed {
		return rule.Prefix + rule.Suffix, nil
	}
	if id != "*" && (strings.ContainsAny(id, "*?$") || !isHeaderText(id)) {
		return "", fault.Invalid("arguments", "an id that goes into a policy of AWS is printable ASCII without *, ? and $")
	}
	return rule.Prefix + id + rule.Suffix, nil
}
