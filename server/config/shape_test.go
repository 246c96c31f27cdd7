package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/config"
)

// TestWrongTypes: line and field, what stands there and what is wanted; what Go calls it is
// nobody's business. What may be a password in the wrong place is not repeated.
func TestWrongTypes(t *testing.T) {
	for name, k := range map[string]struct{ from, to, want string }{
		"text for a number":             {"workspaces:", "limits: {task: {concurrent: hunter2}}\nworkspaces:", "line 12: limits.task.concurrent: want a whole number, not text"},
		"a number in quotes":            {"workspaces:", `limits: {task: {calls_per_second: "5"}}` + "\nworkspaces:", "line 12: limits.task.calls_per_second: want a number, not text in quotes"},
		"text for a switch":             {"max_ttl: 1h", "may_assert_users: hunter2", "line 18: workspaces[0].orchestrators[0].may_assert_users: want true or false, not text"},
		"a number for a switch":         {"max_ttl: 1h", "may_assert_users: 1", "line 18: workspaces[0].orchestrators[0].may_assert_users: want true or false, not the number 1"},
		"a list for text":               {"max_severity: WRITE", "max_severity: [WRITE]", "line 19: workspaces[0].orchestrators[0].max_severity: want text, not a list"},
		"text for a list":               {"connectors: [crm]", "connectors: hunter2", "line 20: workspaces[0].orchestrators[0].connectors: want a list, not text"},
		"text for fields":               {"store: {url_file: /run/secrets/store-url}", "store: postgres://u:hunter2@h/db", "line 10: store: want fields and their values, not text"},
		"a list for fields":             {"keys: {master", "keys: [{master: a}]\nlog: {level", "line 11: keys: want fields and their values, not a list"},
		"fields for a list":             {"operators: [spiffe://example.org/operator]", "operators: {id: spiffe://example.org/operator}", "line 14: workspaces[0].operators: want a list, not a mapping"},
		"a list for a duration":         {"max_ttl: 1h", "max_ttl: [1h]", "line 18: workspaces[0].orchestrators[0].max_ttl: want one value, not a list"},
		"a duration without unit":       {"max_ttl: 1h", "max_ttl: 3600", `line 18: workspaces[0].orchestrators[0].max_ttl: "3600" is no duration: want for instance 90s, 15m or 1h`},
		"an ID in a list":               {"operators: [spiffe://example.org/operator]", "operators: [spiffe://example.org/a, b]", `line 14: workspaces[0].operators[1]: "b" is no SPIFFE ID`},
		"an unknown field":              {"max_ttl: 1h", "max_tll: 1h", `line 18: workspaces[0].orchestrators[0]: unknown field "max_tll"`},
		"in an inlined part":            {"  ops:", "  rest_jwt: {address: [a], audience: b}\n  ops:", "line 9: listeners.rest_jwt.address: want text, not a list"},
		"behind an alias":               {"operators: [spiffe://example.org/operator]", "operators: &o {a: b}\n    svid_upstreams: *o", "line 14: workspaces[0].svid_upstreams: want a list, not a mapping"},
		"in what is merged":             {"store: {url_file: /run/secrets/store-url}", "log: &l {level: [a]}\nstore: {<<: *l}", "line 10: log.level: want text, not a list"},
		"in a field that is no field":   {"store: {url_file: /run/secrets/store-url}", "log: &l {level: info}\nstore: {<<: [*l]}", `line 10: store: unknown field "level"`},
		"a field that stands twice":     {"environment: production", "environment: production\nenvironment: production", "already defined at line 1"},
		"an alias that holds itself":    {"store: {url_file: /run/secrets/store-url}", "store: &s {<<: *s}", "contains itself"},
		"no mapping at all":             {good, "hunter2", "line 1: want fields and their values, not text"},
		"a number too large":            {"workspaces:", "limits: {waiting: 99999999999999999999}\nworkspaces:", "line 12: limits.waiting: want a whole number, not the number 99999999999999999999"},
		"half a number":                 {"workspaces:", "limits: {waiting: 0.5}\nworkspaces:", "line 12: limits.waiting: want a whole number, not the number 0.5"},
		"a whole number as a fraction":  {"workspaces:", "limits: {delegation: {tree: 1.0}}\nworkspaces:", "line 12: limits.delegation.tree: want a whole number, not the number 1.0"},
		"an address where an IP stands": {"workspaces:", "egress: {resolver: [[a]]}\nworkspaces:", "line 12: egress.resolver[0]: want one value, not a list"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, good, k.from)
			_, err := config.Parse([]byte(strings.Replace(good, k.from, k.to, 1)))
			require.ErrorContains(t, err, k.want)
			for _, never := range []string{"hunter2", "config.", "unmarshal", "!!", "int64"} {
				require.NotContains(t, err.Error(), never)
			}
		})
	}
}

// Every fault of this kind is said at once, in the order in which they stand.
func TestAllWrongTypesAtOnce(t *testing.T) {
	_, err := config.Parse([]byte(good + "drian: 1s\nlimits: {waiting: a, wait: b}\nlog: {level: info}\n"))
	require.EqualError(t, err, `  line 21: unknown field "drian"
  line 22: limits.waiting: want a whole number, not text
  line 22: limits.wait: "b" is no duration: want for instance 90s, 15m or 1h`)
}

// Aliases and merged parts that fit are taken as they always were.
func TestAliasesThatFit(t *testing.T) {
	text := strings.Replace(good, "workspaces:", "limits: {task: &t {concurrent: 7}, workload: *t}\nworkspaces:", 1)
	text = strings.Replace(text, "max_ttl: 1h", "max_ttl: &h 1h", 1) + "drain: *h\n"
	c, err := config.Parse([]byte(text))
	require.NoError(t, err)
	require.Equal(t, 7, c.Limits.Workload.Concurrent)
	require.Equal(t, config.Duration(time.Hour), c.Drain)
}

// Few aliases that make very many values are refused, and soon.
func TestManyValuesOfFewAliases(t *testing.T) {
	merged := "&a0 {level: info}"
	for i := range 40 {
		merged += fmt.Sprintf(", &a%d {<<: [*a%d, *a%d]}", i+1, i, i)
	}
	_, err := config.Parse([]byte(good + "log: {<<: [" + merged + "]}\n"))
	require.ErrorContains(t, err, "excessive aliasing")
}
