package conformance_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/client"
)

// allThings is what a case is granted that says nothing else.
var allThings = []string{
	"things: things.* WRITE thing:*", "down: things.get READ thing:*", "personal: things.get READ thing:*",
}

// testCase is one call, and what becomes of it over every transport.
type testCase struct {
	Name string
	// Grants of the task; allThings where there are none.
	Grants []string
	// Key is "unknown", "none" or "revoked" where it is not the task's own.
	Key string
	// Before is how many calls of the same kind were made before.
	Before int

	Connector string // things where it is empty
	Tool      string
	Arguments string
	// Passthrough is the same call in the upstream's own form; or NoPassthrough says why
	// there is none.
	Passthrough   *request
	NoPassthrough string `yaml:"no_passthrough"`

	Upstream answer
	Expect   expectation
	// Unlike names the transports over which the case cannot be made, and why.
	Unlike map[string]string
}

// request is a call in the upstream's own form.
type request struct{ Method, Path, Body string }

// answer is what the upstream says.
type answer struct {
	Status  int
	Type    string
	Headers map[string]string
	Body    string
	// Size is a length of body, instead of Body.
	Size int
}

// expectation is what every transport must show: either a reason, or an answer.
type expectation struct {
	// Sent is what arrives at the upstream; empty for nothing.
	Sent   string
	Reason client.Reason
	Status int
	Body   string
	// Audit holds the events of the task.
	Audit []string
}

// readCases reads every file of cases/; a field that nobody knows is an error.
func readCases(t *testing.T) (files map[string][]testCase) {
	t.Helper()
	paths, err := filepath.Glob("cases/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	files = map[string][]testCase{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		var cases []testCase
		require.NoError(t, decoder.Decode(&cases), path)
		for i := range cases {
			cases[i].complete(t, path)
		}
		files[filepath.Base(path)] = cases
	}
	return files
}

// complete fills in what a case leaves out and refuses one that says too little.
func (c *testCase) complete(t *testing.T, path string) {
	t.Helper()
	require.NotEmpty(t, c.Name, path)
	require.NotEmpty(t, c.Tool, "%s: %s", path, c.Name)
	require.NotNil(t, c.Expect.Audit, "%s: %s: expect.audit", path, c.Name)
	require.True(t, (c.Passthrough == nil) == (c.NoPassthrough != ""), "%s: %s: passthrough or no_passthrough", path, c.Name)
	require.True(t, (c.Expect.Reason == "") == (c.Expect.Status != 0), "%s: %s: a reason or a status", path, c.Name)
	for name := range c.Unlike {
		known := slices.ContainsFunc(transports(), func(way transport) bool { return way.name == name })
		require.True(t, known, "%s: %s: unlike: no transport %s", path, c.Name, name)
	}
	if c.Connector == "" {
		c.Connector = "things"
	}
	if c.Grants == nil {
		c.Grants = allThings
	}
}
