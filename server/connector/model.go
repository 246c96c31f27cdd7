package connector

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/model"
)

// KindModel is the kind of model APIs: called over HTTPS like KindHTTP, and also by the
// paths of the provider's own SDK. The user is attributed, and usage is metered.
const KindModel = "model"

// Dialect is the shape of a model API; see package model.
type Dialect = model.Dialect

// The dialects. OpenAI is also that of every compatible API.
const (
	OpenAI    = model.OpenAI
	Anthropic = model.Anthropic
	Gemini    = model.Gemini
)

// Model is what is known of a connector of KindModel beyond its tools.
type Model = model.Terms

// modelType is the type of resources that are models.
const modelType = "model:"

const (
	maxPrices = 1000
	// maxPrice is in US dollars for a million tokens.
	maxPrice    = 1_000_000
	pricePlaces = 6
	microUSD    = 1_000_000
)

// model reads {dialect, attribution, max_output_tokens, max_input_tokens, prices}.
func (r *reader) model(n *yaml.Node) *Model {
	m := &Model{}
	var attribution *yaml.Node
	r.fields(n, "model",
		// The shape of the API: `openai` (and every API that is compatible with it), `anthropic` or
		// `gemini`.
		field{"dialect", true, func(n *yaml.Node) {
			if m.Dialect = Dialect(r.text(n, "dialect", maxName)); m.Dialect != "" && m.Dialect.Attributions() == nil {
				r.fail(n, "dialect %s: want openai, anthropic or gemini", quote(string(m.Dialect)))
			}
		}},
		// The field that gets the user's opaque id, or `none`. openai: `safety_identifier`, `user`.
		// anthropic: `metadata.user_id`. gemini: `none`, `labels`. Default: the dialect's first.
		field{"attribution", false, func(n *yaml.Node) {
			attribution, m.Attribution = n, model.Attribution(r.text(n, "attribution", maxName))
		}},
		// How many tokens an answer has at most where the request sets no bound.
		field{"max_output_tokens", false, func(n *yaml.Node) { m.MaxOutput = r.tokens(n, "max_output_tokens") }},
		// How many tokens a request has at most where its bytes do not bound them; the model's context
		// window is right.
		field{"max_input_tokens", false, func(n *yaml.Node) { m.MaxInput = r.tokens(n, "max_input_tokens") }},
		// What models cost, by name or by a beginning and `*`. A name goes before a pattern, a longer
		// pattern before a shorter one.
		field{"prices", false, func(n *yaml.Node) { m.Prices = r.prices(n) }},
	)
	if known := m.Dialect.Attributions(); known != nil && m.Attribution != "" && !slices.Contains(known, m.Attribution) {
		r.fail(attribution, "attribution %s: the dialect %s has %s", quote(string(m.Attribution)), m.Dialect, listed(known))
	}
	return m
}

func listed(known []model.Attribution) string {
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

func (r *reader) tokens(n *yaml.Node, what string) int64 {
	count, err := strconv.ParseInt(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil || strconv.FormatInt(count, 10) != n.Value || count < 1 || count > model.MostTokens {
		r.fail(n, "%s: want a number of tokens, 1 to %d", what, model.MostTokens)
		return 0
	}
	return count
}

func (r *reader) prices(n *yaml.Node) []model.Price {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 || len(n.Content) > 2*maxPrices {
		r.fail(n, "prices: want a mapping of 1 to %d models", maxPrices)
		return nil
	}
	var prices []model.Price
	for key, value := range pairs(n) {
		p := r.price(value)
		if p.Pattern = r.text(key, "prices", maxValue); strings.Contains(strings.TrimSuffix(p.Pattern, "*"), "*") {
			r.fail(key, "prices %s: * only at the end", quote(p.Pattern))
		}
		prices = append(prices, p)
	}
	return prices
}

// price reads {input, output, cached_input, cache_write}. Where the last two are left
// out they are dear rather than cheap: cached input costs what input does, and writing
// to a cache twice that, the most that a provider documents.
func (r *reader) price(n *yaml.Node) model.Price {
	p := model.Price{CachedInput: -1, CacheWrite: -1}
	r.fields(n, "price",
		// US dollars for a million tokens, as an exact decimal in quotes, with at most six places.
		field{"input", true, func(n *yaml.Node) { p.Input = r.dollars(n, "input") }},
		// The same, for what the model says.
		field{"output", true, func(n *yaml.Node) { p.Output = r.dollars(n, "output") }},
		// For input that came from the provider's cache. Default: as `input`.
		field{"cached_input", false, func(n *yaml.Node) { p.CachedInput = r.dollars(n, "cached_input") }},
		// For input that went into it, which some providers charge. Default: twice `input`.
		field{"cache_write", false, func(n *yaml.Node) { p.CacheWrite = r.dollars(n, "cache_write") }},
	)
	if p.CachedInput < 0 {
		p.CachedInput = p.Input
	}
	if p.CacheWrite < 0 {
		p.CacheWrite = 2 * p.Input
	}
	return p
}

// dollars reads an exact decimal into millionths: no float is involved.
func (r *reader) dollars(n *yaml.Node, what string) int64 {
	text := r.text(n, what, maxName)
	whole, places, point := strings.Cut(text, ".")
	digits := whole + places + strings.Repeat("0", max(pricePlaces-len(places), 0))
	value, err := strconv.ParseUint(digits, 10, 63)
	if text == "" {
		return 0
	}
	if err != nil || whole == "" || point && places == "" || len(places) > pricePlaces || len(whole) > 1 && whole[0] == '0' || value > maxPrice*microUSD {
		r.fail(n, "%s %s: want dollars for a million tokens in quotes, for instance \"1.25\", with at most %d places", what, quote(text), pricePlaces)
		return 0
	}
	return int64(value)
}

// canMeter reports whether tokens and money can be counted for all that a grant covers.
func (c *Connector) canMeter(l grant.Limits, resources []grant.Pattern) error {
	for _, limit := range []struct {
		field string
		set   bool
	}{{"limits.tokens", l.Tokens != 0}, {"limits.usd", l.MicroUSD != 0}} {
		if limit.set && c.Model == nil {
			return fault.Invalid(limit.field, "cannot be counted by the connector "+c.Name+": it is not of kind model")
		}
	}
	if l.MicroUSD == 0 {
		return nil
	}
	if len(c.Model.Prices) == 0 {
		return fault.Invalid("limits.usd", "cannot be counted: the connector "+c.Name+" has no prices: an operator gives them in its manifest, model.prices")
	}
	for _, p := range resources {
		if name, ok := strings.CutPrefix(p.String(), modelType); ok && !c.Model.PricesAll(name) {
			return fault.Invalid("limits.usd", "cannot be counted: the connector "+c.Name+" has no price for all of "+quote(p.String())+": grant models with a price, or an operator gives one in model.prices")
		}
	}
	return nil
}
