package authn

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
)

// Role is what the configuration lets a SPIFFE ID do in a workspace.
type Role string

// The roles.
const (
	OperatorRole     Role = "operator"
	OrchestratorRole Role = "orchestrator"
)

// DefaultWorkspace is meant when a caller of several workspaces names none.
const DefaultWorkspace = "default"

// Workspace says who may do what in one workspace.
type Workspace struct {
	Name          string
	Operators     []spiffeid.ID
	Orchestrators []Orchestrator
}

// Orchestrator bounds the tasks that one SPIFFE ID may mint. An empty field allows
// nothing: no connectors means none, a zero MaxTTL means no task.
type Orchestrator struct {
	ID spiffeid.ID
	// Sandboxes is the SPIFFE ID, or the segment-aligned prefix of the SPIFFE IDs,
	// to which its tasks may be bound.
	Sandboxes      spiffeid.ID
	MayAssertUsers bool
	MaxTTL         time.Duration
	MaxSeverity    grant.Severity
	// Connectors are names; "*" allows every connector of the workspace.
	Connectors []string
}

// MayBind reports whether a task may be bound to the sandbox.
func (o *Orchestrator) MayBind(sandbox spiffeid.ID) bool { return within(o.Sandboxes, sandbox) }

// MayUse reports whether a task may be granted the connector.
func (o *Orchestrator) MayUse(connector string) bool {
	for _, c := range o.Connectors {
		if c == "*" || c == connector {
			return true
		}
	}
	return false
}

// within reports whether id is prefix itself or stands below it, by whole path
// segments: /ns/a does not hold /ns/a-evil.
func within(prefix, id spiffeid.ID) bool {
	if prefix.IsZero() || prefix.TrustDomain() != id.TrustDomain() {
		return false
	}
	return id.Path() == prefix.Path() || strings.HasPrefix(id.Path(), prefix.Path()+"/")
}

// Directory answers who a SPIFFE ID is. It is built once from the configuration.
type Directory struct {
	workspaces []Workspace
	byName     map[string]*Workspace
}

// NewDirectory checks the workspaces: unique names, no ID twice in one list, every
// orchestrator bounded.
func NewDirectory(workspaces []Workspace) (*Directory, error) {
	d := &Directory{workspaces: workspaces, byName: map[string]*Workspace{}}
	var faults []error
	if len(workspaces) == 0 {
		faults = append(faults, errors.New("workspaces: at least one is needed"))
	}
	for i := range d.workspaces {
		w := &d.workspaces[i]
		if !isName(w.Name) {
			faults = append(faults, fmt.Errorf("workspaces[%d].name: %q: want a letter, then letters, digits and dashes, all lower case, 63 at most", i, w.Name))
		}
		if d.byName[w.Name] != nil {
			faults = append(faults, fmt.Errorf("workspaces[%d].name: %q stands twice", i, w.Name))
		}
		d.byName[w.Name] = w
		faults = append(faults, w.check()...)
	}
	return d, errors.Join(faults...)
}

// isName keeps out names that look alike, and those with "_" that are our own.
func isName(s string) bool {
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != "" && len(s) <= 63
}

func (w *Workspace) check() []error {
	var faults []error
	seen := map[spiffeid.ID]bool{}
	for _, id := range w.Operators {
		if id.IsZero() || seen[id] {
			faults = append(faults, fmt.Errorf("workspace %s: operator %q is empty or stands twice", w.Name, id))
		}
		seen[id] = true
	}
	clear(seen)
	for i := range w.Orchestrators {
		o := &w.Orchestrators[i]
		if o.ID.IsZero() || seen[o.ID] {
			faults = append(faults, fmt.Errorf("workspace %s: orchestrator %q is empty or stands twice", w.Name, o.ID))
		}
		seen[o.ID] = true
		if o.Sandboxes.IsZero() || o.Sandboxes.Path() == "" {
			faults = append(faults, fmt.Errorf("workspace %s: orchestrator %s: sandboxes must be a SPIFFE ID with a path", w.Name, o.ID))
		}
		if o.MaxTTL <= 0 || !o.MaxSeverity.Valid() || len(o.Connectors) == 0 {
			faults = append(faults, fmt.Errorf("workspace %s: orchestrator %s: max_ttl, max_severity and connectors must be set", w.Name, o.ID))
		}
	}
	return faults
}

// Identity is a workload in one of its roles.
type Identity struct {
	Role         Role
	Workspace    string
	Orchestrator *Orchestrator // for OrchestratorRole
}

// Resolve finds the workspace in which id has one of the roles, tried in order. A
// named workspace must be one of them; without a name the only one is meant, or
// "default" among several. The error says CALLER_NOT_ALLOWED.
func (d *Directory) Resolve(id spiffeid.ID, workspace string, roles ...Role) (Identity, error) {
	if workspace != "" && !isName(workspace) {
		return Identity{}, notAllowed("workspace", "there is no such workspace") // not repeated: nobody has validated it yet
	}
	var found []Identity
	for i := range d.workspaces {
		w := &d.workspaces[i]
		if workspace != "" && w.Name != workspace {
			continue
		}
		if r, ok := w.role(id, roles); ok {
			found = append(found, r)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0 && workspace != "":
		return Identity{}, notAllowed("workspace", fmt.Sprintf("this SPIFFE ID is no %s of the workspace %q", either(roles), workspace))
	case len(found) == 0:
		return Identity{}, notAllowed("role", "this SPIFFE ID is no "+either(roles))
	}
	for _, r := range found {
		if r.Workspace == DefaultWorkspace {
			return r, nil
		}
	}
	return Identity{}, fault.Invalid("workspace", "this SPIFFE ID belongs to several workspaces: name one")
}

func (w *Workspace) role(id spiffeid.ID, roles []Role) (Identity, bool) {
	for _, role := range roles {
		if role == OperatorRole {
			for _, o := range w.Operators {
				if o == id {
					return Identity{Role: role, Workspace: w.Name}, true
				}
			}
			continue
		}
		for i := range w.Orchestrators {
			if w.Orchestrators[i].ID == id {
				return Identity{Role: role, Workspace: w.Name, Orchestrator: &w.Orchestrators[i]}, true
			}
		}
	}
	return Identity{}, false
}

// WorkspaceOf is the workspace to which a workload belongs for the record of a
// refusal, where exactly one can be meant; else empty.
func (d *Directory) WorkspaceOf(id spiffeid.ID) string {
	name := ""
	for i := range d.workspaces {
		w := &d.workspaces[i]
		_, known := w.role(id, []Role{OperatorRole, OrchestratorRole})
		for j := range w.Orchestrators {
			known = known || w.Orchestrators[j].MayBind(id)
		}
		if !known {
			continue
		}
		if name != "" {
			return ""
		}
		name = w.Name
	}
	return name
}

// notAllowed is a refusal that another identity, or the name of another workspace, mends.
func notAllowed(mend, public string) error {
	return fault.New(fault.CallerNotAllowed, public, nil).With("mend", mend)
}

func either(roles []Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return strings.Join(names, " or ")
}
