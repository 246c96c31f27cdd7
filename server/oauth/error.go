package oauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/onedoor/onedoor/server/egress"
)

// Kind says what a failed request means for what was sent with it.
type Kind int

// The kinds.
const (
	// NotSent: nothing of it left; the same may be sent again.
	NotSent Kind = iota + 1
	// Busy: the provider says that it did not look at it, and to come back later.
	Busy
	// Refused: the provider says no. Nothing was consumed that was still good.
	Refused
	// Unclear: it may have been done: the answer was lost, or makes no sense. A token
	// that can be used once must not be sent again.
	Unclear
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case NotSent:
		return "not sent"
	case Busy:
		return "busy"
	case Refused:
		return "refused"
	case Unclear:
		return "unclear"
	}
	return "unknown"
}

// Error is a request that gave no token. Its text holds nothing that the provider
// wrote, but for a code of the registry.
type Error struct {
	Kind Kind
	// Code is an error code of the registry, for instance "invalid_grant", or
	// "other_error". Empty where the provider gave none.
	Code string
	// Status is that of the answer; 0 where there was none.
	Status int
	// RetryAfter is what the provider asks to be given; 0 where it says nothing.
	RetryAfter time.Duration

	cause error
}

// Error gives kind, code and cause.
func (e *Error) Error() string {
	text := "token endpoint: " + e.Kind.String()
	if e.Code != "" {
		text += " (" + e.Code + ")"
	}
	if e.Status != 0 {
		text += ", status " + strconv.Itoa(e.Status)
	}
	return text + ": " + e.cause.Error()
}

// Unwrap gives the cause, which is as safe to print.
func (e *Error) Unwrap() error { return e.cause }

var (
	errRefused  = errors.New("the provider refused")
	errBusy     = errors.New("the provider asks to be left alone for now")
	errNoAnswer = errors.New("the provider failed")
)

// lost reduces an error of egress.
func lost(err error) *Error {
	var e *egress.Error
	if errors.As(err, &e) && !e.Sent {
		return &Error{Kind: NotSent, cause: e}
	}
	return &Error{Kind: Unclear, cause: err}
}

// refusal reads an answer that is not 200. Only 429 and 503 say that nothing was done,
// and only an error answer of RFC 6749, section 5.2, that the provider has decided.
func refusal(status int, header http.Header, body []byte, now time.Time) *Error {
	e := &Error{Status: status, RetryAfter: retryAfter(header.Get("Retry-After"), now)}
	var a struct {
		Error string `json:"error"`
	}
	worded := json.Unmarshal(body, &a) == nil && a.Error != ""
	switch {
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		e.Kind, e.cause = Busy, errBusy
	case worded && (status >= 400 && status < 500 || knownCode(a.Error) == "temporarily_unavailable"):
		decided := said(a.Error)
		e.Kind, e.Code, e.cause = decided.Kind, decided.Code, decided.cause
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound ||
		status == http.StatusMethodNotAllowed || status == http.StatusRequestEntityTooLarge:
		e.Kind, e.cause = Refused, errRefused
	default:
		e.Kind, e.cause = Unclear, errNoAnswer
	}
	return e
}

// said is what an error code means: a decision of the provider's, but for those by which
// it says that it came to none.
func said(code string) *Error {
	switch known := knownCode(code); known {
	case "temporarily_unavailable":
		return &Error{Kind: Busy, Code: known, cause: errBusy}
	case "server_error":
		return &Error{Kind: Unclear, cause: errNoAnswer}
	default:
		return &Error{Kind: Refused, Code: known, cause: errRefused}
	}
}

// maxRetryAfter bounds what a provider may ask for: a connection must not be lost for a
// mistyped header.
const maxRetryAfter = time.Hour

// retryAfter reads seconds or a date (RFC 9110, 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return min(time.Duration(min(seconds, int(maxRetryAfter/time.Second)))*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// knownCode keeps to the codes that are registered, so that nothing a provider made up
// reaches a log.
func knownCode(code string) string {
	known := []string{
		"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope", // RFC 6749, 5.2
		"invalid_target",                                           // RFC 8693, 2.2.2
		"access_denied", "server_error", "temporarily_unavailable", // RFC 6749, 4.1.2.1
		"interaction_required", "login_required", "consent_required", // OpenID Connect Core, 3.1.2.6
		"invalid_dpop_proof", "use_dpop_nonce", "unsupported_token_type", "slow_down", // RFC 9449, 7009, 8628
	}
	if slices.Contains(known, code) {
		return code
	}
	return "other_error"
}
