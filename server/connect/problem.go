package connect

import "github.com/onedoor/onedoor/server/fault"

// Kind says what went wrong on a user's way.
type Kind string

// The kinds.
const (
	Unknown      Kind = "unknown"
	Used         Kind = "used"
	Expired      Kind = "expired"
	OtherBrowser Kind = "other_browser"
	Forged       Kind = "forged"
	Malformed    Kind = "malformed"
	Denied       Kind = "denied"
	OtherUser    Kind = "other_user"
	WrongIssuer  Kind = "wrong_issuer"
	NotProven    Kind = "not_proven"
	Refused      Kind = "refused"
	Unreachable  Kind = "unreachable"
	Changed      Kind = "changed"
	NotSetUp     Kind = "not_set_up"
	TooMany      Kind = "too_many"
	Later        Kind = "later"
	Unshown      Kind = "unshown" // connected, but that could not be written down
	Internal     Kind = "internal"
)

// Problem is an error that a user is shown. Its cause is for the log alone.
type Problem struct {
	Kind  Kind
	cause error
}

func problem(k Kind, cause error) *Problem { return &Problem{k, cause} }

// Error names the kind.
func (p *Problem) Error() string { return "connect: " + string(p.Kind) }

// Unwrap gives the cause; it may be nil.
func (p *Problem) Unwrap() error { return p.cause }

// Text is what a user is told: in one line, what happened, and what to do.
type Text struct{ Title, What, Do string }

const newLink = "Ask whoever sent you the link for a new one."

// Text gives the words for a kind. They hold nothing that came from outside.
func (k Kind) Text() Text {
	switch k {
	case Unknown:
		return Text{"This link is not known", "It was mistyped, it was used already, or it has run out: a link is good for ten minutes.", newLink}
	case Used:
		return Text{"This was done already", "A link, and each step after it, can be used once. Somebody has used this one.",
			"If that was you, go on in the window in which you began. If it was not, tell your administrator. For another try, ask for a new link."}
	case Expired:
		return Text{"The time is up", "A link is good for ten minutes, and so is each step after it. Nothing was connected.", newLink}
	case OtherBrowser:
		return Text{"This is not the browser in which you began", "Everything from the link to the account must happen in one browser, and this one did not begin it, or it does not keep cookies. Nothing was connected.",
			"Go on in the browser in which you opened the link. If you did not open one, close this window: somebody may have tried to connect an account of theirs in your name."}
	case Forged:
		return Text{"This did not come from our page", "Your browser sent something that our own page did not ask for. Nothing was connected.",
			"Open the link that you were sent and press the button there. Cookies must be allowed for this site."}
	case Malformed:
		return Text{"The answer makes no sense", "What your browser brought back cannot be read. Nothing was connected.", newLink}
	case Denied:
		return Text{"You did not agree", "The access was declined on the other side. Nothing was connected.", "If you want to connect the account after all, ask for a new link."}
	case OtherUser:
		return Text{"You are signed in as somebody else", "The link was made for another user than the one who is signed in. Nothing was connected.",
			"Sign out there, ask for a new link, and sign in as the user for whom it was made."}
	case WrongIssuer:
		return Text{"The answer came from somebody else", "Another provider answered than the one that was asked. Nothing was connected.",
			"Tell your administrator: this is how an attack looks, or a provider that was set up wrongly."}
	case NotProven:
		return Text{"Your sign-in could not be verified", "What your sign-in page said does not prove who you are. Nothing was connected.", "Tell your administrator, who finds the reason in the broker's log."}
	}
	return k.fault()
}

// fault gives the words for what no user has done wrong.
func (k Kind) fault() Text {
	switch k {
	case Refused:
		return Text{"The provider refused", "It did not accept the request. Nothing was connected.", "Tell your administrator, who finds the reason in the broker's log."}
	case Unreachable:
		return Text{"The provider did not answer", "It could not be reached, or its answer was lost. Nothing was connected.", "Try again later: " + newLink}
	case Changed:
		return Text{"What was to be connected has changed", "Since the link was made, its description was changed. Nothing was connected.", newLink}
	case NotSetUp:
		return Text{"This cannot be connected yet", "Something is missing in how it is set up. Nothing was connected.", "Tell your administrator, who finds the reason in the broker's log."}
	case TooMany:
		return Text{"Too many wrong links", "Too many links that are not known were opened from your address.", "Wait a minute, then open the link that you were sent."}
	case Later:
		return Text{"Not just now", "The broker cannot do this at the moment. Nothing was connected.", "Try again in a minute. If the link does not work any more, ask for a new one."}
	case Unshown:
		return Text{"Almost done", "The account was connected, but the broker could not write down that you are through.", "Ask your administrator whether it is there."}
	}
	return Text{"Something went wrong", "That is a fault of ours. It may be that nothing was connected.", "Tell your administrator, who finds the reason in the broker's log."}
}

// reason is how the trail names a refusal of this kind.
func (k Kind) reason() fault.Reason {
	switch k {
	case Unreachable, Refused:
		return fault.UpstreamUnavailable
	case Malformed:
		return fault.ArgumentInvalid
	case Changed:
		return fault.ConnectorChanged
	case NotSetUp:
		return fault.CredentialMissing
	case TooMany:
		return fault.RateLimited
	case Later:
		return fault.StoreUnavailable
	case Internal:
		return fault.Internal
	}
	return fault.CallerNotAllowed
}

// kindOf says what an error from below means to a user.
func kindOf(err error) Kind {
	switch fault.From(err).Reason {
	case fault.UpstreamUnavailable, fault.UpstreamTimeout, fault.IssuerUnavailable:
		return Unreachable
	case fault.CredentialNeedsReconnect:
		return Refused
	case fault.CredentialMissing, fault.ArgumentInvalid:
		return NotSetUp
	case fault.ConnectorChanged, fault.ConnectorUnknown:
		return Changed
	case fault.StoreUnavailable, fault.AuditUnavailable, fault.Conflict:
		return Later
	}
	return Internal
}
