package connector

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// TokenSource says where a token that is exchanged comes from.
type TokenSource string

// The sources.
const (
	// FromSlot: it is what is stored in the slot.
	FromSlot TokenSource = "stored"
	// FromAssertion: the broker says, signed, who the task's user is, or which agent acts.
	FromAssertion TokenSource = "assertion"
)

// Exchange is a token exchange (RFC 8693, section 2.1).
type Exchange struct {
	Subject TokenSource
	// SubjectType is the URI of subject_token_type.
	SubjectType string
	// Actor says that the broker's statement about the agent goes along as actor_token.
	Actor bool
	// Audience is aud of what the broker states; empty where it states nothing.
	Audience string
}

// JWTType is the type of the broker's own statements (RFC 8693, section 3).
const JWTType = "urn:ietf:params:oauth:token-type:jwt"

// PerTask reports whether what is bought for the slot says who a task's user or agent
// is, so that no two tasks may share it.
func (s Slot) PerTask() bool {
	return s.OAuth != nil && s.OAuth.Exchange != nil && (s.OAuth.Exchange.Subject == FromAssertion || s.OAuth.Exchange.Actor)
}

// States reports whether the broker signs anything about the user or the agent in a call
// of this connector.
func (c *Connector) States() bool {
	for _, s := range c.Slots {
		if s.PerTask() {
			return true
		}
	}
	return c.Assertion != nil
}

// exchange reads {subject: stored|assertion, subject_token_type: URI, actor: assertion,
// audience: ID}.
func (r *reader) exchange(n *yaml.Node) *Exchange {
	e := &Exchange{}
	var kind, audience *yaml.Node
	r.fields(n, "exchange",
		// `stored`: the token is what is stored in the slot. `assertion`: the broker says, signed, who
		// the task's user is.
		field{"subject", true, func(n *yaml.Node) {
			e.Subject = TokenSource(r.text(n, "subject", maxName))
			if e.Subject != "" && e.Subject != FromSlot && e.Subject != FromAssertion {
				r.fail(n, "subject %s: want %s or %s", quote(string(e.Subject)), FromSlot, FromAssertion)
			}
		}},
		// Its type, a URI. With `subject: stored`.
		field{"subject_token_type", false, func(n *yaml.Node) {
			if kind, e.SubjectType = n, r.identifier(n, "subject_token_type", maxAudience); !strings.Contains(e.SubjectType, ":") {
				r.fail(n, "subject_token_type: want a URI, for instance urn:ietf:params:oauth:token-type:access_token")
			}
		}},
		// `assertion`: the broker's word on which agent acts goes along as `actor_token`.
		field{"actor", false, func(n *yaml.Node) {
			if e.Actor = r.text(n, "actor", maxName) == string(FromAssertion); !e.Actor {
				r.fail(n, "actor: want %s", FromAssertion)
			}
		}},
		// `aud` of what the broker says. Default: the token endpoint's URL.
		field{"audience", false, func(n *yaml.Node) { audience, e.Audience = n, r.identifier(n, "audience", maxAudience) }},
	)
	switch {
	case e.Subject == FromSlot && kind == nil:
		r.fail(n, "exchange: subject_token_type is missing")
	case e.Subject == FromAssertion && kind != nil:
		r.fail(kind, "subject_token_type: only beside subject: %s", FromSlot)
	case e.Subject == FromSlot && !e.Actor && audience != nil:
		r.fail(audience, "audience: it is that of the broker's own statement, and there is none")
	}
	if e.Subject == FromAssertion {
		e.SubjectType = JWTType
	}
	return e
}
