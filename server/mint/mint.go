package mint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

// Connectors gives the current revision of a connector.
type Connectors interface {
	Current(ctx context.Context, workspace, name string) (connector.Revision, error)
	Parsed(ctx context.Context, r connector.Revision) (*connector.Connector, error)
	// Connector gives the revision on which a task runs already.
	Connector(ctx context.Context, workspace, name string, revision int64) (*connector.Connector, error)
}

// Pepper gives the keyed hash under which a key is stored.
type Pepper interface {
	Digest(key []byte) (digest []byte, pepperID string)
}

// IDTokens verifies users' ID tokens.
type IDTokens interface {
	// Verify says whom a token names: issuer and subject, without an id of ours. Its
	// errors are ARGUMENT_INVALID and ISSUER_UNAVAILABLE.
	Verify(ctx context.Context, workspace string, token vault.Secret, nonce string) (task.User, error)
}

// Options are what a Mint is made of; all are needed.
type Options struct {
	Store      Store
	Connectors Connectors
	Pepper     Pepper
	IDTokens   IDTokens
	// Forget drops tasks from this broker's caches and cuts their calls, so that a
	// revocation holds here before Revoke returns.
	Forget func(workspace string, taskIDs []string)
	// Bounds keep trees of delegated tasks small.
	Bounds Bounds
	Random io.Reader
	NewID  func() string
	Now    func() time.Time // the store's clock
}

// Mint makes and ends tasks.
type Mint struct{ o Options }

// New makes a Mint.
func New(o Options) *Mint { return &Mint{o} }

// Request is what an orchestrator asks for. Exactly one of User and IDToken says for
// whom.
type Request struct {
	Agent string
	// User is a name that the orchestrator asserts, of the issuer "local".
	User string
	// IDToken is verified. Nonce, where it is not empty, must be the token's.
	IDToken   vault.Secret
	Nonce     string
	Sandbox   string
	Grants    []string
	TTL       time.Duration
	Delegates []string
}

// Created is a new task with its key in the clear, this once.
type Created struct {
	Task   task.Task
	Grants []grant.Grant
	Key    task.Key
}

// Create mints a task. Everything is checked before anything is written, and it is
// written in one transaction.
func (m *Mint) Create(ctx context.Context, by authn.Identity, r Request) (*Created, error) {
	if by.Orchestrator == nil {
		return nil, fault.New(fault.CallerNotAllowed, "only an orchestrator mints tasks", nil).With("mend", "role")
	}
	now := m.o.Now()
	t, err := m.draft(by, r, now)
	if err != nil {
		return nil, err
	}
	grants, err := m.grants(ctx, by, r.Grants, t.ExpiresAt)
	if err != nil {
		return nil, err
	}
	user, err := m.user(ctx, t.Workspace, r)
	if err != nil {
		return nil, err
	}
	if t.User, err = m.o.Store.EnsureUser(ctx, t.Workspace, user.Issuer, user.Subject, m.o.NewID(), now); err != nil {
		return nil, unavailable("the user could not be stored; try again", err)
	}
	key, err := task.NewKey(m.o.Random)
	if err != nil {
		return nil, fmt.Errorf("mint: %w", err)
	}
	digest, pepperID := m.o.Pepper.Digest([]byte(key.Reveal()))
	if err := m.o.Store.CreateTask(ctx, Minted{Task: t, Grants: grants, KeyDigest: digest, PepperID: pepperID}); err != nil {
		return nil, unavailable("the task could not be stored; try again", err)
	}
	return &Created{Task: t, Grants: grants, Key: key}, nil
}

// draft checks a request against the bounds of its orchestrator.
func (m *Mint) draft(by authn.Identity, r Request, now time.Time) (task.Task, error) {
	o := by.Orchestrator
	if err := checkAgent(r.Agent); err != nil {
		return task.Task{}, err
	}
	sandbox, err := spiffeid.FromString(r.Sandbox)
	switch {
	case err != nil:
		return task.Task{}, fault.Invalid("sandbox", "not a SPIFFE ID: want spiffe://trust-domain/path")
	case !o.MayBind(sandbox):
		return task.Task{}, exceeds("sandboxes", fmt.Sprintf("sandbox: this orchestrator may only bind tasks to %s and below", o.Sandboxes))
	case r.TTL <= 0:
		return task.Task{}, fault.Invalid("ttl", "must be positive")
	case r.TTL > o.MaxTTL:
		return task.Task{}, fault.Invalid("ttl", fmt.Sprintf("at most %s for this orchestrator", o.MaxTTL))
	}
	if err := checkUser(o, r); err != nil {
		return task.Task{}, err
	}
	if err := checkDelegates(o, r.Delegates); err != nil {
		return task.Task{}, err
	}
	t := task.Task{
		Workspace: by.Workspace, ID: m.o.NewID(), Agent: r.Agent, Sandbox: sandbox, State: task.Active,
		CreatedAt: now, ExpiresAt: now.Add(r.TTL), CreatedBy: o.ID.String(), KeyID: m.o.NewID(), Delegates: r.Delegates,
	}
	t.RootID = t.ID
	return t, nil
}

const notADelegate = "not a SPIFFE ID with a path, nor a prefix of one that ends in /"

func checkAgent(name string) error {
	switch {
	case name == "":
		return fault.Invalid("agent", "name the agent")
	case !printable(name):
		return fault.Invalid("agent", unprintable)
	}
	return nil
}

// checkDelegates: a task may name only workloads to which its orchestrator could have
// bound it itself.
func checkDelegates(o *authn.Orchestrator, delegates []string) error {
	for i, d := range delegates {
		field := fmt.Sprintf("delegates[%d]", i)
		id, _, ok := task.ParseDelegate(d)
		if !ok {
			return fault.Invalid(field, notADelegate)
		}
		if !o.MayBind(id) {
			return exceeds("sandboxes", field+": outside of what this orchestrator may bind tasks to")
		}
	}
	return nil
}

// exceeds refuses what is beyond an orchestrator's bounds, and names the one to be raised.
func exceeds(bound, public string) error {
	return fault.New(fault.CallerNotAllowed, public, nil).With("raise", "workspaces.orchestrators."+bound)
}

func unavailable(public string, err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	if errors.Is(err, store.ErrUnavailable) {
		return fault.New(fault.StoreUnavailable, public, err)
	}
	return fault.New(fault.Internal, "internal error", err)
}
