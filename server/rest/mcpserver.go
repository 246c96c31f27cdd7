package rest

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/fault"
)

// exchange is one message on its way through the SDK.
type exchange struct {
	broker onedoorv1.BrokerClient
	// ctx is that of the HTTP request: a call ends when nobody waits for its answer any
	// more. The SDK's own context does so in the newest revision alone.
	ctx context.Context //nolint:containedctx // an exchange is the request

	denied   *status.Status // refused with an HTTP status of its own
	panicked any            // to be thrown where it is logged
}

// failed reports whether the answer is not the SDK's to give.
func (x *exchange) failed() bool { return x.denied != nil || x.panicked != nil }

const instructions = "These are the tools of other systems that this task was granted, each on the resources that its " +
	"description names. A refusal says why; what is not granted cannot be had by asking again."

// newMCPServer makes the server of one message. The tools of the task are listed through
// the chain at the time; of a call the SDK knows the one tool that it names, whatever that
// is, and what becomes of it the chain says.
func newMCPServer(x *exchange) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "onedoor", Title: "Onedoor", Version: "1"}, &mcp.ServerOptions{
		Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}},
		Instructions: instructions,
		SetCacheable: func(_ context.Context, _ mcp.Request, c *mcp.Cacheable) { *c = cacheable() },
	})
	s.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler { return x.receive(s, next) })
	return s
}

// cacheable: what is listed is for the one task, and what ends meanwhile is refused when
// it is called.
func cacheable() mcp.Cacheable {
	const ttl = 5000 // ms
	return mcp.Cacheable{TTLMs: ttl, CacheScope: "private"}
}

// receive stands before all that the SDK does by itself. It runs in a goroutine of the
// SDK's, in which a panic would be the end of the process.
func (x *exchange) receive(s *mcp.Server, next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (result mcp.Result, err error) {
		defer func() {
			if p := recover(); p != nil {
				x.panicked = p
				result, err = nil, errGivenUp()
			}
		}()
		switch params := req.GetParams().(type) {
		case *mcp.ListToolsParams:
			return x.list(params)
		case *mcp.CallToolParamsRaw:
			if params == nil || params.Name == "" {
				return nil, invalidParams("name: missing", nil)
			}
			s.AddTool(&mcp.Tool{Name: params.Name, InputSchema: json.RawMessage(`{"type":"object"}`)}, x.call)
		}
		return next(ctx, method, req)
	}
}

// errGivenUp is what the SDK is told where the answer is given elsewhere.
func errGivenUp() error {
	return &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "internal error"}
}

// deny has the HTTP answer say what is wrong.
func (x *exchange) deny(err error) error {
	x.denied = statusOf(err)
	return errGivenUp()
}

func (x *exchange) list(params *mcp.ListToolsParams) (mcp.Result, error) {
	if params != nil && params.Cursor != "" {
		return nil, invalidParams("unknown cursor: the list has one page", nil)
	}
	answer, err := x.broker.ListTools(x.ctx, &onedoorv1.ListToolsRequest{})
	if err != nil {
		return nil, x.deny(err)
	}
	result := &mcp.ListToolsResult{Cacheable: cacheable(), Tools: make([]*mcp.Tool, 0, len(answer.GetTools()))}
	for _, t := range answer.GetTools() {
		result.Tools = append(result.Tools, toolOf(t))
	}
	return result, nil
}

// call makes one call. Each has a key of its own, so that nothing on the way down can
// make it twice.
func (x *exchange) call(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	params := req.Params
	connector, _, _ := strings.Cut(params.Name, "__")
	arguments := params.Arguments
	if string(arguments) == "null" {
		arguments = nil
	}
	answer, err := x.broker.Invoke(x.ctx, &onedoorv1.InvokeRequest{
		Connector: connector, Tool: params.Name, ArgumentsJson: arguments, IdempotencyKey: uuid.NewString(),
	})
	if err != nil {
		return x.refusal(err, params.Name)
	}
	if !holdMore(x.ctx, answerCopies*len(answer.GetBody())) {
		return x.refusal(droppedAnswer(answer), params.Name)
	}
	return resultOf(answer), nil
}

// refusal tells the model what the chain or the broker says, but for what is the client's
// business: who it is, how often it may call, and which tools there are.
func (x *exchange) refusal(err error, name string) (*mcp.CallToolResult, error) {
	st := statusOf(err)
	data, text := told(st)
	reason := fault.Reason(data["reason"])
	switch {
	case st.Code() == codes.Unauthenticated, reason == fault.RateLimited, reason == fault.CallerNotAllowed:
		return nil, x.deny(err)
	case isUnknownTool(reason, data["field"]):
		return nil, invalidParams("unknown tool "+clip(name)+x.meant(name), map[string]string{"invocation_id": data["invocation_id"]})
	}
	return refusalOf(st, data, text), nil
}

// isUnknownTool: what does not exist and what was not granted sound the same.
func isUnknownTool(reason fault.Reason, field string) bool {
	switch reason {
	case fault.GrantMissing, fault.ConnectorUnknown, fault.ToolUnknown:
		return true
	case fault.ArgumentInvalid:
		return field == "connector" || field == "tool"
	}
	return false
}

// droppedAnswer is the status of a call that was made and whose answer finds no room.
func droppedAnswer(a *onedoorv1.InvokeResponse) error {
	return statusWith(codes.ResourceExhausted, droppedFault(a)).Err()
}

func invalidParams(text string, data map[string]string) error {
	e := &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: text}
	if raw, err := json.Marshal(data); err == nil && data != nil {
		e.Data = raw
	}
	return e
}
