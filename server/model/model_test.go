package model_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/model"
)

const user = "0198c5a2-7a3e-7c10-9d5e-2f6a1b3c4d5e"

func terms(d model.Dialect) *model.Terms {
	return &model.Terms{Dialect: d, Prices: []model.Price{
		{Pattern: "m-*", Input: 1_250_000, Output: 10_000_000, CachedInput: 125_000, CacheWrite: 2_500_000},
	}}
}

func prepare(t *testing.T, terms *model.Terms, path, body string) *model.Call {
	t.Helper()
	c, err := terms.Prepare(request(path, body))
	require.NoError(t, err)
	return c
}

func request(path, body string) model.Request {
	return model.Request{Method: "POST", Path: path, ContentType: "application/json", Body: []byte(body), User: user}
}

// Only what the broker sets changes; every other byte stays.
func TestTheUserIsAttributed(t *testing.T) {
	with := func(a model.Attribution) func(*model.Terms) { return func(t *model.Terms) { t.Attribution = a } }
	as := func(*model.Terms) {}
	for name, k := range map[string]struct {
		dialect    model.Dialect
		change     func(*model.Terms)
		path       string
		body, sent string
	}{
		"chat": {model.OpenAI, as, "/v1/chat/completions", "{ \"model\" : \"m-1\" ,\n\"messages\":[] }", "{ \"model\" : \"m-1\" ,\n\"messages\":[] ,\"safety_identifier\":\"" + user + `"}`},
		"chat, the caller's own": {
			model.OpenAI, as, "/v1/chat/completions", `{"safety_identifier":"mallory","user":"x","n":1e0}`, "number",
		},
		"chat, the caller's own overwritten": {
			model.OpenAI, as, "/v1/chat/completions", `{"safety_identifier": "mallory","user":"x"}`, `{"safety_identifier": "` + user + `","user":"` + user + `"}`,
		},
		"chat, the other field alone": {model.OpenAI, as, "/v1/chat/completions", `{"\u0075ser":"bob"}`, `{"\u0075ser":"` + user + `","safety_identifier":"` + user + `"}`},
		"chat, user, the other field": {model.OpenAI, with(model.User), "/v1/chat/completions", `{"safety_identifier":"bob"}`, `{"safety_identifier":"` + user + `","user":"` + user + `"}`},
		"chat, the name escaped": {
			model.OpenAI, as, "/v1/chat/completions", `{"safety\u005fidentifier":{"a":[1,"}"]},"x":1}`, `{"safety\u005fidentifier":"` + user + `","x":1}`,
		},
		"chat, user":             {model.OpenAI, with(model.User), "/v1/chat/completions", `{"user":null}`, `{"user":"` + user + `"}`},
		"chat, none":             {model.OpenAI, with(model.NoAttribution), "/v1/chat/completions", `{"user":"x"}`, `{"user":"x"}`},
		"responses":              {model.OpenAI, as, "/v1/responses", `{}`, `{"safety_identifier":"` + user + `"}`},
		"responses, streamed":    {model.OpenAI, as, "/v1/responses", `{"stream":true}`, `{"stream":true,"safety_identifier":"` + user + `"}`},
		"embeddings":             {model.OpenAI, as, "/v1/embeddings", `{"input":"a"}`, `{"input":"a","user":"` + user + `"}`},
		"completions":            {model.OpenAI, as, "/v1/completions", `{"prompt":"a"}`, `{"prompt":"a","user":"` + user + `"}`},
		"another endpoint":       {model.OpenAI, as, "/v1/images/generations", `{"user":"x"}`, `{"user":"x"}`},
		"a free endpoint":        {model.OpenAI, as, "/v1/moderations", `not JSON`, `not JSON`},
		"stream":                 {model.OpenAI, with(model.NoAttribution), "/v1/chat/completions", `{"stream":true}`, `{"stream":true,"stream_options":{"include_usage":true}}`},
		"stream, its options":    {model.OpenAI, with(model.NoAttribution), "/v1/chat/completions", `{"stream":true,"stream_options":{"include_usage":false,"x":1}}`, `{"stream":true,"stream_options":{"include_usage":true,"x":1}}`},
		"stream, empty options":  {model.OpenAI, with(model.NoAttribution), "/v1/chat/completions", `{"stream_options":{},"stream":true}`, `{"stream_options":{"include_usage":true},"stream":true}`},
		"stream, null options":   {model.OpenAI, with(model.NoAttribution), "/v1/chat/completions", `{"stream_options":null,"stream":true}`, `{"stream_options":{"include_usage":true},"stream":true}`},
		"stream, asked for":      {model.OpenAI, with(model.NoAttribution), "/v1/chat/completions", `{"stream":true,"stream_options":{"include_usage":true}}`, `{"stream":true,"stream_options":{"include_usage":true}}`},
		"no stream":              {model.OpenAI, with(model.NoAttribution), "/v1/chat/completions", `{"stream":false}`, `{"stream":false}`},
		"anthropic":              {model.Anthropic, as, "/v1/messages", `{"max_tokens":5}`, `{"max_tokens":5,"metadata":{"user_id":"` + user + `"}}`},
		"anthropic, its own":     {model.Anthropic, as, "/v1/messages", `{"metadata":{"a":1, "user_id":"x"},"b":2}`, `{"metadata":{"a":1, "user_id":"` + user + `"},"b":2}`},
		"anthropic, null":        {model.Anthropic, as, "/v1/messages", `{"metadata":null}`, `{"metadata":{"user_id":"` + user + `"}}`},
		"anthropic, counted":     {model.Anthropic, as, "/v1/messages/count_tokens", `{}`, `{}`},
		"gemini":                 {model.Gemini, as, "/v1beta/models/m-1:generateContent", `{"contents":[]}`, `{"contents":[]}`},
		"gemini, labels":         {model.Gemini, with(model.Labels), "/v1/projects/p/locations/l/publishers/google/models/m-1:streamGenerateContent", `{"labels":{"a":"b"}}`, `{"labels":{"a":"b","onedoor-user":"` + user + `"}}`},
		"not an object":          {model.OpenAI, as, "/v1/chat/completions", `[1]`, "object"},
		"a name twice":           {model.OpenAI, as, "/v1/chat/completions", `{"user":1,"\u0075ser":2}`, "twice"},
		"another case":           {model.OpenAI, as, "/v1/chat/completions", `{"Max_Tokens":5}`, "max_tokens"},
		"another case, options":  {model.OpenAI, as, "/v1/chat/completions", `{"stream":true,"stream_options":{"Include_Usage":false}}`, "include_usage"},
		"options that are none":  {model.OpenAI, as, "/v1/chat/completions", `{"stream":true,"stream_options":[]}`, "object"},
		"a bound in quotes":      {model.OpenAI, as, "/v1/chat/completions", `{"max_tokens":"5"}`, "whole number"},
		"gemini, two spellings":  {model.Gemini, as, "/v1beta/models/m:generateContent", `{"generationConfig":{},"generation_config":{}}`, "spellings"},
		"gemini, two of a bound": {model.Gemini, as, "/v1beta/models/m:generateContent", `{"generationConfig":{"maxOutputTokens":1,"max_output_tokens":9}}`, "spellings"},
	} {
		t.Run(name, func(t *testing.T) {
			terms := &model.Terms{Dialect: k.dialect}
			k.change(terms)
			c, err := terms.Prepare(request(k.path, k.body))
			if !strings.HasPrefix(k.sent, "{") && k.sent != k.body {
				require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
				require.ErrorContains(t, err, k.sent)
				return
			}
			require.NoError(t, err)
			require.Equal(t, k.sent, string(c.Body))
		})
	}
}

