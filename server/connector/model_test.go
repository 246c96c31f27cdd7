package connector_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/model"
)

const llm = `connector: llm
kind: model
origin: https://api.example
model: {{model}}
tools:
  - name: chat
    severity: WRITE
    method: POST
    path: /v1/chat/completions
    body: all
    arguments: {type: object, required: [model], properties: {model: {type: string}}}
    resources: ["model:{model}"]
`

func parseModel(section string) (*connector.Connector, error) {
	return connector.Parse([]byte(strings.Replace(llm, "{{model}}", section, 1)))
}

func TestModel(t *testing.T) {
	c, err := parseModel(`{dialect: openai, attribution: user, max_output_tokens: 4096, max_input_tokens: 400000,
    prices: {"gpt-5*": {input: "1.25", output: "10", cached_input: "0.125", cache_write: "0"}, gpt-5-nano: {input: "0.000001", output: "0.4"}}}`)
	require.NoError(t, err)
	require.Equal(t, &connector.Model{
		Dialect: connector.OpenAI, Attribution: model.User, MaxOutput: 4096, MaxInput: 400_000,
		Prices: []model.Price{
			{Pattern: "gpt-5*", Input: 1_250_000, Output: 10_000_000, CachedInput: 125_000},
			{Pattern: "gpt-5-nano", Input: 1, Output: 400_000, CachedInput: 1, CacheWrite: 2},
		},
	}, c.Model)
}

// To ask a model is READ and yet costs each time: after a time-out nobody is told that it
// may be repeated, unless the manifest says so.
func TestAskingAModelIsNotIdempotent(t *testing.T) {
	const look = "    method: GET\n    path: /v1/models\n    query: {model: model}\n"
	const ask = "    method: POST\n    path: /v1/chat/completions\n    body: all\n"
	for name, k := range map[string]struct {
		change []string
		want   bool
	}{
		"to ask":         {nil, false},
		"the manifest's": {[]string{"severity: READ", "severity: READ\n    idempotent: true"}, true},
		"to look":        {[]string{ask, look}, true},
		"another kind":   {[]string{"kind: model", "kind: http", "model: {dialect: openai}\n", ""}, true},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.NewReplacer("{{model}}", "{dialect: openai}", "WRITE", "READ").Replace(llm)
			c, err := connector.Parse([]byte(strings.NewReplacer(k.change...).Replace(text)))
			require.NoError(t, err)
			require.Equal(t, k.want, c.Tools[0].Idempotent)
		})
	}
}

func TestModelRefuses(t *testing.T) {
	price := func(fields string) string { return `{dialect: openai, prices: {m: {` + fields + `}}}` }
	for name, k := range map[string]struct{ section, says string }{
		"no dialect":                  {`{}`, "dialect is missing"},
		"unknown dialect":             {`{dialect: bedrock}`, "want openai, anthropic or gemini"},
		"another dialect's field":     {`{dialect: anthropic, attribution: user}`, "metadata.user_id, none"},
		"a field that is none":        {`{dialect: openai, attribution: email}`, "safety_identifier, user, none"},
		"no tokens":                   {`{dialect: openai, max_output_tokens: 0}`, "max_output_tokens"},
		"tokens in words":             {`{dialect: openai, max_output_tokens: 4k}`, "max_output_tokens"},
		"tokens, another spelling":    {`{dialect: openai, max_input_tokens: 0x10}`, "max_input_tokens"},
		"no prices":                   {`{dialect: openai, prices: {}}`, "prices"},
		"a star within":               {`{dialect: openai, prices: {"g*t": {input: "1", output: "1"}}}`, "* only at the end"},
		"a price that is a number":    {price(`input: 1.25, output: "1"`), "input: want a string"},
		"half a price":                {price(`input: "1"`), "output is missing"},
		"a negative price":            {price(`input: "-1", output: "1"`), "want dollars"},
		"a price in words":            {price(`input: "$1", output: "1"`), "want dollars"},
		"too exact a price":           {price(`input: "0.0000001", output: "1"`), "want dollars"},
		"a price with a point alone":  {price(`input: "1.", output: "1"`), "want dollars"},
		"a price without a whole":     {price(`input: ".5", output: "1"`), "want dollars"},
		"a price with a leading zero": {price(`input: "01", output: "1"`), "want dollars"},
		"a price out of this world":   {price(`input: "1000001", output: "1"`), "want dollars"},
		"an unknown field of a price": {price(`input: "1", output: "1", reasoning: "1"`), "no field"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseModel(k.section)
			require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
			require.ErrorContains(t, err, k.says)
		})
	}
}

// A limit that cannot be counted for all that a grant covers is refused.
func TestCanMeter(t *testing.T) {
	priced, err := parseModel(`{dialect: openai, prices: {"gpt-5*": {input: "1", output: "1"}}}`)
	require.NoError(t, err)
	free, err := parseModel(`{dialect: openai}`)
	require.NoError(t, err)
	tokens, money := grant.Limits{Tokens: 1}, grant.Limits{MicroUSD: 1}
	for name, k := range map[string]struct {
		c         *connector.Connector
		limits    grant.Limits
		resources string
		says      string
	}{
		"tokens":                      {free, tokens, "model:*", ""},
		"money":                       {priced, money, "model:gpt-5-mini", ""},
		"money of a pattern":          {priced, money, "model:gpt-5*", ""},
		"money of a wider pattern":    {priced, money, "model:gpt-*", "model:gpt-*"},
		"money of another model":      {priced, money, "model:o3", "model:o3"},
		"money without prices":        {free, money, "model:gpt-5", "has no prices"},
		"tokens where no model is":    {crm(t), tokens, "contact:*", "kind model"},
		"money where no model is":     {crm(t), money, "contact:*", "kind model"},
		"money beside another type":   {priced, money, "file:*", ""},
		"money of all, priced in one": {priced, money, "model:*", "model:*"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := grant.ParsePattern(k.resources)
			require.NoError(t, err)
			err = k.c.CanCount(k.limits, []string{"chat"}, []grant.Pattern{p})
			if k.says == "" {
				require.NoError(t, err)
				return
			}
			require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
			require.ErrorContains(t, err, k.says)
		})
	}
}

func TestParseModel(t *testing.T) {
	const manifest = `
connector: gpt
kind: model
model: {dialect: openai}
origin: https://api.example
tools:
  - {name: get, severity: READ, method: GET, path: /v1/models, resources: ["model:*"]}
`
	c, err := connector.Parse([]byte(manifest))
	require.NoError(t, err)
	require.Equal(t, connector.OpenAI, c.Model.Dialect)
	for name, k := range map[string]struct{ old, new, says string }{
		"no section":         {"model: {dialect: openai}\n", "", "go together"},
		"section of an http": {"kind: model", "kind: http", "go together"},
		"another dialect":    {"openai", "gpt", "want openai, anthropic or gemini"},
		"no dialect":         {"{dialect: openai}", "{}", "dialect is missing"},
		"another kind":       {"kind: model", "kind: sql", "want http or model"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := connector.Parse([]byte(strings.Replace(manifest, k.old, k.new, 1)))
			require.ErrorContains(t, err, k.says)
		})
	}
}
