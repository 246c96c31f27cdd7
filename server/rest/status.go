package rest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/onedoor/onedoor/server/fault"
)

// errorDomain is the domain of every ErrorInfo of ours.
const errorDomain = "onedoor"

// refusal is an answer given before the chain was reached.
type refusal struct {
	http   int
	status *status.Status
}

func badRequest(f *fault.Error) *refusal {
	return &refusal{http.StatusBadRequest, invalid(f)}
}

// invalid is the status of an ARGUMENT_INVALID.
func invalid(f *fault.Error) *status.Status { return statusWith(codes.InvalidArgument, f) }

// statusWith makes a status that carries a fault's public part.
func statusWith(code codes.Code, f *fault.Error) *status.Status {
	st := status.New(code, f.Public)
	with, err := st.WithDetails(&errdetails.ErrorInfo{Reason: string(f.Reason), Domain: errorDomain, Metadata: f.Metadata})
	if err != nil {
		return st
	}
	return with
}

// statusOf gives the error's status; an error without one tells the caller nothing.
func statusOf(err error) *status.Status {
	if st, ok := status.FromError(err); ok && st.Code() != codes.OK {
		return st
	}
	return status.Convert(internal())
}

// problem is the body of every error, and the error event of a stream.
type problem struct {
	Code    codes.Code        `json:"code"`
	Message string            `json:"message"`
	Details []json.RawMessage `json:"details"`
}

// problemOf keeps the details that are meant for callers, ErrorInfo and RetryInfo.
func problemOf(st *status.Status) problem {
	p := problem{Code: st.Code(), Message: st.Message(), Details: []json.RawMessage{}}
	for _, detail := range st.Proto().GetDetails() {
		detail, p.Message = inRESTWords(detail, p.Message)
		if !detail.MessageIs((*errdetails.ErrorInfo)(nil)) && !detail.MessageIs((*errdetails.RetryInfo)(nil)) {
			continue
		}
		if text, err := protojson.Marshal(detail); err == nil {
			p.Details = append(p.Details, text)
		}
	}
	return p
}

// inRESTWords names the arguments as REST callers know them: the chain says
// arguments_json. What was refused before the chain (it has no invocation id) speaks of
// the caller's own words, and stays.
func inRESTWords(detail *anypb.Any, message string) (*anypb.Any, string) {
	const theirs, ours = "arguments_json", "arguments"
	info := &errdetails.ErrorInfo{}
	if detail.UnmarshalTo(info) != nil || info.GetMetadata()["field"] != theirs || info.GetMetadata()["invocation_id"] == "" {
		return detail, message
	}
	info.Metadata["field"] = ours
	renamed, err := anypb.New(info)
	if err != nil {
		return detail, message
	}
	return renamed, strings.Replace(message, theirs+":", ours+":", 1)
}

// writeError answers with an error under the HTTP status of its code.
func writeError(w http.ResponseWriter, err error) {
	st := statusOf(err)
	writeStatus(w, runtime.HTTPStatusFromCode(st.Code()), st)
}

// writeStatus answers with an error under the HTTP status given.
func writeStatus(w http.ResponseWriter, code int, st *status.Status) {
	body, err := appendJSON(nil, problemOf(st))
	if err != nil {
		code, body = http.StatusInternalServerError, []byte(`{"code":13,"message":"internal error","details":[]}`)
	}
	writeAdvice(w, code, st)
	writeJSON(w, code, body)
}

// writeAdvice sets the headers that tell a client how to go on after an error.
func writeAdvice(w http.ResponseWriter, code int, st *status.Status) {
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if seconds := retryAfter(st); seconds > 0 && (code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable) {
		w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
}

// writeJSON answers with a JSON text.
func writeJSON(w http.ResponseWriter, code int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // fails only if the client is gone
}

// retryAfter gives RetryInfo's delay in whole seconds, rounded up; 0 if there is none.
func retryAfter(st *status.Status) int64 {
	for _, detail := range st.Proto().GetDetails() {
		if delay := retryDelay(detail); delay > 0 {
			return int64((delay + time.Second - 1) / time.Second)
		}
	}
	return 0
}

func retryDelay(detail *anypb.Any) time.Duration {
	var info errdetails.RetryInfo
	if !detail.MessageIs(&info) || detail.UnmarshalTo(&info) != nil {
		return 0
	}
	return info.GetRetryDelay().AsDuration()
}

// appendJSON appends v as one line of JSON, without escaping what only HTML minds.
func appendJSON(b []byte, v any) ([]byte, error) {
	buf := bytes.NewBuffer(b)
	e := json.NewEncoder(buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
