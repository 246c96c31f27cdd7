package api

import (
	"context"
	"time"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/task"
)

// call is one RPC on its way through the chain: what is known of it so far.
type call struct {
	method  string // full method, /package.Service/Method
	request any    // nil on a stream until it has arrived
	id      string // the invocation id
	began   time.Time

	rule      rule
	limitedAs string // under which name failed authentications are counted
	peer      authn.Peer
	session   *authn.Session // what the key said, also where it was refused
	caller    *task.Caller   // for sandboxes
	grants    *grant.Set     // for sandboxes
	who       authn.Identity // for roles

	// entered: the handler has run, so a refusal has been recorded by whoever made it.
	entered bool
}

type callKey struct{}

func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// callOf is the call of a handler's context. Handlers run only behind the chain, so it
// is always there.
func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}
