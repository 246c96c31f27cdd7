package limit

import (
	"fmt"
	"time"
)

// Scope says whose limit one is. Its text stands in errors and metrics.
type Scope string

// The scopes.
const (
	Task      Scope = "task"
	User      Scope = "user"
	Workspace Scope = "workspace"
	Connector Scope = "connector"
	Workload  Scope = "workload" // an orchestrator or operator
	Broker    Scope = "broker"
)

// Key names one holder of a limit.
type Key struct {
	Scope     Scope
	Workspace string
	Name      string
}

// Bound is what one key may do. What is zero does not bound.
type Bound struct {
	// PerSecond and Burst bound how often: so many at once, then so many a second.
	PerSecond float64
	Burst     int
	// Running bounds how many calls run at one time.
	Running int
}

// Refusal is why somebody may not enter now.
type Refusal struct {
	// Scope is whose limit is used up.
	Scope Scope
	// Rate: it is that of how often, else that of how many at one time.
	Rate bool
	// After is when there will be a token again, or where a place is wanted, when one may
	// be expected from how long calls took there of late. It is positive.
	After time.Duration
}

// Error names the limit.
func (r *Refusal) Error() string {
	if r.Rate {
		return fmt.Sprintf("the %s calls too often", r.Scope)
	}
	return fmt.Sprintf("too many calls of the %s run at once", r.Scope)
}
