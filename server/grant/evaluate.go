package grant

import (
	"time"

	"github.com/onedoor/onedoor/server/fault"
)

// Request is one call as the grants see it: computed by the broker from the very
// arguments that go upstream.
type Request struct {
	Connector string
	Tool      string
	Severity  Severity
	Resources []Resource
	Now       time.Time
}

// Decision is the answer. Its zero value is a refusal.
type Decision struct {
	Allowed bool
	// Grant decides: the one that allows, or the one that came nearest; it may be
	// nil on a refusal.
	Grant *Grant
	// Reason is empty when allowed.
	Reason fault.Reason
	// Missing says in words what would have been needed.
	Missing string
}
