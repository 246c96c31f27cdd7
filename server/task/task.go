// Package task holds what a task is, who calls for it, and the key that proves it.
// What a task may do stands in package grant.
package task

import (
	"iter"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// State is where a task stands in its life; the names are those of the API.
type State string

// The states. Only an Active task has a working key; the last three are final.
const (
	Pending State = "PENDING"
	Active  State = "ACTIVE"
	Ended   State = "ENDED"
	Revoked State = "REVOKED"
	Expired State = "EXPIRED"
)

// LocalIssuer is the issuer of users whom an orchestrator asserts by itself.
const LocalIssuer = "local"

// User is a person within one workspace: an issuer's subject and the opaque id
// under which everything of ours knows them.
type User struct {
	ID      string // UUID
	Issuer  string
	Subject string
}

// Task is one bounded run of an agent for one user.
type Task struct {
	Workspace string
	ID        string // UUID
	Agent     string
	User      User
	// Sandbox is the one SPIFFE ID with which the key works.
	Sandbox   spiffeid.ID
	State     State
	CreatedAt time.Time
	ExpiresAt time.Time
	// EndedAt is zero while the task is live.
	EndedAt time.Time
	// CreatedBy is the orchestrator's SPIFFE ID.
	CreatedBy string
	KeyID     string // UUID; for logs and the audit trail

	// The tree of delegation: a root has no parent and is its own root.
	ParentID  string
	RootID    string
	Depth     int
	Delegates []string
	// Above are the tasks above a delegated one, its parent first and the root last.
	Above []Ancestor

	// ApprovedBy and ApprovedDigest say who approved which grants; both are
	// empty where no approval was asked for.
	ApprovedBy     string
	ApprovedDigest []byte
}

// Ancestor is a task above another one in its tree.
type Ancestor struct {
	TaskID string `json:"task"`
	Agent  string `json:"agent"`
}

// Line gives the ids of the task and of all above it in its tree: whichever of them ends, it
// ends with it.
func (t *Task) Line() iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(t.ID) {
			return
		}
		for _, a := range t.Above {
			if !yield(a.TaskID) {
				return
			}
		}
	}
}

// Live reports whether the key of t works at the time now.
func (t *Task) Live(now time.Time) bool {
	return t.State == Active && now.Before(t.ExpiresAt)
}

// Below reports whether t stands below the task with the given id in its tree, however
// far; no task stands below itself.
func (t *Task) Below(id string) bool {
	return slices.ContainsFunc(t.Above, func(a Ancestor) bool { return a.TaskID == id })
}

// StateAt is the state as a reader should see it: an active task past its end has
// expired, whether or not a sweeper has written that down yet.
func (t *Task) StateAt(now time.Time) State {
	if t.State == Active && !now.Before(t.ExpiresAt) {
		return Expired
	}
	return t.State
}

// Caller is the verified pair of workload and task, and how it was verified.
type Caller struct {
	// Workload is the SPIFFE ID that the peer proved to hold.
	Workload spiffeid.ID
	// AuthMethod is "x509-svid" or "jwt-svid".
	AuthMethod string
	// Peer is the network address of the other side.
	Peer string
	Task Task
}
