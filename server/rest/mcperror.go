package rest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
)

// The codes of JSON-RPC errors. rpcRefused is that of what is refused with an HTTP status
// of its own, from the range that JSON-RPC 2.0 (section 5.1) leaves to servers.
const (
	rpcInvalidRequest = jsonrpc.CodeInvalidRequest
	rpcRefused        = -32000
)

// rpcFailure is a JSON-RPC answer that says what is wrong.
type rpcFailure struct {
	ID    json.RawMessage // nil: it could not be read
	Error rpcProblem
}

type rpcProblem struct {
	Code    int               `json:"code"`
	Message string            `json:"message"`
	Data    map[string]string `json:"data,omitempty"`
}

// told is what a caller hears of a status: reason and metadata in one, and the message.
// The reason stands in the message too, since that is all that most clients show.
func told(st *status.Status) (data map[string]string, text string) {
	text = st.Message()
	for _, detail := range st.Proto().GetDetails() {
		detail, renamed := inRESTWords(detail, text)
		info := &errdetails.ErrorInfo{}
		if !detail.MessageIs(info) || detail.UnmarshalTo(info) != nil {
			continue
		}
		data = map[string]string{"reason": info.GetReason()}
		for k, v := range info.GetMetadata() {
			data[k] = v
		}
		text = info.GetReason() + ": " + renamed
	}
	return data, text
}

// writeRPCError answers with a refusal under the HTTP status given.
func writeRPCError(w http.ResponseWriter, code int, id json.RawMessage, st *status.Status) {
	data, text := told(st)
	if data["reason"] != "" {
		w.Header().Set("X-Onedoor-Reason", data["reason"])
	}
	if data["invocation_id"] != "" {
		w.Header().Set("X-Onedoor-Invocation-Id", data["invocation_id"])
	}
	writeAdvice(w, code, st)
	writeRPCFailure(w, code, rpcFailure{id, rpcProblem{Code: rpcCode(code), Message: text, Data: data}})
}

// rpcCode is the JSON-RPC code that goes with an HTTP status of ours.
func rpcCode(status int) int {
	switch status {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType, http.StatusRequestEntityTooLarge:
		return rpcInvalidRequest
	}
	return rpcRefused
}

// writeUnknownMethod answers to a method that is not served. The revision of 2026-07-28
// wants a status of its own for it; before, every JSON-RPC answer had 200.
func writeUnknownMethod(w http.ResponseWriter, version string, m message) {
	code := http.StatusOK
	if version >= statuses {
		code = http.StatusNotFound
	}
	writeRPCFailure(w, code, rpcFailure{m.id, rpcProblem{Code: jsonrpc.CodeMethodNotFound, Message: "method not found: only tools are served here"}})
}

// statuses is the first revision in which JSON-RPC errors have HTTP statuses.
const statuses = "2026-07-28"

func writeRPCFailure(w http.ResponseWriter, code int, f rpcFailure) {
	if f.ID == nil {
		f.ID = json.RawMessage("null")
	}
	body, err := appendJSON(nil, struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Error   rpcProblem      `json:"error"`
	}{"2.0", f.ID, f.Error})
	if err != nil {
		code, body = http.StatusInternalServerError, []byte(`{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"internal error"}}`)
	}
	writeJSON(w, code, body)
}

// mcpWriter passes the SDK's answer on, unless the chain has refused the call: then only
// the HTTP status is left to say it. The SDK's own refusals, which are plain text, become
// JSON-RPC errors.
type mcpWriter struct {
	http.ResponseWriter
	exchange *exchange
	begun    bool
	refused  int // the status of a refusal in plain text
	text     bytes.Buffer
}

// WriteHeader begins the answer.
func (w *mcpWriter) WriteHeader(code int) {
	if w.begun {
		return
	}
	w.begun = true
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	switch {
	case w.exchange.failed():
	case code >= http.StatusBadRequest && strings.HasPrefix(h.Get("Content-Type"), "text/plain"):
		w.refused = code
	default:
		w.ResponseWriter.WriteHeader(code)
	}
}

// Write writes a part of the answer.
func (w *mcpWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.exchange.failed():
		return len(p), nil
	case w.refused != 0:
		return w.text.Write(p)
	}
	return w.ResponseWriter.Write(p)
}
