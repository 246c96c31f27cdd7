package audit

import (
	"time"

	"github.com/onedoor/onedoor/server/grant"
)

// Kind says what a row of the trail is.
type Kind string

// The kinds of rows.
const (
	ChainOpened  Kind = "CHAIN_OPENED"
	IntentRow    Kind = "INTENT"
	OutcomeRow   Kind = "OUTCOME"
	Refusal      Kind = "REFUSAL"
	AdminIntent  Kind = "ADMIN_INTENT"
	AdminOutcome Kind = "ADMIN_OUTCOME"
)

// Result says how an intent ended.
type Result string

// The results. Unknown is what a sweeper writes for an intent whose broker died.
const (
	OK            Result = "OK"
	UpstreamError Result = "UPSTREAM_ERROR"
	NotSent       Result = "NOT_SENT"
	Failed        Result = "FAILED"
	Unknown       Result = "UNKNOWN"
)

// Decisions as recorded.
const (
	Allowed = "ALLOWED"
	Refused = "REFUSED"
)

// SystemWorkspace holds what happened before a workspace was known.
const SystemWorkspace = "_system"

// Event is one row of the trail. The hash covers every field but Hash itself,
// exactly as stored (times in microseconds, UTC).
type Event struct {
	ChainID   string
	Seq       int64
	Workspace string
	BrokerID  string
	Time      time.Time
	Kind      Kind

	InvocationID string
	TaskID       string
	KeyID        string
	UserID       string
	Agent        string
	SPIFFEID     string
	AuthMethod   string
	Peer         string

	Connector string
	Revision  int64
	// Tool is the RPC on administrative rows.
	Tool string
	// Resources are the targets on administrative rows.
	Resources []string
	Severity  grant.Severity

	GrantID           string
	CredentialID      string
	CredentialVersion int64
	Decision          string
	Reason            string
	Outcome           Result
	UpstreamStatus    int
	RequestBytes      int64
	ResponseBytes     int64
	Duration          time.Duration // whole microseconds
	// Count is how many like events the row stands for.
	Count int64
	// Detail is a JSON object for what has no column; never a secret.
	Detail string

	PrevHash []byte
	Hash     []byte
	// Signature stands on CHAIN_OPENED rows; SigningKeyID names the key.
	Signature    []byte
	SigningKeyID string
}
