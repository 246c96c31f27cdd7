package limit

import (
	"time"

	"github.com/onedoor/onedoor/server/fault"
)

// Fault is what the caller is told: RATE_LIMITED, and in the metadata whose `limit` it is
// and which field of the configuration would `raise` it.
func (r *Refusal) Fault() *fault.Error {
	field := "concurrent"
	if r.Rate {
		field = "calls_per_second"
	}
	return limited(r.Error(), string(r.Scope), "limits."+string(r.Scope)+"."+field, r.After)
}

// PeerFault is what a peer is told that failed to authenticate too often.
func PeerFault(after time.Duration) *fault.Error {
	return limited("too many failed authentications; try again later", "peer", "limits.failures_per_second", after)
}

// roomAgain is when a request that found no room may come again. Nobody knows when what
// is held will be taken; most calls last less than this.
const roomAgain = time.Second

// RoomFault is what a caller is told whose request found no room.
func RoomFault() *fault.Error {
	return limited("the broker holds as many bytes as it may; nothing was sent", "memory", "limits.held_bytes", roomAgain)
}

func limited(public, limit, raise string, after time.Duration) *fault.Error {
	f := fault.New(fault.RateLimited, public, nil).With("limit", limit).With("raise", raise)
	f.RetryAfter = after
	return f
}

// DroppedFault is what a caller is told whose answer found no room. The call was made.
func DroppedFault() *fault.Error {
	return fault.New(fault.AnswerDropped, "the call was made, but the broker holds as many bytes as it may, so its answer was given up", ErrNoRoom).
		With("limit", "memory").With("raise", "limits.held_bytes")
}
