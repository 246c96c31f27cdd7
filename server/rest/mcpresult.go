package rest

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/grpc/status"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/limit"
)

// metaPrefix is before every name of ours in the `_meta` of a result.
const metaPrefix = "onedoor/"

// resultOf makes a tool's result of the upstream's answer. Its 4xx and 5xx are errors of
// the tool, which the model may mend.
func resultOf(a *onedoorv1.InvokeResponse) *mcp.CallToolResult {
	code := int(a.GetStatus())
	r := &mcp.CallToolResult{
		Meta:    mcp.Meta{metaPrefix + "invocation_id": a.GetInvocationId(), metaPrefix + "status": code},
		IsError: code >= http.StatusBadRequest,
	}
	if len(a.GetHeaders()) > 0 {
		r.Meta[metaPrefix+"headers"] = a.GetHeaders()
	}
	if code < 200 || code > 299 || len(a.GetBody()) == 0 {
		r.Content = append(r.Content, &mcp.TextContent{Text: strings.TrimSpace(fmt.Sprintf("HTTP status %d %s", code, http.StatusText(code)))})
	}
	if len(a.GetBody()) == 0 {
		return r
	}
	r.Content = append(r.Content, contentOf(a))
	if isJSON(a.GetContentType(), a.GetBody()) && isFlatObject(a.GetBody()) {
		r.StructuredContent = json.RawMessage(a.GetBody())
	}
	return r
}

// contentOf gives the body in the form that its media type asks for.
func contentOf(a *onedoorv1.InvokeResponse) mcp.Content {
	media, _, err := mime.ParseMediaType(a.GetContentType())
	if err != nil {
		media = ""
	}
	family, _, _ := strings.Cut(media, "/")
	switch {
	case isText(media) && utf8.Valid(a.GetBody()):
		return &mcp.TextContent{Text: string(a.GetBody())}
	case family == "image":
		return &mcp.ImageContent{Data: a.GetBody(), MIMEType: media}
	case family == "audio":
		return &mcp.AudioContent{Data: a.GetBody(), MIMEType: media}
	}
	return &mcp.EmbeddedResource{Resource: &mcp.ResourceContents{
		URI: "onedoor:invocation/" + a.GetInvocationId(), MIMEType: media, Blob: a.GetBody(),
	}}
}

// isText reports whether a media type is one of text; what has none is taken for text.
func isText(media string) bool {
	switch media {
	case "", "application/json", "application/xml", "application/javascript", "application/x-ndjson", "application/jsonl",
		"application/yaml", "application/sql", "application/graphql", "application/x-www-form-urlencoded":
		return true
	}
	return strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "+json") || strings.HasSuffix(media, "+xml") || strings.HasSuffix(media, "+yaml")
}

// deepest is how deep structured content may be: parsers of some clients give up at a few
// hundred, and with them the whole answer would be lost. What is deeper stays text.
const deepest = 64

// isFlatObject reports whether valid JSON is an object, nested no deeper than clients read.
func isFlatObject(body []byte) bool {
	depth, quoted, object := 0, false, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			if depth == 0 {
				object = c == '{'
			}
			if depth++; depth > deepest {
				return false
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return object
}

// refusalOf makes a tool's result of a refusal: reason, message and what to do, in words
// for the model and under `_meta` for programs.
func refusalOf(st *status.Status, data map[string]string, text string) *mcp.CallToolResult {
	meta := mcp.Meta{}
	for name, value := range data {
		meta[metaPrefix+name] = value
	}
	if text == st.Message() { // no reason of ours
		text = st.Code().String() + ": " + text
	}
	wait := retryAfter(st)
	if wait > 0 {
		meta[metaPrefix+"retry_after_seconds"] = wait
	}
	text += "\n" + advice(fault.Reason(data["reason"]), data, wait)
	if id := data["invocation_id"]; id != "" {
		text += "\nInvocation " + id
	}
	return &mcp.CallToolResult{Meta: meta, IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: text}}}
}

// advice says whether the call may be made again. docs/errors.md has it at length.
func advice(reason fault.Reason, data map[string]string, wait int64) string {
	switch {
	case data["upstream_status"] != "":
		return "The call was made: find out whether it took effect before you make it again."
	case mayRepeat(reason, false) && wait > 0:
		return "Nothing took effect: the call may be made again after " + strconv.FormatInt(wait, 10) + " s."
	case mayRepeat(reason, false):
		return "The call may be made again later."
	}
	switch reason {
	case fault.GrantExpired: // also cuts a call that runs
		return "If the call was running when the grant ended it may have taken effect; another one will be refused."
	case fault.ArgumentInvalid:
		return "Nothing was sent: mend the argument and call again."
	case fault.OutcomeUnknown, fault.Internal, "":
		return "The call may have taken effect: find out before you make it again."
	}
	return "Nothing was sent, and the same call will be refused again."
}

// droppedFault says that an answer found no room when it was put into its last form.
func droppedFault(a *onedoorv1.InvokeResponse) *fault.Error {
	return limit.DroppedFault().With("invocation_id", a.GetInvocationId()).With("upstream_status", strconv.Itoa(int(a.GetStatus())))
}
