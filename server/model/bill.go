package model

import "net/http"

// Bill is what a call used, as it is counted and recorded.
type Bill struct {
	// Model is the one that answered, as the provider names it, else the one that was
	// asked for; Asked is set where it is another.
	Model, Asked string
	Usage        Usage
	MicroUSD     int64 // -1: no price
	// Estimated: the provider did not say, or not to the end.
	Estimated bool
}

// Bill is for a call that was sent. m is its answer as far as it was read, nil where
// there was none; status is the upstream's. It gives false for what costs nothing: a
// refusal, unless it says itself what was used.
//
// What the provider said to the end is taken. Else it is what was reserved: never less
// than was seen, and never nothing. Where the input was said already, that is taken.
func (c *Call) Bill(status int, m *Meter) (Bill, bool) {
	read := reading{}
	if m != nil {
		read = m.read
	}
	// Tools that the provider runs add input while it answers.
	read.input = read.input && !c.more
	switch {
	case c.endpoint == free, refused(status) && !read.seen:
		return Bill{}, false
	case c.endpoint == other && !read.final:
		return Bill{}, false
	}
	b := Bill{Model: named(read.name), Usage: read.used, MicroUSD: -1}
	if !read.final {
		b.Estimated, b.Usage = true, c.assumed(read)
	}
	asked := named(c.Model)
	if b.Model == "" {
		b.Model = asked
	}
	if b.Model != asked {
		b.Asked = asked
	}
	price, ok := c.terms.Price(b.Model)
	if !ok {
		price, ok = c.terms.Price(asked)
	}
	switch {
	case ok && b.Estimated && !read.input:
		b.MicroUSD = price.most(b.Usage)
	case ok:
		b.MicroUSD = price.Cost(b.Usage)
	}
	return b, true
}

// Unanswered is the bill of a call of which nobody can say how it ended.
func (c *Call) Unanswered() (Bill, bool) { return c.Bill(0, nil) }

// refused reports whether a status says that the provider did nothing: a redirect, the
// caller's mistake, or that it has no time now (503, and Anthropic's 529). After any
// other error the model may have run.
func refused(status int) bool {
	const overloaded = 529
	switch status {
	case http.StatusRequestTimeout:
		return false
	case http.StatusServiceUnavailable, overloaded:
		return true
	}
	return status >= 300 && status < 500
}

// assumed is what a call is taken to have used whose provider did not say, or not to
// the end.
func (c *Call) assumed(read reading) Usage {
	u := read.used
	if !read.input {
		u = Usage{Input: max(u.Input, c.Estimate.Input), Output: u.Output}
		if c.Estimate.Input < 0 {
			u.Input = max(u.Input, int64(len(c.Body)))
		}
	}
	switch {
	case c.Estimate.Output >= 0:
		u.Output = max(u.Output, c.Estimate.Output)
	default:
		u.Output = max(u.Output, min(read.bytes, MostTokens)) // a token is a byte at least
	}
	return u
}

// mostModel bounds a model's name, in bytes.
const mostModel = 128

// named gives a model's name as it is shown and stored; what cannot be one is "?": it
// comes from a caller or an upstream.
func named(s string) string {
	if len(s) > mostModel {
		return "?"
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return "?"
		}
	}
	return s
}
