package mint

import (
	"fmt"
	"strings"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
)

const (
	// MaxDelegated is how long the grants of one delegation may be together, in bytes. Who
	// asks is a sandbox: what it asks for is recorded, stored, and read with every call of
	// the child.
	MaxDelegated = 64 << 10
	// maxPairs bounds how many names and patterns one delegation has compared: each of the
	// child's with each of the parent's.
	maxPairs = 20_000_000
)

// checkLength refuses more text than a delegation may have.
func checkLength(texts []string) error {
	total := 0
	for _, text := range texts {
		total += len(text)
	}
	if total > MaxDelegated {
		return fault.Invalid("grants", fmt.Sprintf("come to more than %d bytes together: delegate less, or in several tasks", MaxDelegated))
	}
	return nil
}

// checkEffort refuses grants that would keep the broker comparing. A pattern counts as
// all the tools for which it could stand.
func checkEffort(grants, held []grant.Grant) error {
	tools, resources := 0, 0
	for i := range held {
		tools += len(held[i].Tools)
		resources += len(held[i].Resources)
	}
	pairs := 0
	for i := range grants {
		names := len(grants[i].Tools)
		for _, t := range grants[i].Tools {
			if strings.HasSuffix(t, "*") {
				names += tools
			}
		}
		if pairs += names*tools + len(grants[i].Resources)*resources; pairs > maxPairs {
			return fault.Invalid("grants", "are too many to hold against those of this task: delegate less, or in several tasks")
		}
	}
	return nil
}
