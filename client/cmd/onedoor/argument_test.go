package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client/internal/brokertest"
)

func TestUsage(t *testing.T) {
	for _, name := range []string{"ONEDOOR_ADDR", "ONEDOOR_BROKER_ID", "SPIFFE_ENDPOINT_SOCKET", "ONEDOOR_TASK_KEY"} {
		t.Setenv(name, "")
	}
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"nothing":                {nil, "expected one of"},
		"unknown command":        {[]string{"frobnicate"}, "frobnicate"},
		"unknown output":         {[]string{"-o", "xml", "tools"}, "xml"},
		"no owner":               {[]string{"credential", "put", "crm", "--from-file", "-"}, "--user"},
		"two owners":             {[]string{"credential", "put", "crm", "--user", "u", "--workspace", "--from-file", "-"}, "--workspace"},
		"an empty secret":        {[]string{"credential", "put", "crm", "--user", "u", "--from-file", "-"}, "the secret is empty"},
		"a file that is not":     {[]string{"connector", "apply", "-f", "/nowhere/crm.yaml"}, "/nowhere/crm.yaml"},
		"no ttl":                 {[]string{"task", "create", "--agent", "a", "--user", "u", "--sandbox", "s", "--grant", "g"}, "--ttl"},
		"a bad ttl":              {[]string{"task", "create", "--agent", "a", "--user", "u", "--sandbox", "s", "--grant", "g", "--ttl", "soon"}, "--ttl"},
		"which task":             {[]string{"task", "get"}, "ONEDOOR_TASK_KEY"},
		"an argument without =":  {[]string{"invoke", "c", "t", "--arg", "hunter2"}, "--arg number 1"},
		"an argument twice":      {[]string{"invoke", "c", "t", "--arg", "a=1", "--arg", "a:=2"}, "--arg a is given twice"},
		"an argument no JSON":    {[]string{"invoke", "c", "t", "--arg", "a:=hunter2"}, "--arg a:= wants JSON"},
		"arguments in both ways": {[]string{"invoke", "c", "t", "--arg", "a=1", "--json", "{}"}, "--json"},
		"a purpose unknown":      {[]string{"keys", "rotate", "tls"}, "tls"},
		"no limit":               {[]string{"audit", "list", "--limit", "0"}, "--limit"},
		"no environment":         {[]string{"tools"}, "ONEDOOR_ADDR"},
		"no environment, again":  {[]string{"task", "delegate", "--agent", "a", "--sandbox", "s", "--grant", "g"}, "ONEDOOR_ADDR"},
		"no socket":              {[]string{"svid", "--write", "."}, "SPIFFE_ENDPOINT_SOCKET"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := onedoor(t, "", tc.args...)
			require.Equal(t, 2, code)
			require.Empty(t, stdout)
			require.Contains(t, stderr, tc.says)
			require.NotContains(t, stderr, "hunter2", "values stay out of messages")
		})
	}
}

func FuzzParseArguments(f *testing.F) {
	f.Add("a=b")
	f.Add("a:=[1]")
	f.Add("\x00=\xff")
	f.Fuzz(func(t *testing.T, arg string) {
		text, err := parseArguments([]string{arg})
		if err != nil {
			require.ErrorAs(t, err, new(usageError))
			return
		}
		var object map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(text, &object))
		require.Len(t, object, 1, "one argument never becomes several")
	})
}

// What only a sandbox can do is not even tried without the key of its task.
func TestNoCallWithoutATaskKey(t *testing.T) {
	broker := &brokertest.Broker{}
	stage(t, broker)
	t.Setenv("ONEDOOR_TASK_KEY", "")
	for _, args := range [][]string{
		{"tools"}, {"invoke", "crm", "contacts.get"}, {"invoke", "crm", "contacts.get", "--stream"}, {"explain", "crm", "contacts.get"},
		{"task", "get"}, delegate, {"task", "end", "t2"},
	} {
		code, stdout, stderr := onedoor(t, "", args...)
		require.Equal(t, exitUsage, code, args)
		require.Empty(t, stdout)
		require.Regexp(t, "^onedoor: USAGE: [a-z ]+ wants .*ONEDOOR_TASK_KEY", stderr)
	}
	require.Empty(t, broker.Calls())
}
