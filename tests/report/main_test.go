package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReport(t *testing.T) {
	line := func(action, pkg, test string) string {
		return `{"Action":"` + action + `","Package":"m/` + pkg + `","Test":"` + test + `"}`
	}
	all := []string{
		line("pass", "server/store/sqlstore", "TestConformance/sqlite/tasks"), line("pass", "server/store/sqlstore", "TestPostgres"),
		line("pass", "tests/kms", "TestA"), line("pass", "tests/spiffe", "TestB"), line("pass", "tests/spiffe", ""),
		line("pass", "tests/assertions", "TestPyJWT"), line("pass", "tests/assertions", "TestNodeJose"),
		line("pass", "tests/assertions", "TestJavaNimbus"), line("pass", "tests/assertions", "TestEnvoy"),
		line("pass", "tests/assertions", "TestKeysRotateUnderLoad"),
		line("pass", "tests/e2e", "TestConnectInABrowser"), line("pass", "tests/e2e", "TestModelSDKs"),
		line("pass", "tests/aws", "TestMoto"), line("pass", "server/oauth", "TestARealProvider"),
		line("pass", "tests/python", "TestPythonSDKUnit/a"), line("pass", "tests/python", "TestPythonSDKReal/b"),
		line("pass", "tests/proxy", "TestSquid"), line("pass", "tests/proxy", "TestMitmproxy"),
		line("pass", "tests/e2e", "TestSidecarSDKs/Node_openai"), line("pass", "tests/e2e", "TestSidecarToolCalling/openai"),
		line("pass", "tests/e2e", "TestGoSDK/a_refusal"), line("pass", "tests/e2e", "TestMCPGo/a_picture"),
		line("pass", "tests/e2e", "TestMCPPrograms/Python"), line("pass", "tests/e2e", "TestMCPPrograms/TypeScript"),
		line("pass", "tests/e2e", "TestSidecarMCP/Python"), line("pass", "tests/e2e", "TestGeneratedClients/python"),
		line("pass", "tests/e2e", "TestGeneratedClients/js"), line("pass", "tests/e2e", "TestSchemathesis/OPERATOR"),
		line("pass", "cmd/onedoor", "TestCompletionInShells/bash"), line("pass", "cmd/onedoor", "TestCompletionInShells/zsh"),
		line("pass", "cmd/onedoor", "TestCompletionInShells/fish"),
	}
	tests := []struct {
		name   string
		lines  []string
		ci, ok bool
		says   []string
	}{
		{name: "all took part", lines: all, ci: true, ok: true, says: []string{"1 packages and 30 tests passed", "CockroachDB (COCKROACH_URL or COCKROACH_BINARY)    DID NOT RUN"}},
		{name: "a store is missing in CI", lines: all[1:], ci: true, says: []string{"SQLite                                             DID NOT RUN"}},
		{
			name: "one of several is missing in CI", lines: append([]string{line("skip", "cmd/onedoor", "TestCompletionInShells/fish")}, all[:len(all)-1]...),
			ci: true, says: []string{"completion in fish                                 DID NOT RUN"},
		},
		{name: "a store is missing at home", lines: all[1:], ok: true},
		{name: "nothing ran", says: []string{"0 tests passed"}},
		{name: "a test failed", ok: false, says: []string{"FAIL m/a TestX", "want 1, got 2", "1 failed"}, lines: append([]string{
			`{"Action":"output","Package":"m/a","Test":"TestX","Output":"want 1, got 2\n"}`, line("fail", "a", "TestX"),
		}, all...)},
		{name: "a package did not build", lines: append([]string{
			`{"Action":"build-output","ImportPath":"m/a","Output":"undefined: x\n"}`, `{"Action":"build-fail","ImportPath":"m/a"}`,
		}, all...), says: []string{"undefined: x", "1 failed"}},
		{name: "a skip is named", ok: true, lines: append([]string{line("skip", "a", "TestY")}, all...), says: []string{"skipped: m/a TestY"}},
		{name: "a package without tests is no skip", ok: true, lines: append([]string{line("skip", "a", "")}, all...), says: []string{"0 skipped"}},
		{name: "what is no JSON is shown", ok: true, lines: append([]string{"go: go.mod is broken"}, all...), says: []string{"go: go.mod is broken"}},
		{name: "output of what passed is not", ok: true, lines: append([]string{
			`{"Action":"output","Package":"m/a","Test":"TestZ","Output":"chatter\n"}`, line("pass", "a", "TestZ"),
		}, all...)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			ok, err := report(strings.NewReader(strings.Join(tt.lines, "\n")), &out, tt.ci)
			require.NoError(t, err)
			require.Equal(t, tt.ok, ok, out.String())
			for _, s := range tt.says {
				require.Contains(t, out.String(), s)
			}
			require.NotContains(t, out.String(), "chatter")
		})
	}
}
