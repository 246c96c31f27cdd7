package mint

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
)

// keepsPlace is how long an expired task still counts against the bounds of its tree, and
// how long one that was ended still counts among those minted of late: a task that mints
// children of one second, or ends them at once, must not do so without end.
const keepsPlace = time.Minute

// DelegateRequest is what a task asks for on behalf of a sub-agent.
type DelegateRequest struct {
	Agent   string
	Sandbox string
	Grants  []string
	// TTL is how long the child may live; zero: to the parent's end.
	TTL       time.Duration
	Delegates []string
}

// Delegate mints a child of the caller's task, within the caller's grants. It is for the
// same user, and stands under the orchestrator that minted the root, which may list and
// end it. Everything that does not depend on other tasks is checked before anything is
// written; that the parent lives, and the bounds of its tree, in the transaction that
// adds the child. Its errors are DELEGATION_WIDENS, CALLER_NOT_ALLOWED, TASK_ENDED,
// LIMIT_REACHED, ARGUMENT_INVALID, and those of finding a connector.
func (m *Mint) Delegate(ctx context.Context, parent *task.Task, grants []grant.Grant, r DelegateRequest) (*Created, error) {
	now := m.o.Now()
	t, err := m.child(parent, r, now)
	if err != nil {
		return nil, err
	}
	own, within, err := m.narrowed(ctx, parent, grants, r.Grants, &t)
	if err != nil {
		return nil, err
	}
	key, err := task.NewKey(m.o.Random)
	if err != nil {
		return nil, fmt.Errorf("mint: %w", err)
	}
	digest, pepperID := m.o.Pepper.Digest([]byte(key.Reveal()))
	err = m.o.Store.CreateTask(ctx, Minted{
		Task: t, Grants: own, KeyDigest: digest, PepperID: pepperID,
		Delegation: &Delegation{Within: within, Bounds: m.o.Bounds, CountFrom: now.Add(-keepsPlace)},
	})
	if err != nil {
		return nil, m.notDelegated(err)
	}
	return &Created{Task: t, Grants: own, Key: key}, nil
}

// child checks all but the grants.
func (m *Mint) child(parent *task.Task, r DelegateRequest, now time.Time) (task.Task, error) {
	if parent.Depth >= m.o.Bounds.Depth {
		return task.Task{}, bounded("depth", fmt.Sprintf("this task is already %d below its root", parent.Depth), m.o.Bounds.Depth, "delegate from a task further up")
	}
	if len(parent.Delegates) == 0 {
		return task.Task{}, fault.New(fault.CallerNotAllowed, "this task may not delegate: its orchestrator named no delegates when it was minted (task create --delegate ID)", nil).With("mend", "delegates")
	}
	if err := checkAgent(r.Agent); err != nil {
		return task.Task{}, err
	}
	sandbox, err := spiffeid.FromString(r.Sandbox)
	switch {
	case err != nil:
		return task.Task{}, fault.Invalid("sandbox", "not a SPIFFE ID: want spiffe://trust-domain/path")
	case sandbox == parent.Sandbox && !parent.MayDelegateTo(sandbox):
		return task.Task{}, widens("sandbox", "this task's own ID, which its delegates do not name")
	case !parent.MayDelegateTo(sandbox):
		return task.Task{}, widens("sandbox", "not among this task's delegates")
	case r.TTL < 0:
		return task.Task{}, fault.Invalid("ttl", "must be positive; leave it out to end with this task")
	}
	end := parent.ExpiresAt
	if r.TTL > 0 {
		end = now.Add(r.TTL)
	}
	if end.After(parent.ExpiresAt) {
		return task.Task{}, widens("ttl", fmt.Sprintf("this task itself ends at %s; leave it out to end with it", parent.ExpiresAt.UTC().Format(time.RFC3339)))
	}
	for i, d := range r.Delegates {
		field := fmt.Sprintf("delegates[%d]", i)
		if _, _, ok := task.ParseDelegate(d); !ok {
			return task.Task{}, fault.Invalid(field, notADelegate)
		}
		if !parent.MayPassOn(d) {
			return task.Task{}, widens(field, "not within this task's delegates")
		}
	}
	return task.Task{
		Workspace: parent.Workspace, ID: m.o.NewID(), Agent: r.Agent, User: parent.User, Sandbox: sandbox, State: task.Active,
		CreatedAt: now, ExpiresAt: end, CreatedBy: parent.CreatedBy, KeyID: m.o.NewID(), Delegates: r.Delegates,
		ParentID: parent.ID, RootID: parent.RootID, Depth: parent.Depth + 1,
		Above: append([]task.Ancestor{{TaskID: parent.ID, Agent: parent.Agent}}, parent.Above...),
	}, nil
}

