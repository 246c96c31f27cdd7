package task

import (
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// maxDelegate is how long an entry may be, in bytes: a SPIFFE ID (SPIFFE-ID, section 2.3).
const maxDelegate = 2048

// ParseDelegate reads an entry of a task's delegates: a SPIFFE ID with a path, or a
// prefix of one that ends in "/". id is the ID without that slash; prefix tells them
// apart. ok is false for everything else, and for what is longer than 2048 bytes.
func ParseDelegate(text string) (id spiffeid.ID, prefix, ok bool) {
	if len(text) > maxDelegate {
		return spiffeid.ID{}, false, false
	}
	text, prefix = strings.CutSuffix(text, "/")
	id, err := spiffeid.FromString(text)
	return id, prefix, err == nil && id.Path() != ""
}

// MayDelegateTo reports whether t may delegate to a workload: it is named, or lies below
// a prefix that is. The task's own ID counts only where it is named, since a prefix that
// holds it was hardly meant so.
func (t *Task) MayDelegateTo(id spiffeid.ID) bool {
	if id.IsZero() {
		return false
	}
	if slices.Contains(t.Delegates, id.String()) {
		return true
	}
	return id != t.Sandbox && below(t.Delegates, id.String())
}

// MayPassOn reports whether t may let a child delegate to an entry of delegates: every
// workload that it names is one to which t may delegate.
func (t *Task) MayPassOn(delegate string) bool {
	if _, _, ok := ParseDelegate(delegate); !ok {
		return false
	}
	return slices.Contains(t.Delegates, delegate) || below(t.Delegates, delegate)
}

// below compares whole segments: a prefix ends in "/", and an ID has neither "." nor an
// empty segment that could lead out of it.
func below(delegates []string, text string) bool {
	return slices.ContainsFunc(delegates, func(d string) bool {
		_, prefix, ok := ParseDelegate(d)
		return ok && prefix && len(text) > len(d) && strings.HasPrefix(text, d)
	})
}
