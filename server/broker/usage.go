package broker

import (
	"errors"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/model"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/upstream"
)

// attribute has a call of a model API name its user, and finds what it may use. The
// request is another one from then on, before anything is recorded or signed of it.
//
// The user's id goes as it is: it is random, of this workspace alone, and says nothing
// of the person; and whom a provider complains of can be looked up in the trail.
func (d *decided) attribute(caller *task.Caller) error {
	terms := d.bound.Connector.Model
	if terms == nil {
		return nil
	}
	read, err := terms.Prepare(model.Request{
		Method: d.bound.Method, Path: d.bound.Path, ContentType: d.bound.Header.Get("Content-Type"),
		Body: d.bound.Body, User: caller.Task.User.ID,
	})
	if err != nil {
		return err
	}
	changed := *d.bound
	changed.Body = read.Body
	d.bound, d.model = &changed, read
	return nil
}

// estimate is what a call of a model may use, as the trail reserves it.
func (d *decided) estimate() *audit.Estimate {
	if d.model == nil {
		return nil
	}
	e := d.model.Estimate
	estimate := &audit.Estimate{Tokens: e.Tokens(), MicroUSD: e.MicroUSD, Hint: e.Hint, PriceHint: e.PriceHint}
	if b, billed := d.model.Unanswered(); billed {
		estimate.Usage = usageOf(b)
	}
	return estimate
}

// usage is what a sent call used; nil where it cost nothing. An error from before it was
// tried may say "sent" of something else, for instance of a token that was refreshed. After
// a panic nobody knows whether it was sent: it counts as if.
func (s *sent) usage(err error) *audit.Usage {
	if s.model == nil || !s.tried {
		return nil
	}
	b, billed := upstream.Bill(s.model, s.answer, err)
	if s.answer == nil && errors.Is(err, errPanicked) {
		b, billed = s.model.Unanswered()
	}
	if !billed {
		return nil
	}
	return usageOf(b)
}

func usageOf(b model.Bill) *audit.Usage {
	u := b.Usage
	return &audit.Usage{
		Model: b.Model, Asked: b.Asked, Input: u.Input, CachedInput: u.CachedInput, CacheWrite: u.CacheWrite, Output: u.Output,
		MicroUSD: b.MicroUSD, Estimated: b.Estimated,
	}
}
