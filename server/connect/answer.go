package connect

import (
	"errors"
	"net/url"
	"slices"

	"github.com/onedoor/onedoor/server/vault"
)

const (
	maxQuery  = 16 << 10
	maxCode   = 8 << 10
	maxIssuer = 1 << 10
)

// Answer is an authorization response (RFC 6749, section 4.1.2).
type Answer struct {
	// State is what the provider was given; it has the form of a token.
	State string
	// Code is there, or Error is.
	Code vault.Secret
	// Error is a code that RFC 6749 or OpenID Connect registers, or "other".
	Error string
	// Issuer is who says that it answers (RFC 9207); NamesIssuer says that iss was there.
	Issuer      string
	NamesIssuer bool
}

var errAnswer = errors.New("no authorization response (RFC 6749, section 4.1.2)")

// ReadAnswer reads the query of a redirect. Parameters that are not ours to know are
// passed over; one of ours that stands twice is refused (RFC 6749, section 3.1). The
// error repeats nothing.
func ReadAnswer(query string) (Answer, error) {
	if len(query) > maxQuery {
		return Answer{}, errAnswer
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return Answer{}, errAnswer
	}
	for _, name := range []string{"state", "code", "error", "iss"} {
		if len(values[name]) > 1 {
			return Answer{}, errAnswer
		}
	}
	a := Answer{State: values.Get("state"), Issuer: values.Get("iss"), NamesIssuer: values.Has("iss")}
	code, refused := values.Get("code"), values.Get("error")
	switch {
	case !IsToken(a.State) || len(a.Issuer) > maxIssuer:
		return Answer{}, errAnswer
	case (code == "") == (refused == ""):
		return Answer{}, errAnswer
	case refused != "":
		a.Error = knownError(refused)
		return a, nil
	case len(code) > maxCode || !visible(code):
		return Answer{}, errAnswer
	}
	a.Code = vault.NewSecret([]byte(code))
	return a, nil
}

// visible is what a code may be made of (RFC 6749, appendix A.11).
func visible(text string) bool {
	return !slices.ContainsFunc([]byte(text), func(c byte) bool { return c < ' ' || c > '~' })
}

// knownError keeps to the registered codes, so that nothing a browser brings reaches a
// log.
func knownError(code string) string {
	known := []string{
		"invalid_request", "unauthorized_client", "access_denied", "unsupported_response_type", "invalid_scope", "server_error",
		"temporarily_unavailable", "interaction_required", "login_required", "account_selection_required", "consent_required",
	}
	if slices.Contains(known, code) {
		return code
	}
	return "other"
}

// kind is what a provider's error means to a user.
func (a Answer) kind() Kind {
	switch a.Error {
	case "access_denied", "consent_required":
		return Denied
	case "server_error", "temporarily_unavailable":
		return Unreachable
	}
	return Refused
}
