package sts

import (
	"encoding/xml"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/onedoor/onedoor/server/egress"
)

// Kind says what a failed request means.
type Kind int

// The kinds.
const (
	// Unavailable: STS cannot be reached, or asks to be left alone; later it may say yes.
	Unavailable Kind = iota + 1
	// Refused: STS says no, to the key, to the role or to who asks for it.
	Refused
	// TooMuch: the session policy is more than STS takes.
	TooMuch
	// Unclear: the answer was lost, or makes no sense.
	Unclear
)

// Error is a role that was not assumed. Its text holds nothing that STS wrote, but for a
// code that is known.
type Error struct {
	Kind Kind
	// Code is one that is known, or "other"; empty where STS gave none.
	Code string
	// Status is that of the answer; 0 where there was none.
	Status int

	cause error
}

// Error gives code, status and cause.
func (e *Error) Error() string {
	text := "STS: "
	if e.Code != "" {
		text += e.Code + ", "
	}
	if e.Status != 0 {
		text += "status " + strconv.Itoa(e.Status) + ", "
	}
	return text + e.cause.Error()
}

// Unwrap gives the cause, which is as safe to print.
func (e *Error) Unwrap() error { return e.cause }

var (
	errRefused = errors.New("STS refused")
	errBusy    = errors.New("STS asks to be left alone for now")
	errTooMuch = errors.New("the session policy is more than STS takes")
	errFailed  = errors.New("STS failed")
)

// lost reduces an error of egress.
func lost(err error) *Error {
	var e *egress.Error
	if errors.As(err, &e) && !e.Sent {
		return &Error{Kind: Unavailable, cause: e}
	}
	return &Error{Kind: Unclear, cause: err}
}

type errorAnswer struct {
	XMLName xml.Name `xml:"ErrorResponse"`
	Error   []struct {
		Code []string `xml:"Code"`
	} `xml:"Error"`
}

// refusal reads an answer that is not 200.
func refusal(status int, body []byte) *Error {
	e := &Error{Status: status, Code: codeOf(body)}
	switch {
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable || e.Code == "Throttling":
		e.Kind, e.cause = Unavailable, errBusy
	case e.Code == "PackedPolicyTooLarge":
		e.Kind, e.cause = TooMuch, errTooMuch
	case status >= 400 && status < 500:
		e.Kind, e.cause = Refused, errRefused
	default:
		e.Kind, e.cause = Unclear, errFailed
	}
	return e
}

// codeOf keeps to codes that are known, so that nothing else reaches a log.
func codeOf(body []byte) string {
	var a errorAnswer
	if readXML(body, &a) != nil || len(a.Error) != 1 || len(a.Error[0].Code) != 1 {
		return ""
	}
	known := []string{
		"AccessDenied", "InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException", "RegionDisabledException",
		"MalformedPolicyDocument", "PackedPolicyTooLarge", "ValidationError", "IncompleteSignature", "MissingAuthenticationToken",
		"OptInRequired", "RequestExpired", "Throttling", "InternalFailure", "ServiceUnavailable", "InvalidParameterValue",
	}
	if slices.Contains(known, a.Error[0].Code[0]) {
		return a.Error[0].Code[0]
	}
	return "other"
}