// A body as long as there can be, of as many names: each is looked up, not looked for, or
// one call would keep a processor busy for half an hour.
func TestManyNames(t *testing.T) {
	var names strings.Builder
	for i := range 900_000 {
		fmt.Fprintf(&names, `"%x":1,`, i)
	}
	terms := &model.Terms{Dialect: model.Anthropic}
	_, err := terms.Prepare(request("/v1/messages", `{"metadata":{`+names.String()+`"z":1}}`))
	require.NoError(t, err)
	_, err = terms.Prepare(request("/v1/messages", `{"metadata":{"z":1,`+names.String()+`"z":1}}`))
	require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
}

func TestEstimates(t *testing.T) {
	const big = "/v1beta/models/m-1%3AgenerateContent"
	for name, k := range map[string]struct {
		dialect  model.Dialect
		path     string
		body     string
		in, out  int64 // in: beyond the body's bytes, -1: not bounded
		priced   bool
		hint     string
		maxInput int64
	}{
		"chat":                         {model.OpenAI, "/v1/chat/completions", `{"model":"m-1","max_tokens":100}`, 64, 100, true, "lower", 0},
		"chat, the larger of two":      {model.OpenAI, "/v1/chat/completions", `{"model":"m-1","max_tokens":5,"max_completion_tokens":50}`, 64, 50, true, "lower", 0},
		"chat, several answers":        {model.OpenAI, "/v1/chat/completions", `{"model":"m-1","max_tokens":100,"n":3}`, 64, 300, true, "lower", 0},
		"chat, no bound":               {model.OpenAI, "/v1/chat/completions", `{"model":"m-1"}`, 64, -1, false, "set max_completion_tokens", 0},
		"chat, without end":            {model.OpenAI, "/v1/chat/completions", `{"model":"m-1","max_tokens":-1,"max_completion_tokens":5}`, 64, -1, false, "set", 0},
		"chat, overflow":               {model.OpenAI, "/v1/chat/completions", `{"model":"m-1","max_tokens":1000000000,"n":1000000000}`, 64, -1, false, "set", 0},
		"chat, tools":                  {model.OpenAI, "/v1/chat/completions", `{"model":"m-1","max_tokens":1,"tools":[{"type":"function"}]}`, 64 + 1024, 1, true, "", 0},
		"chat, no price":               {model.OpenAI, "/v1/chat/completions", `{"model":"other","max_tokens":1}`, 64, 1, false, "", 0},
		"chat, a dearer tier":          {model.OpenAI, "/v1/chat/completions", `{"model":"m-1","max_tokens":1,"service_tier":"priority"}`, 64, 1, false, "", 0},
		"chat, a tier unheard of":      {model.OpenAI, "/v1/chat/completions", `{"model":"m-1","max_tokens":1,"service_tier":"Priority"}`, 64, 1, false, "", 0},
		"chat, a tier like no other":   {model.OpenAI, "/v1/chat/completions", `{"model":"m-1","max_tokens":1,"service_tier":["priority"]}`, 64, 1, false, "", 0},
		"chat, a cheaper tier":         {model.OpenAI, "/v1/chat/completions", `{"model":"m-1","max_tokens":1,"service_tier":"flex"}`, 64, 1, true, "", 0},
		"chat, no tier":                {model.OpenAI, "/v1/chat/completions", `{"model":"m-1","max_tokens":1,"service_tier":null}`, 64, 1, true, "", 0},
		"chat, an image":               {model.OpenAI, "/v1/chat/completions", `{"model":"m-1","max_tokens":1,"messages":[{"content":[{"type":"image_url","image_url":{"url":"https://x"}}]}]}`, -1, 1, false, "image_url", 0},
		"chat, an image, bounded":      {model.OpenAI, "/v1/chat/completions", `{"model":"m-1","max_tokens":1,"messages":[{"content":[{"image_url":{}}]}]}`, 5000, 1, true, "", 5000},
		"chat, an image, shouted":      {model.OpenAI, "/v1/chat/completions", `{"model":"m-1","max_tokens":1,"messages":[{"content":[{"type":"image_url","Image_URL":{"url":"https://x"}}]}]}`, -1, 1, false, "Image_URL", 0},
		"chat, of a picture":           {model.OpenAI, "/v1/chat/completions", `{"model":"m-1","max_tokens":1,"messages":[{"content":"what is image_url?"}]}`, 64, 1, true, "", 0},
		"chat, a search":               {model.OpenAI, "/v1/chat/completions", `{"model":"m-1","max_tokens":1,"web_search_options":{}}`, -1, 1, false, "web_search_options", 0},
		"completions":                  {model.OpenAI, "/v1/completions", `{"model":"m-1","max_tokens":10,"n":2,"best_of":4,"prompt":["a","b",[1,2]]}`, 64, 120, true, "", 0},
		"completions, without end":     {model.OpenAI, "/v1/completions", `{"model":"m-1","max_tokens":10,"n":-1}`, 64, -1, false, "set", 0},
		"completions, in tokens":       {model.OpenAI, "/v1/completions", `{"model":"m-1","max_tokens":10,"prompt":[1,2,3]}`, 64, 10, true, "", 0},
		"responses":                    {model.OpenAI, "/v1/responses", `{"model":"m-1","max_output_tokens":10,"input":"a"}`, 64, 10, true, "", 0},
		"responses, a turn before":     {model.OpenAI, "/v1/responses", `{"model":"m-1","max_output_tokens":10,"previous_response_id":"r"}`, -1, 10, false, "previous_response_id", 0},
		"responses, hosted tools":      {model.OpenAI, "/v1/responses", `{"model":"m-1","max_output_tokens":10,"tools":[{"type":"web_search","Type":"function"}]}`, -1, 10, false, "tools", 0},
		"embeddings":                   {model.OpenAI, "/v1/embeddings", `{"model":"m-1","input":"a"}`, 64, 0, true, "", 0},
		"images":                       {model.OpenAI, "/v1/images/generations", `{"model":"m-1"}`, -1, -1, false, "not known", 0},
		"deployment":                   {model.OpenAI, "/openai/deployments/m-1/chat/completions", `{"max_tokens":1}`, 64, 1, true, "", 0},
		"anthropic":                    {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10}`, 64, 10, true, "", 0},
		"anthropic, a tool's input":    {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"messages":[{"content":[{"type":"tool_use","name":"f","input":{"source":{"type":"x"}}}]}]}`, 64, 10, true, "", 0},
		"anthropic, faster":            {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"speed":"fast"}`, 64, 10, false, "", 0},
		"anthropic, in one country":    {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"inference_geo":"us"}`, 64, 10, false, "", 0},
		"anthropic, at list price":     {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"inference_geo":"global","speed":"standard","service_tier":"standard_only"}`, 64, 10, true, "", 0},
		"anthropic, an image":          {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"messages":[{"content":[{"type":"image","source":{"type":"base64"}}]}]}`, -1, 10, false, "source", 0},
		"anthropic, its own tools":     {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"tools":[{"name":"f"},{"type":"bash_20250124"},{"type":"computer_20250124"}]}`, 64 + 3*1024, 10, true, "", 0},
		"anthropic, hosted tools":      {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"tools":[{"type":"web_search_20250305"}]}`, -1, 10, false, "tools", 0},
		"anthropic, an image, long s":  {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"messages":[{"content":[{"type":"image","ſource":{"type":"base64"}}]}]}`, -1, 10, false, "ſource", 0},
		"anthropic, long s, escaped":   {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"messages":[{"content":[{"type":"image","\u017fource":{"type":"base64"}}]}]}`, -1, 10, false, "ſource", 0},
		"anthropic, long S, escaped":   {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"messages":[{"content":[{"type":"image","\u017Fource":{"type":"base64"}}]}]}`, -1, 10, false, "ſource", 0},
		"anthropic, two types":         {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"messages":[{"content":[{"type":"document","source":{"type":"text","Type":"base64"}}]}]}`, -1, 10, false, "source", 0},
		"anthropic, a text document":   {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"messages":[{"content":[{"type":"document","source":{"type":"text","data":"a"}}]}]}`, 64, 10, true, "", 0},
		"anthropic, an input, shouted": {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"messages":[{"content":[{"type":"tool_use","name":"f","Input":{"source":{"type":"x"}}}]}]}`, -1, 10, false, "source", 0},
		"anthropic, an answer, long s": {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"messages":[{"content":[{"type":"tool_use","name":"f","reſponse":{"source":{"type":"x"}}}]}]}`, -1, 10, false, "source", 0},
		"anthropic, hosted, shouted":   {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"tools":[{"Type":"web_search_20250305","name":"a"}]}`, -1, 10, false, "tools", 0},
		"anthropic, hosted, in two":    {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"tools":[{"type":"custom","TYPE":"web_search_20250305"}]}`, -1, 10, false, "tools", 0},
		"anthropic, own, shouted":      {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"tools":[{"type":"custom","Type":"bash_20250124"}]}`, 64 + 2*1024, 10, true, "", 0},
		"anthropic, a type of no text": {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"tools":[{"type":"custom","Type":5}]}`, 64 + 2*1024, 10, true, "", 0},
		"anthropic, words with long s": {model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":10,"messages":[{"content":[{"type":"text","text":"ſource"}]}]}`, 64, 10, true, "", 0},
		"gemini":                       {model.Gemini, big, `{"generationConfig":{"maxOutputTokens":10,"candidateCount":2}}`, 64, 20, true, "", 0},
		"gemini, snake":                {model.Gemini, big, `{"generation_config":{"max_output_tokens":10}}`, 64, 10, true, "", 0},
		"gemini, no bound":             {model.Gemini, big, `{}`, 64, -1, false, "generationConfig.maxOutputTokens", 0},
		"gemini, a dearer tier":        {model.Gemini, big, `{"serviceTier":"SERVICE_TIER_PRIORITY","generationConfig":{"maxOutputTokens":10}}`, 64, 10, false, "", 0},
		"gemini, a cheaper tier":       {model.Gemini, big, `{"service_tier":"flex","generationConfig":{"maxOutputTokens":10}}`, 64, 10, true, "", 0},
		"gemini, a file":               {model.Gemini, big, `{"contents":[{"parts":[{"fileData":{}}]}],"generationConfig":{"maxOutputTokens":10}}`, -1, 10, false, "fileData", 0},
		"gemini, the system's image":   {model.Gemini, big, `{"system_instruction":{"parts":[{"inline_data":{}}]},"generationConfig":{"maxOutputTokens":10}}`, -1, 10, false, "inline_data", 0},
		"gemini, hosted tools":         {model.Gemini, big, `{"tools":[{"googleSearch":{}}],"generationConfig":{"maxOutputTokens":10}}`, -1, 10, false, "tools", 0},
		"gemini, functions":            {model.Gemini, big, `{"tools":[{"functionDeclarations":[]}],"generationConfig":{"maxOutputTokens":10}}`, 64 + 1024, 10, true, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			terms := terms(k.dialect)
			terms.MaxInput = k.maxInput
			e := prepare(t, terms, k.path, k.body).Estimate
			switch {
			case k.in < 0:
				require.EqualValues(t, -1, e.Input)
			case k.maxInput > 0:
				require.Equal(t, k.maxInput, e.Input)
			default:
				require.Equal(t, int64(len(k.body))+k.in, e.Input)
			}
			require.Equal(t, k.out, e.Output)
			require.Equal(t, k.priced, e.MicroUSD >= 0, "%+v", e)
			require.Contains(t, e.Hint, k.hint)
			require.Equal(t, k.in < 0 || k.out < 0, e.Tokens() < 0)
			require.NotEmpty(t, e.PriceHint)
			if k.priced { // all input as if it went into the cache, which is dearest
				require.Equal(t, (e.Input*25+e.Output*100+9)/10, e.MicroUSD)
			}
		})
	}
	terms := terms(model.OpenAI)
	terms.MaxOutput = 77
	require.EqualValues(t, 77, prepare(t, terms, "/v1/chat/completions", `{"model":"m-1"}`).Estimate.Output)
	get, err := terms.Prepare(model.Request{Method: "GET", Path: "/v1/models"})
	require.NoError(t, err)
	require.Zero(t, get.Estimate, "a look costs nothing")
	form, err := terms.Prepare(model.Request{Method: "POST", Path: "/v1/chat/completions", ContentType: "multipart/form-data", Body: []byte("x")})
	require.NoError(t, err)
	require.EqualValues(t, -1, form.Estimate.Tokens())
	require.Equal(t, "x", string(form.Body))
	kind, err := terms.Prepare(model.Request{Method: "POST", Path: "/v1/chat/completions", ContentType: "application/vnd.api+json", Body: []byte(`{"max_tokens":1}`), User: user})
	require.NoError(t, err)
	require.EqualValues(t, 1, kind.Estimate.Output, "JSON by another name, which a manifest may give")
	require.Contains(t, string(kind.Body), user)
}

