package credential

import (
	"context"
	"errors"
	"time"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/oauth"
)

// failed decides what a token endpoint's no means for the refresh token that was sent.
func (r *renewal) failed(ctx context.Context, current Record, err error) (Record, error) {
	var e *oauth.Error
	if !errors.As(err, &e) {
		return Record{}, r.bury(ctx, current, "the refresh ended in a way that nobody can judge")
	}
	switch {
	case e.Kind == oauth.Refused && e.Code == "invalid_grant":
		// Somebody may have put another one meanwhile, or this very one: so what was
		// refused stays marked as sent.
		if newer, err := r.current(ctx); err == nil && !same(newer, current) {
			r.giveBack(ctx, RefreshEnd{})
			return newer, nil
		}
		return Record{}, r.bury(ctx, current, "the provider does not accept the refresh token any more")
	case e.Kind == oauth.Unclear && !r.slot.OAuth.Reusable:
		return Record{}, r.bury(ctx, current, "the provider's answer to a refresh was lost or makes no sense, and the refresh token may be consumed")
	}
	why := reasonText(e)
	end := RefreshEnd{Resolved: true, Reason: why, Failures: r.lease.Failures + 1}
	end.RetryAt = r.k.o.Now().Add(pauseAfter(end.Failures, e.RetryAfter))
	r.giveBack(ctx, end)
	return Record{}, tokenFault(r.c, r.slot, e)
}

// pauseAfter doubles with each failure, and is never shorter than the provider asks for.
func pauseAfter(failures int64, asked time.Duration) time.Duration {
	pause := shortestPause
	for range min(failures-1, 16) {
		pause = min(2*pause, longestPause)
	}
	return max(pause, asked)
}

// bury marks the version that stands as dead, so that nobody asks for it again.
func (r *renewal) bury(ctx context.Context, current Record, why string) error {
	r.giveBack(ctx, RefreshEnd{Dead: current.Version, Reason: why})
	return needsReconnect(r.c, r.slot, why)
}

// giveBack returns the lease. That it could not is no harm: the lease runs out, and what
// was marked as sent stays so.
func (r *renewal) giveBack(ctx context.Context, e RefreshEnd) {
	e.At = r.k.o.Now()
	if err := r.k.o.Store.Release(ctx, r.lease, e); err != nil {
		r.k.o.Log.ErrorContext(ctx, "the lease of a refresh was not given back", "credential_id", r.old.ID, "error", err)
	}
	r.k.Forget(r.old.Workspace, r.old.ID)
}

// needsReconnect is for what only a person can mend.
func needsReconnect(c *connector.Connector, slot connector.Slot, why string) error {
	return unusable(c, slot, mendConnect, why+"; connect it again (onedoor credential connect) or put another", nil)
}

// reasonText says in words of ours what a token endpoint answered.
func reasonText(e *oauth.Error) string {
	switch e.Kind {
	case oauth.NotSent:
		return "the token endpoint cannot be reached" + onTheWay(e)
	case oauth.Busy:
		return "the token endpoint asks to be left alone for a while"
	case oauth.Refused:
		if e.Code != "" {
			return "the token endpoint refuses with " + e.Code
		}
		return "the token endpoint refuses"
	case oauth.Unclear:
	}
	return "the token endpoint failed"
}

// onTheWay adds to words for what could not be reached that a proxy is the cause, if it is:
// in full where the proxy's secret is missing, which an operator mends.
func onTheWay(err error) string {
	var e *egress.Error
	switch {
	case !errors.As(err, &e):
	case errors.Is(e, egress.ErrNoProxySecret):
		return ": " + egress.ErrNoProxySecret.Error()
	case e.AtProxy:
		return ": the proxy on the way fails, as the broker's log says"
	case e.Proxy != "":
		return " through the proxy on the way"
	}
	return ""
}

// tokenFault is the error for a caller whose token could not be had. No upstream was
// called.
func tokenFault(c *connector.Connector, slot connector.Slot, e *oauth.Error) error {
	if e.Kind == oauth.Refused {
		if mendOf(slot) == mendConnect { // what the user connected may be good: another fault is likelier
			return unusable(c, slot, "", reasonText(e)+"; put the client's secret again, mend the manifest, or connect the account again", e)
		}
		return unusable(c, slot, mendPut, reasonText(e)+"; put what is stored for it, or the client's secret, again, or mend the manifest", e)
	}
	return fault.New(fault.UpstreamUnavailable, "connector "+c.Name+": "+reasonText(e)+"; nothing was sent to the upstream", e).
		With("connector", c.Name)
}

// event describes an act of the broker's own on a credential.
func (k *Keeper) event(act string, r Record) audit.Event {
	return audit.Event{
		Workspace: r.Workspace, InvocationID: k.o.NewID(), SPIFFEID: k.o.BrokerID, Tool: act, Connector: r.Connector,
		Resources: []string{"credential:" + r.ID}, UserID: r.UserID, CredentialID: r.ID, CredentialVersion: r.Version,
	}
}

// panicked is how such an act ended that did not return: no intent of a living broker
// stays open, and what was sent by then nobody knows.
func panicked() audit.Outcome {
	return audit.Outcome{Result: audit.Unknown, Reason: string(fault.Internal)}
}

// outcomeOf is how such an act ended.
func outcomeOf(err error) audit.Outcome {
	if err == nil {
		return audit.Outcome{Result: audit.OK}
	}
	return audit.Outcome{Result: audit.Failed, Reason: string(fault.From(err).Reason)}
}
