package sidecar

import (
	"encoding/json"
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"

	"github.com/onedoor/onedoor/client"
)

// The sidecar's own reasons. Those that are the broker's too mean the same as there.
const (
	reasonPath      = "PATH_UNKNOWN"
	reasonHost      = "HOST_REFUSED"
	reasonOrigin    = "ORIGIN_REFUSED"
	reasonBody      = "BODY_CUT"
	reasonIdentity  = "NO_IDENTITY"
	reasonBroker    = "BROKER_UNAVAILABLE"
	reasonUntrusted = "BROKER_UNTRUSTED"
	reasonUnknown   = string(client.OutcomeUnknown)
	reasonBusy      = string(client.RateLimited)
)

// answer is an error of the sidecar's own.
type answer struct {
	status  int
	reason  string
	message string
	// retryAfter is in seconds; above zero means that nothing was sent and that a later
	// try may go better.
	retryAfter int
}

// body has what each kind of client looks for: our own the members of google.rpc.Status,
// as the broker's REST API answers; OpenAI's and Google's SDKs `error`, Anthropic's
// `type` beside it.
type body struct {
	Code    codes.Code  `json:"code"`
	Message string      `json:"message"`
	Details []errorInfo `json:"details"`
	Type    string      `json:"type"`
	Error   sdkError    `json:"error"`
}

// errorInfo is a google.rpc.ErrorInfo.
type errorInfo struct {
	Type     string            `json:"@type"`
	Reason   string            `json:"reason"`
	Domain   string            `json:"domain"`
	Metadata map[string]string `json:"metadata"`
}

type sdkError struct {
	Message string `json:"message"` // the reason first: not every SDK shows the code
	Type    string `json:"type"`
	Code    string `json:"code"`
	Status  string `json:"status"`
}

// The domains of a reason. A client decides on the broker's; ours cannot be taken for one
// unless it means the same.
const (
	brokerDomain = "onedoor"
	ownDomain    = "onedoor.sidecar"
)

// grpcCode is what the HTTP status is in a google.rpc.Status.
func (a *answer) grpcCode() codes.Code {
	switch {
	case a.reason == reasonUnknown:
		return codes.Unknown
	case a.status == http.StatusBadRequest:
		return codes.InvalidArgument
	case a.status == http.StatusForbidden:
		return codes.PermissionDenied
	case a.status == http.StatusNotFound:
		return codes.NotFound
	case a.status == http.StatusTooManyRequests:
		return codes.ResourceExhausted
	}
	return codes.Unavailable
}

// write sends the answer.
func (a *answer) write(w http.ResponseWriter) {
	domain := ownDomain
	if a.reason == reasonUnknown || a.reason == reasonBusy {
		domain = brokerDomain
	}
	text, err := json.Marshal(body{
		Code: a.grpcCode(), Message: a.message,
		Details: []errorInfo{{
			Type: "type.googleapis.com/google.rpc.ErrorInfo", Reason: a.reason, Domain: domain, Metadata: map[string]string{"by": "sidecar"},
		}},
		Type:  "error",
		Error: sdkError{Message: a.reason + ": " + a.message, Type: "onedoor_error", Code: a.reason, Status: a.reason},
	})
	if err != nil { // strings always marshal
		a.status, text = http.StatusInternalServerError, []byte(`{"code":13,"message":"internal error","details":[]}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Onedoor-Reason", a.reason)
	if a.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(a.retryAfter))
	} else {
		h.Set("X-Should-Retry", "false") // the SDKs repeat every 5xx by themselves
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(text) // fails only if the client is gone
}
