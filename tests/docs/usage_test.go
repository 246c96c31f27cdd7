package docs_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/model"
)

// The manifest of a model API is one, and the grant beside it is one that it can count.
func TestTheModelExample(t *testing.T) {
	page := read(t, "docs/usage-and-limits.md")
	examples := blocks(page, "yaml")
	require.Len(t, examples, 1)
	c, err := connector.Parse([]byte(examples[0]))
	require.NoError(t, err)
	require.Equal(t, int64(250_000), c.Model.Prices[1].Input)

	text := regexp.MustCompile(`--grant '([^']+)'`).FindStringSubmatch(page)
	require.Len(t, text, 2)
	g, err := grant.Parse(text[1])
	require.NoError(t, err)
	require.NoError(t, c.CanCount(g.Limits, g.Tools, g.Resources))
	require.NotZero(t, g.Limits.Tokens)
	require.NotZero(t, g.Limits.MicroUSD)

	b, err := c.Bind("chat", []byte(`{"model":"gpt-5-mini","messages":[],"stream":true}`))
	require.NoError(t, err)
	read, err := c.Model.Prepare(model.Request{
		Method: b.Method, Path: b.Path, ContentType: b.Header.Get("Content-Type"), Body: b.Body, User: "u",
	})
	require.NoError(t, err)
	require.Equal(t, `{"model":"gpt-5-mini","messages":[],"stream":true,"safety_identifier":"u","stream_options":{"include_usage":true}}`, string(read.Body))
	require.EqualValues(t, 16_384, read.Estimate.Output)
}

// Every attribution of every dialect is named.
func TestEveryAttributionIsExplained(t *testing.T) {
	page := read(t, "docs/usage-and-limits.md")
	for _, d := range []model.Dialect{model.OpenAI, model.Anthropic, model.Gemini} {
		for _, a := range d.Attributions() {
			require.Contains(t, page, "`"+string(a)+"`", "%s", d)
		}
	}
	fields := map[string]bool{}
	for _, cells := range rows(page) {
		for _, m := range regexp.MustCompile("`([a-z_.]+)`").FindAllStringSubmatch(cells[0], -1) {
			fields[strings.TrimPrefix(m[1], "prices.")] = true
		}
	}
	for _, field := range []string{"dialect", "attribution", "max_output_tokens", "max_input_tokens", "prices", "input", "output", "cached_input", "cache_write"} {
		require.Contains(t, slices.Collect(maps.Keys(fields)), field)
	}
}