// narrowed reads the texts, fixes what they mean against what the parent holds, and
// proves that each lies within one of the parent's grants: it returns their ids.
func (m *Mint) narrowed(ctx context.Context, parent *task.Task, held []grant.Grant, texts []string, t *task.Task) ([]grant.Grant, []string, error) {
	if len(texts) == 0 {
		return nil, nil, noGrants()
	}
	if err := checkLength(texts); err != nil {
		return nil, nil, err
	}
	grants := make([]grant.Grant, len(texts))
	for i, text := range texts {
		var err error
		if grants[i], err = grant.Parse(text); err != nil {
			return nil, nil, fault.Invalid(grantField(i), err.Error())
		}
	}
	if err := checkEffort(grants, held); err != nil {
		return nil, nil, err
	}
	set := grant.NewSet(held)
	for i := range grants {
		if err := m.pin(&grants[i], set, t); err != nil {
			return nil, nil, inField(grantField(i), err)
		}
	}
	at, err := grant.Within(grants, held)
	if err != nil {
		return nil, nil, err
	}
	within := make([]string, len(grants))
	for i := range grants {
		within[i] = held[at[i]].ID
		if err := m.countable(ctx, parent.Workspace, &grants[i]); err != nil {
			return nil, nil, inField(grantField(i), err)
		}
	}
	return grants, within, nil
}

func grantField(i int) string { return fmt.Sprintf("grants[%d]", i) }

// countable refuses a limit that the connector, as the parent runs on it, cannot count.
func (m *Mint) countable(ctx context.Context, workspace string, g *grant.Grant) error {
	c, err := m.o.Connectors.Connector(ctx, workspace, g.Connector, g.Revision)
	if err != nil {
		return err
	}
	return c.CanCount(g.Limits, g.Tools, g.Resources)
}

// pin gives a grant its revision and its tools: those that the parent holds. Where the
// parent's grants end by themselves, so does one that names no end: with the child.
func (m *Mint) pin(g *grant.Grant, held *grant.Set, t *task.Task) error {
	pinned := held.Pinned(g.Connector, "")
	if !pinned.Held {
		return fault.New(fault.DelegationWidens, "this task has no grant on "+g.Connector, nil)
	}
	var err error
	if g.Tools, err = held.Expand(g.Connector, g.Tools); err != nil {
		return err
	}
	g.ID, g.Revision = m.o.NewID(), pinned.Revision
	if err := checkUntil(g, t.CreatedAt, t.ExpiresAt); err != nil {
		return err
	}
	if g.ExpiresAt.IsZero() && held.Ends(g.Connector) {
		g.ExpiresAt = t.ExpiresAt
	}
	return nil
}

// notDelegated says why the store did not take a child.
func (m *Mint) notDelegated(err error) error {
	switch {
	case errors.Is(err, ErrParentEnded), errors.Is(err, store.ErrConflict):
		return fault.New(fault.TaskEnded, "this task has ended, so it can delegate no more", err)
	case errors.Is(err, ErrTooManyChildren):
		return bounded("children", "this task has as many children as it may have", m.o.Bounds.Children, endSome)
	case errors.Is(err, ErrTreeFull):
		return bounded("tree", "the tree of this task has as many tasks as it may have", m.o.Bounds.Tree, endSome)
	case errors.Is(err, ErrTreeTooFast):
		return bounded("tree", "the tree of this task was given as many tasks within a minute as it may have", m.o.Bounds.Tree, "wait a minute, or delegate less")
	}
	return unavailable("the task could not be stored; try again", err)
}

const endSome = "end some that are done, wait until some have expired for a minute, or delegate less"

// bounded is no RATE_LIMITED: clients would try that again, and it may take until a task
// ends before it helps.
func bounded(bound, public string, most int, mend string) error {
	return fault.New(fault.LimitReached, fmt.Sprintf("%s (%d): %s", public, most, mend), nil).
		With("limit", "delegation."+bound).With("raise", "limits.delegation."+bound).With("most", strconv.Itoa(most))
}

func widens(field, public string) error {
	return fault.New(fault.DelegationWidens, field+": "+public, nil).With("field", field)
}
