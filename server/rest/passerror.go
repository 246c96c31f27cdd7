package rest

import (
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	"github.com/onedoor/onedoor/server/fault"
)

// shouldRetry tells the SDKs of OpenAI and Anthropic what to do. Left to themselves
// they repeat after 408, 409, 429 and every 5xx.
const shouldRetry = "X-Should-Retry"

// passProblem is a refusal in the form that the SDKs show: OpenAI's and Google's read
// `error`, Anthropic's wants `type` beside it. Most other clients look for `message`, and
// ours for what all errors over REST have.
type passProblem struct {
	Type  string    `json:"type"` // "error"
	Error passError `json:"error"`
	problem
}

type passError struct {
	Message string `json:"message"` // the reason first: not every SDK shows the code
	Type    string `json:"type"`    // "onedoor_error"
	Code    string `json:"code"`    // the reason
	Status  string `json:"status"`  // the same, where Google's SDK looks for it
	Param   string `json:"param,omitempty"`
	// Metadata is that of the reason, the invocation id among it.
	Metadata map[string]string `json:"metadata,omitempty"`
}

// failPass answers with an error of the chain.
func failPass(w http.ResponseWriter, err error, keyed bool) {
	st := statusOf(err)
	writePassError(w, runtime.HTTPStatusFromCode(st.Code()), st, keyed)
}

// writePassError answers with a refusal. keyed: an idempotency key came with the call.
func writePassError(w http.ResponseWriter, code int, st *status.Status, keyed bool) {
	info := infoOf(st)
	reason := info.GetReason()
	p := passError{Message: reason + ": " + st.Message(), Type: "onedoor_error", Code: reason, Status: reason, Param: info.GetMetadata()["field"], Metadata: info.GetMetadata()}
	if reason == "" {
		p.Code, p.Status, p.Message = st.Code().String(), st.Code().String(), st.Message()
	} else {
		w.Header().Set("X-Onedoor-Reason", reason)
	}
	if id := info.GetMetadata()["invocation_id"]; id != "" {
		w.Header().Set("X-Onedoor-Invocation-Id", id)
	}
	if !mayRepeat(fault.Reason(reason), keyed) {
		w.Header().Set(shouldRetry, "false")
	}
	rest := problemOf(st)
	rest.Message = p.Message
	body, err := appendJSON(nil, passProblem{Type: "error", Error: p, problem: rest})
	if err != nil {
		code, body = http.StatusInternalServerError, []byte(`{"type":"error","error":{"message":"internal error","type":"onedoor_error"}}`)
	}
	writeAdvice(w, code, st)
	writeJSON(w, code, body)
}

// mayRepeat reports whether a program may make the call again by itself: where nothing
// was sent, or sending again does no harm, and a later try may go better. A call that
// was begun has used its idempotency key up.
func mayRepeat(reason fault.Reason, keyed bool) bool {
	switch reason {
	case fault.RateLimited, fault.StoreUnavailable, fault.AuditUnavailable:
		return true
	case fault.UpstreamUnavailable, fault.UpstreamTimeout:
		return !keyed
	}
	return false
}

// infoOf finds the reason of a status; nil where it has none.
func infoOf(st *status.Status) *errdetails.ErrorInfo {
	for _, detail := range st.Proto().GetDetails() {
		info := &errdetails.ErrorInfo{}
		if detail.MessageIs(info) && detail.UnmarshalTo(info) == nil {
			return info
		}
	}
	return nil
}
