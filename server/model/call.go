package model

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Request is a bound call of a model API.
type Request struct {
	Method      string
	Path        string // escaped
	ContentType string
	Body        []byte
	// User is the user's opaque id, for attribution.
	User string
}

// Call is a request that was read: what is sent, and what it may use.
type Call struct {
	// Body is what is sent: the request's, but for the members that the broker sets.
	Body []byte
	// Model is the one that is asked for; empty where the request names none.
	Model    string
	Estimate Estimate

	terms    *Terms
	dialect  dialect
	endpoint endpoint
	// quiet: the caller did not ask for the usage that the stream will bring.
	quiet bool
	// more: the request brings in input that its bytes do not bound.
	more bool
}

// Estimate is the most that a call may use, as far as its request tells.
type Estimate struct {
	// Input and Output are tokens; -1: not bounded.
	Input, Output int64
	// MicroUSD is the price of that; -1: no price, or not bounded.
	MicroUSD int64
	// Hint says what would bound the tokens, or lower them; PriceHint why there is no price.
	Hint, PriceHint string
}

// Tokens is the bound of all tokens; -1: there is none.
func (e Estimate) Tokens() int64 {
	if e.Input < 0 || e.Output < 0 {
		return -1
	}
	return e.Input + e.Output
}

// endpoint is what a path of a model API does.
type endpoint string

const (
	other       endpoint = "" // not known: what it uses cannot be bounded
	free        endpoint = "free"
	chat        endpoint = "chat"
	completions endpoint = "completions"
	responses   endpoint = "responses"
	messages    endpoint = "messages"
	generate    endpoint = "generate"
	embeddings  endpoint = "embeddings"
)

// dialect is what differs between model APIs.
type dialect interface {
	// endpoint says what a decoded path does, and which model it names, if any.
	endpoint(path string) (endpoint, string)
	// names are the members that are read or set; other spellings of them are refused.
	names() []string
	// output is the bound that the request sets on its answer: 0: none. times is how
	// many such answers there may be.
	output(e endpoint, o *object) (bound, times int64, err error)
	// argument is the name of the member that sets that bound.
	argument(e endpoint) string
	// beyond names what brings in tokens that the request's bytes do not bound.
	beyond(e endpoint, o *object) string
	// prepare sets what the broker sets. It reports whether the caller did not ask for
	// the usage that a stream will bring.
	prepare(e endpoint, o *object, a Attribution, user string) (quiet bool, err error)
	// places are the members of an answer, or of a stream's events, to look at.
	places(e endpoint, stream bool) []place
	// note takes what was found in one answer or event.
	note(e endpoint, found func(place) []byte, r *reading)
}

func (d Dialect) shape() dialect {
	switch d {
	case OpenAI:
		return openai{}
	case Anthropic:
		return anthropic{}
	case Gemini:
		return gemini{}
	}
	return nil
}

// Allowances on top of a request's bytes, in tokens: what providers put around every
// prompt, around tools, and in the place of each tool of their own that is given by its
// name alone (Anthropic's text_editor_20250728 is 700, computer_20250124 735).
const (
	frame     = 64
	toolFrame = 1024
)

// Prepare reads a request. What is no call that a model answers goes through as it is.
// The errors are ARGUMENT_INVALID and name the field.
func (t *Terms) Prepare(r Request) (*Call, error) {
	c := &Call{Body: r.Body, terms: t, dialect: t.Dialect.shape(), endpoint: free}
	path, err := url.PathUnescape(r.Path)
	if c.dialect == nil || err != nil {
		c.endpoint = other
		c.Estimate = unbounded("the request cannot be read")
		return c, nil //nolint:nilerr // it is refused where it would have to be bounded
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodDelete {
		return c, nil
	}
	if c.endpoint, c.Model = c.dialect.endpoint(strings.TrimRight(path, "/")); c.endpoint == free {
		return c, nil
	}
	if c.endpoint == other || len(r.Body) == 0 || !isJSON(r.ContentType) {
		c.endpoint = other
		c.Estimate = unbounded("what this request uses is not known before it is answered")
		return c, nil
	}
	o, err := readObject(r.Body, "arguments")
	if err != nil {
		return nil, err
	}
	if err := o.exact(c.dialect.names()...); err != nil {
		return nil, err
	}
	if c.Model == "" {
		c.Model = o.string("model")
	}
	if err := c.estimate(o); err != nil {
		return nil, err
	}
	if c.quiet, err = c.dialect.prepare(c.endpoint, o, t.attribution(), quoted(r.User)); err != nil {
		return nil, err
	}
	c.Body = o.edited()
	return c, nil
}

func unbounded(hint string) Estimate {
	return Estimate{Input: -1, Output: -1, MicroUSD: -1, Hint: hint, PriceHint: hint}
}

func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}

func quoted(s string) string {
	text, _ := json.Marshal(s) // a string always encodes
	return string(text)
}

// estimate bounds what the call may use. A token is a byte of text at least, so that
// the bytes of the request bound its tokens.
func (c *Call) estimate(o *object) error {
	bound, times, err := c.dialect.output(c.endpoint, o)
	if err != nil {
		return err
	}
	e := &c.Estimate
	e.Hint = "lower " + c.dialect.argument(c.endpoint) + " or send less"
	if e.Input = int64(len(o.text)) + frame; o.raw("tools") != nil {
		e.Input += toolFrame * (1 + typed(o.raw("tools")))
	}
	if what := c.dialect.beyond(c.endpoint, o); what != "" {
		c.more = true
		if e.Input = max(e.Input, c.terms.MaxInput); c.terms.MaxInput == 0 {
			e.Input, e.Hint = -1, "its "+what+" brings in tokens that its bytes do not bound: leave it out, or have the manifest set model.max_input_tokens"
		}
	}
	if bound == 0 {
		bound = c.terms.MaxOutput
	}
	switch {
	case c.endpoint == embeddings:
		e.Output = 0
	case bound <= 0 || times <= 0 || bound > MostTokens/times:
		e.Output, e.Hint = -1, "set "+c.dialect.argument(c.endpoint)
	default:
		e.Output = bound * times
	}
	e.MicroUSD, e.PriceHint = -1, e.Hint
	price, ok := c.terms.Price(c.Model)
	switch {
	case !ok:
		e.PriceHint = "the connector has no price for this model"
	case dearer(o) != "":
		e.PriceHint = "leave out " + dearer(o) + ": it may cost more than the connector's prices say"
	case e.Tokens() >= 0:
		e.MicroUSD = price.most(Usage{Input: e.Input, Output: e.Output})
	}
	return nil
}

// dearer names a member with which the provider may charge more than its list price:
// whatever is not known to cost that, or less.
func dearer(o *object) string {
	for _, m := range [...]struct {
		name  string
		plain []string
	}{
		{"service_tier", []string{"auto", "default", "standard", "standard_only", "flex"}},
		{"serviceTier", []string{"standard", "flex"}},
		{"speed", []string{"standard"}},
		{"inference_geo", []string{"global"}},
	} {
		if o.raw(m.name) != nil && !slices.Contains(m.plain, o.string(m.name)) {
			return m.name
		}
	}
	return ""
}
