package upstream

import (
	"context"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/model"
)

// Model runs calls of connectors of kind model: over HTTP, with the answer metered on
// its way. It reads along behind the scrubber.
type Model struct{ http *HTTP }

// NewModel makes the runner of calls of model APIs.
func NewModel(http *HTTP) *Model { return &Model{http} }

// Do sends the call, which must have been read as one of a model API.
func (u *Model) Do(ctx context.Context, intent audit.Intent, c Call) (*Answer, error) {
	if c.Model == nil {
		return nil, fault.New(fault.Internal, "internal error", errNotRead)
	}
	a, err := u.http.Do(ctx, intent, c)
	if err != nil {
		return nil, err
	}
	a.Meter = c.Model.Meter(a.ContentType, a.Body)
	a.Body = a.Meter
	return a, nil
}

// Bill is what a call used that had this answer, nil where it had none, and ended with
// err. It gives false for what costs nothing.
func Bill(c *model.Call, a *Answer, err error) (model.Bill, bool) {
	switch {
	case a != nil:
		return c.Bill(a.Status, a.Meter)
	case Sent(err):
		return c.Unanswered()
	}
	return model.Bill{}, false
}
