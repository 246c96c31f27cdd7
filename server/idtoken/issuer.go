package idtoken

import (
	"errors"
	"fmt"
	"slices"

	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/task"
)

// DefaultSubjectClaim is the one claim that an issuer never gives to another person
// (OpenID Connect Core 1.0, section 5.7).
const DefaultSubjectClaim = "sub"

// emailClaim is whatever somebody typed in, until the issuer says email_verified.
const emailClaim = "email"

// Issuer is an OpenID provider whose ID tokens are accepted.
type Issuer struct {
	// URL is its issuer identifier, exactly as `iss` of its tokens has it: https, a host
	// name, perhaps a port and a path.
	URL string
	// Audiences are the client ids for which its tokens may be made out. A token that
	// names any other audience beside them is refused.
	Audiences []string
	// SubjectClaim names the claim, a string, that says who the user is. Default: "sub".
	SubjectClaim string
	// Workspaces are those in which its tokens count.
	Workspaces []string
	// Policy bounds the connections over which its keys are fetched.
	Policy egress.Policy
}

// Check reports everything that is wrong with a list of issuers, each fault with its
// place in the list.
func Check(issuers []Issuer) error {
	var faults []error
	fault := func(i int, format string, args ...any) {
		faults = append(faults, fmt.Errorf("issuers[%d].%s", i, fmt.Sprintf(format, args...)))
	}
	seen := map[place]bool{}
	for i, one := range issuers {
		if one.URL == task.LocalIssuer {
			fault(i, "issuer: %q names the users whom orchestrators assert", one.URL)
		} else if l, err := egress.ParseLocation(one.URL); err != nil || l.Query != "" {
			fault(i, "issuer: want https://, a host name, perhaps a port and a path, and nothing else")
		}
		if len(one.Audiences) == 0 || slices.Contains(one.Audiences, "") {
			fault(i, "audiences: at least one is needed, and none may be empty: a token for another audience was not given to us")
		}
		if len(one.Workspaces) == 0 {
			fault(i, "workspaces: at least one is needed")
		}
		for _, w := range one.Workspaces {
			at := place{w, one.URL}
			if seen[at] {
				fault(i, "issuer: %s stands twice for the workspace %s", one.URL, w)
			}
			seen[at] = true
		}
	}
	return errors.Join(faults...)
}

// place is an issuer in one workspace.
type place struct{ workspace, issuer string }