func TestPrices(t *testing.T) {
	terms := &model.Terms{Prices: []model.Price{{Pattern: "*", Input: 1}, {Pattern: "gpt-5*", Input: 2}, {Pattern: "gpt-5-mini", Input: 3}, {Pattern: "gpt-*", Input: 4}}}
	for name, want := range map[string]int64{"x": 1, "gpt-5": 2, "gpt-5-mini": 3, "gpt-5-mini-2": 2, "gpt-4": 4} {
		p, ok := terms.Price(name)
		require.True(t, ok)
		require.Equal(t, want, p.Input, name)
	}
	_, ok := terms.Price("")
	require.False(t, ok)
	narrow := &model.Terms{Prices: terms.Prices[1:3]}
	for pattern, want := range map[string]bool{"gpt-5*": true, "gpt-5-x*": true, "gpt-*": false, "gpt-5-mini": true, "gpt-4": false, "*": false} {
		require.Equal(t, want, narrow.PricesAll(pattern), pattern)
	}
	p := model.Price{Input: 1_250_000, Output: 10_000_000, CachedInput: 125_000, CacheWrite: 2_000_000}
	require.EqualValues(t, 2, p.Cost(model.Usage{Input: 1}), "rounded up")
	require.EqualValues(t, 0, model.Price{}.Cost(model.Usage{Input: 1}))
	require.EqualValues(t, 160, p.Cost(model.Usage{Input: 100, CachedInput: 20, CacheWrite: 10, Output: 5}), "87.5 + 2.5 + 20 + 50")
	require.EqualValues(t, 10_000_000_000_000_000, model.Price{Output: 10_000_000_000_000}.Cost(model.Usage{Output: 1_000_000_000}))
}

// read runs an answer through a meter, in the pieces that r gives.
func read(t *testing.T, c *model.Call, contentType string, r io.Reader) (string, model.Bill) {
	t.Helper()
	m := c.Meter(contentType, io.NopCloser(r))
	out, err := io.ReadAll(m)
	if !errors.Is(err, errCut) {
		require.NoError(t, err)
	}
	b, billed := c.Bill(200, m)
	require.True(t, billed)
	return string(out), b
}

var errCut = errors.New("cut")

func cutAt(text string, n int) io.Reader {
	return io.MultiReader(strings.NewReader(text[:n]), iotest.ErrReader(errCut))
}
