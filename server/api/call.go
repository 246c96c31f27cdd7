package api

import (
	"context"
	"encoding/json"
	"time"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/limit"
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
	// workloadKnown: peer and workloadErr are what Workload gave already.
	workloadKnown bool
	workloadErr   error
	session       *authn.Session // what the key said, also where it was refused
	caller        *task.Caller   // for sandboxes
	grants        *grant.Set     // for sandboxes
	who           authn.Identity // for roles

	hold *limit.Hold // what it holds in memory

	// result is what an administrative act came to, for its outcome's row.
	result actDetail

	// entered: the handler has run, so a refusal has been recorded by whoever made it.
	entered bool
}

// actDetail is what is recorded of an act that went well and was not known before it.
type actDetail struct {
	TaskID     string `json:"task_id"`
	UserID     string `json:"user_id"`
	UserIssuer string `json:"user_issuer"` // who vouches for the user
	User       string `json:"user"`
	// Of a delegated task.
	KeyID    string `json:"key_id,omitempty"`
	ParentID string `json:"parent_id,omitempty"`
	RootID   string `json:"root_id,omitempty"`
}

// delegatedDetail is what is recorded of a delegated task that was minted or ended.
func delegatedDetail(t *task.Task) actDetail {
	return actDetail{
		TaskID: t.ID, UserID: t.User.ID, UserIssuer: t.User.Issuer, User: t.User.Subject, KeyID: t.KeyID, ParentID: t.ParentID, RootID: t.RootID,
	}
}

// text is JSON, empty for the zero value.
func (d actDetail) text() string {
	if d == (actDetail{}) {
		return ""
	}
	text, _ := json.Marshal(d) // strings always encode
	return string(text)
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
