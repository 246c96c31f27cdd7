package model

import "strings"

// Dialect is the shape of a model API: where its requests name the user, and where its
// answers say what was used.
type Dialect string

// The dialects. OpenAI is also that of every compatible API.
const (
	OpenAI    Dialect = "openai"
	Anthropic Dialect = "anthropic"
	Gemini    Dialect = "gemini"
)

// Attribution names the field that carries the user's opaque id; empty is the dialect's
// default.
type Attribution string

// The attributions. SafetyIdentifier and User are OpenAI's, UserID is Anthropic's, Labels
// are those of Gemini on Vertex AI.
const (
	NoAttribution    Attribution = "none"
	SafetyIdentifier Attribution = "safety_identifier"
	User             Attribution = "user"
	UserID           Attribution = "metadata.user_id"
	Labels           Attribution = "labels"
)

// Attributions are the fields that a dialect has; the first is its default. It is nil
// for what is no dialect.
func (d Dialect) Attributions() []Attribution {
	switch d {
	case OpenAI:
		return []Attribution{SafetyIdentifier, User, NoAttribution}
	case Anthropic:
		return []Attribution{UserID, NoAttribution}
	case Gemini:
		return []Attribution{NoAttribution, Labels}
	}
	return nil
}

// Terms are what a manifest says of a model API.
type Terms struct {
	Dialect Dialect
	// Attribution is one of the dialect's; empty for its default.
	Attribution Attribution
	// MaxOutput is how many tokens an answer is taken to have at most where the request
	// does not bound it; 0: not known.
	MaxOutput int64
	// MaxInput is how many tokens a request is taken to have at most where its bytes do
	// not bound them: images, files, earlier turns kept by the provider; 0: not known.
	MaxInput int64
	// Prices by pattern; empty: no money is counted.
	Prices []Price
}

// Price is what the models of one pattern cost, in millionths of a US dollar for a
// million tokens.
type Price struct {
	// Pattern is a model's name, or a beginning followed by `*`.
	Pattern string
	Input   int64
	Output  int64
	// CachedInput is for input that the provider had in its cache, CacheWrite for input
	// that it put there.
	CachedInput int64
	CacheWrite  int64
}

// Price finds what a model costs: an exact name before a pattern, a longer pattern
// before a shorter one.
func (t *Terms) Price(name string) (Price, bool) {
	best, found := Price{}, false
	for _, p := range t.Prices {
		prefix, open := strings.CutSuffix(p.Pattern, "*")
		if !open && p.Pattern == name {
			return p, true
		}
		if open && strings.HasPrefix(name, prefix) && (!found || len(p.Pattern) > len(best.Pattern)) {
			best, found = p, true
		}
	}
	return best, found && name != ""
}

// PricesAll reports whether every model that a grant's pattern covers has a price.
func (t *Terms) PricesAll(pattern string) bool {
	name, open := strings.CutSuffix(pattern, "*")
	if !open {
		_, ok := t.Price(name)
		return ok
	}
	for _, p := range t.Prices {
		if prefix, ok := strings.CutSuffix(p.Pattern, "*"); ok && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func (t *Terms) attribution() Attribution {
	if t.Attribution != "" {
		return t.Attribution
	}
	if all := t.Dialect.Attributions(); len(all) > 0 {
		return all[0]
	}
	return NoAttribution
}
