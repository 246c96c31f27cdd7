package audit

import "time"

// UsageQuery asks for sums over the ledger of one workspace.
type UsageQuery struct {
	Workspace string
	// From is within, Until is not.
	From, Until time.Time
	// Only rows of these, where they are not empty; those of a task with those of all below
	// it in its tree.
	UserID, Agent, TaskID, Connector, Model string
	// Only rows of the user whom UserIssuer names UserSubject, where that is not empty.
	UserIssuer, UserSubject string
	// By says what gets sums of its own; all false: one sum of everything.
	By UsageGroups
	// Limit is how many sums are given; 0 gives none.
	Limit int
}

// UsageGroups are the columns by which usage can be summed.
type UsageGroups struct{ User, Agent, Task, Model, Connector, Day bool }

// UsageSum is the usage of one group. What it is not grouped by is empty.
type UsageSum struct {
	UserID string
	// UserIssuer and UserSubject are who that is; empty where the user is not known
	// any more.
	UserIssuer, UserSubject string
	Agent                   string
	TaskID                  string
	Model                   string
	Connector               string
	Day                     string // 2026-11-23, UTC

	Calls int64
	// Estimated is how many of them were counted by their estimate.
	Estimated   int64
	Input       int64
	CachedInput int64
	CacheWrite  int64
	Output      int64
	// MicroUSD is what the calls cost that have a price; Unpriced is how many have none.
	MicroUSD int64
	Unpriced int64
}
