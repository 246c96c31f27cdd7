package grant

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onedoor/onedoor/server/fault"
)

// Request is one call as the grants see it: computed by the broker from the very
// arguments that go upstream.
type Request struct {
	Connector string
	Tool      string
	Severity  Severity
	// Resources are all that the call acts on; a call that acts on nothing is
	// refused.
	Resources []Resource
	// Now is the store's time; a zero Now is refused, since no end could be judged.
	Now time.Time
}

// Decision is the answer. Its zero value is a refusal.
type Decision struct {
	Allowed bool
	// Grant decides: the one that allows, or the one that came nearest; it may be
	// nil on a refusal. It is the Set's own: read only.
	Grant *Grant
	// Reason is empty when allowed.
	Reason fault.Reason
	// Missing says in words what would have been needed.
	Missing string
}

// Evaluate allows a call if one grant names its connector and tool, covers all of its
// resources, approves its severity and has not ended. A refusal carries the reason of
// the grant that came furthest in that order. Limits are not judged here: they are
// reserved in the transaction that records the intent.
func (s *Set) Evaluate(req Request) Decision {
	if d, ok := malformed(req); ok {
		return d
	}
	x := s.tools[toolKey{req.Connector, req.Tool}]
	if x == nil {
		return refuse(nil, fault.GrantMissing, "no grant names %s %s", req.Connector, req.Tool)
	}
	covering := x.covering(req.Resources[0])
	for _, r := range req.Resources[1:] {
		covering = intersect(covering, x.covering(r))
	}
	if len(covering) == 0 {
		return x.notCovered(req)
	}
	var tooLow, ended *Grant
	for _, i := range covering {
		g := x.grants[i]
		switch {
		case !g.approves(req.Severity):
			tooLow = first(tooLow, g)
		case g.ended(req.Now):
			ended = first(ended, g)
		default:
			return Decision{Allowed: true, Grant: g}
		}
	}
	if ended != nil {
		return refuse(ended, fault.GrantExpired, "the grant ended at %s, it is %s",
			ended.ExpiresAt.UTC().Format(time.RFC3339), req.Now.UTC().Format(time.RFC3339))
	}
	return refuse(tooLow, fault.SeverityExceeded, "the grant approves %s, %s is %s",
		tooLow.MaxSeverity, req.Tool, req.Severity)
}

// malformed refuses what cannot be evaluated.
func malformed(req Request) (Decision, bool) {
	switch {
	case !typeName(req.Connector) || !toolName(req.Tool):
		return refuse(nil, fault.GrantMissing, "the call names no connector and tool that a grant could name"), true
	case len(req.Resources) == 0 || slices.Contains(req.Resources, Resource{}):
		return refuse(nil, fault.ResourceNotGranted, "the call acts on no resource that a grant could cover"), true
	case !req.Severity.Valid():
		return refuse(nil, fault.SeverityExceeded, "the severity of %s is not known", req.Tool), true
	case req.Now.IsZero():
		return refuse(nil, fault.GrantExpired, "the time of the call is not known"), true
	}
	return Decision{}, false
}

// notCovered names the grant that leaves the fewest resources uncovered.
func (x *index) notCovered(req Request) Decision {
	nearest, most, covered := 0, 0, map[int]int{}
	for _, r := range req.Resources {
		for _, i := range x.covering(r) {
			covered[i]++
			if n := covered[i]; n > most {
				nearest, most = i, n
			}
		}
	}
	g := x.grants[nearest]
	var lacking []string
	for _, r := range req.Resources {
		if !g.covers(r) {
			lacking = append(lacking, r.text)
		}
	}
	return refuse(g, fault.ResourceNotGranted, "grant covers %s, the call acts on %s",
		list(texts(g.Resources)), list(lacking))
}

func (g *Grant) covers(r Resource) bool {
	for _, p := range g.Resources {
		if p.Covers(r) {
			return true
		}
	}
	return false
}

func refuse(g *Grant, reason fault.Reason, format string, args ...any) Decision {
	return Decision{Grant: g, Reason: reason, Missing: fmt.Sprintf(format, args...)}
}

func first(have, next *Grant) *Grant {
	if have != nil {
		return have
	}
	return next
}

// maxListed is how many names a message lists.
const maxListed = 5

func list(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	shown := make([]string, 0, maxListed)
	for _, n := range names[:min(len(names), maxListed)] {
		shown = append(shown, short(n))
	}
	text := strings.Join(shown, ", ")
	if more := len(names) - len(shown); more > 0 {
		return fmt.Sprintf("%s and %d more", text, more)
	}
	return text
}
