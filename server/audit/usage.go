package audit

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
)

// Estimate is the most that a call of a model may use, as far as that is known before.
// Its zero value is of a call that uses nothing.
type Estimate struct {
	// Tokens and MicroUSD are bounds; -1: there is none.
	Tokens   int64
	MicroUSD int64
	// Hint says how a call can be given a smaller bound, or one at all, and PriceHint
	// why it has no price.
	Hint, PriceHint string
	// Usage is what goes into the ledger if nobody ever learns how the call ended; nil
	// for a call that uses nothing.
	Usage *Usage
}

// Usage is what one call of a model used.
type Usage struct {
	// Model is the one that the provider names; Asked the one that was asked for, where
	// that is another.
	Model string `json:"model"`
	Asked string `json:"asked_model,omitempty"`
	// In tokens. Input holds CachedInput and CacheWrite.
	Input       int64 `json:"input_tokens"`
	CachedInput int64 `json:"cached_tokens,omitempty"`
	CacheWrite  int64 `json:"cache_write_tokens,omitempty"`
	Output      int64 `json:"output_tokens"`
	// MicroUSD is -1 where there is no price.
	MicroUSD int64 `json:"micro_usd"`
	// Estimated: the provider did not say, or not to the end.
	Estimated bool `json:"estimated,omitempty"`
}

// Tokens are all tokens of u, cached or not.
func (u *Usage) Tokens() int64 { return u.Input + u.Output }

// LedgerRow is one call in the ledger of usage.
type LedgerRow struct {
	Workspace    string
	InvocationID string
	Time         time.Time
	UserID       string
	Agent        string
	TaskID       string
	Connector    string
	Usage
}

func ledgerRow(e *Event, u Usage) LedgerRow {
	return LedgerRow{
		Workspace: e.Workspace, InvocationID: e.InvocationID, Time: e.Time, UserID: e.UserID, Agent: e.Agent,
		TaskID: e.TaskID, Connector: e.Connector, Usage: u,
	}
}

// estimated gives the part of a call's estimate that its grant limits. It refuses what
// is not bounded, or is more than is left.
func estimated(c *Call, left grant.Limits) (held grant.Limits, err error) {
	e := Estimate{Tokens: -1, MicroUSD: -1, Hint: "this call cannot be metered", PriceHint: "this call cannot be metered"}
	if c.Estimate != nil {
		e = *c.Estimate
	}
	if left.Tokens >= 0 {
		if held.Tokens = e.Tokens; e.Tokens < 0 || e.Tokens > left.Tokens {
			return grant.Limits{}, overLimit("tokens", c.Grant.ID, e.Tokens, left.Tokens, strconv.FormatInt, e.Hint)
		}
	}
	if left.MicroUSD >= 0 {
		if held.MicroUSD = e.MicroUSD; e.MicroUSD < 0 || e.MicroUSD > left.MicroUSD {
			return grant.Limits{}, overLimit("usd", c.Grant.ID, e.MicroUSD, left.MicroUSD, dollars, e.PriceHint)
		}
	}
	return held, nil
}

func dollars(micro int64, _ int) string {
	const one = 1_000_000
	return fmt.Sprintf("%d.%06d", micro/one, micro%one)
}

// overLimit says how much a call may use, how much is left, and what to do about it.
func overLimit(what, grantID string, need, left int64, text func(int64, int) string, hint string) *fault.Error {
	const decimal = 10
	public := fmt.Sprintf("the grant limits %s, and how much this call may use is not bounded: %s", what, hint)
	f := fault.New(fault.LimitReached, public, nil)
	if need >= 0 {
		public = fmt.Sprintf("the call may use %s %s, and %s are left of the grant: %s", text(need, decimal), what, text(left, decimal), hint)
		f = fault.New(fault.LimitReached, public, nil).With("needed", text(need, decimal))
	}
	return f.With("limit", what).With("grant_id", grantID).With("left", text(left, decimal))
}

// estimateKey is where an intent's detail has the estimate, for whoever has to close it.
const estimateKey = "estimate"

func withEstimate(detail string, u *Usage) string {
	d := map[string]json.RawMessage{}
	if json.Unmarshal([]byte(detail), &d) != nil {
		d = map[string]json.RawMessage{}
	}
	text, err := json.Marshal(u)
	if err != nil {
		return detail
	}
	d[estimateKey] = text
	if text, err = json.Marshal(d); err != nil {
		return detail
	}
	return string(text)
}

func estimateOf(detail string) *Usage {
	var d struct {
		Estimate *Usage `json:"estimate"`
	}
	if json.Unmarshal([]byte(detail), &d) != nil {
		return nil
	}
	return d.Estimate
}
