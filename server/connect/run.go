package connect

import (
	"context"
	"time"

	"github.com/onedoor/onedoor/server/task"
)

// Step is how far a user has come. It only ever goes forward, by compare-and-swap.
type Step string

// The steps. PROVING and EXCHANGING are entered before a code is sent, so that it is
// sent once.
const (
	Offered    Step = "OFFERED"     // the link was made, and nobody went on by it
	AtIssuer   Step = "AT_ISSUER"   // the browser is at the user's issuer
	Proving    Step = "PROVING"     // the issuer's code is being exchanged
	AtProvider Step = "AT_PROVIDER" // the browser is at the connector's provider
	Exchanging Step = "EXCHANGING"  // the provider's code is being exchanged
	Connected  Step = "CONNECTED"
	Failed     Step = "FAILED"
)

// Run is one user's way from a link to a connected account.
type Run struct {
	Workspace string
	ID        string
	// Connector and Revision are what the operator chose; another revision is another
	// choice.
	Connector string
	Revision  int64
	Slot      string
	// User is whose account it will be; the store knows issuer and subject by its id.
	User task.User
	Step Step
	// LinkDigest is of the link, StateDigest of what the browser brings back next, and
	// BrowserDigest of the cookie of the browser that went on by the link. Keyed hashes.
	LinkDigest, StateDigest, BrowserDigest []byte
	// Challenge is that of PKCE for the present step (RFC 7636, section 4.2).
	Challenge string
	// SignedIn says that the user has proven who they are at their issuer.
	SignedIn bool
	// Problem says why it FAILED.
	Problem Kind
	// Renews, Ends and Missing are what [credential.Connected] says.
	Renews    bool
	Ends      time.Time
	Missing   []string
	CreatedAt time.Time
	CreatedBy string // the operator's SPIFFE ID
	ExpiresAt time.Time
}

// Store keeps runs.
type Store interface {
	// AddRun stores a new run; its user must be stored already.
	AddRun(ctx context.Context, r Run) error
	// RunByLink finds a run by any of the digests, in whatever step and however old it
	// is; store.ErrNotFound.
	RunByLink(ctx context.Context, digests [][]byte) (Run, error)
	// RunByState is RunByLink for what the browser brings back.
	RunByState(ctx context.Context, digests [][]byte) (Run, error)
	// Advance stores what r says of its way, where the run is still at the step from and
	// has not expired at now; else store.ErrConflict. What was chosen stays as it is.
	Advance(ctx context.Context, r Run, from Step, now time.Time) error
	// PruneRuns removes what expired before then.
	PruneRuns(ctx context.Context, before time.Time) error
}
