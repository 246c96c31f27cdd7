package client

import (
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/grpc/codes"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// Response is an upstream's answer. A status of 4xx or 5xx is an answer as well.
type Response struct {
	// InvocationID finds the call in the audit trail.
	InvocationID string
	// Status is the upstream's HTTP status.
	Status int
	// Headers are those that the connector lets through, names in lower case.
	Headers map[string]string
	// ContentType is the body's media type as the upstream said it.
	ContentType string
	// Body is the body, byte for byte.
	Body []byte
}

// Invoke calls one tool and waits for the whole answer. arguments become one JSON
// object: nil is {}, json.RawMessage and []byte are sent as they are, anything else is
// encoded by encoding/json.
//
// Every call carries an idempotency key, random unless WithIdempotencyKey says
// otherwise. The call is tried again, four times in all with growing pauses, after
// RATE_LIMITED, STORE_UNAVAILABLE and AUDIT_UNAVAILABLE, and after UPSTREAM_UNAVAILABLE
// unless the key is the caller's own (the failed call has used it up). All of these say
// that nothing was sent. Where the answer was lost, the error is OUTCOME_UNKNOWN and
// the call is never repeated here; calling again with Error.IdempotencyKey is safe.
// Errors are *Error, but for arguments that cannot be encoded.
func (c *Client) Invoke(ctx context.Context, connector, tool string, arguments any, opts ...CallOption) (*Response, error) {
	text, err := argumentsJSON(arguments)
	if err != nil {
		return nil, err
	}
	var reply *onedoorv1.InvokeResponse
	err = c.try(ctx, newCall(opts), func(key string) (err error) {
		reply, err = c.Broker().Invoke(ctx, &onedoorv1.InvokeRequest{
			Connector: connector, Tool: tool, ArgumentsJson: text, IdempotencyKey: key,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Response{
		InvocationID: reply.GetInvocationId(),
		Status:       int(reply.GetStatus()),
		Headers:      reply.GetHeaders(),
		ContentType:  reply.GetContentType(),
		Body:         reply.GetBody(),
	}, nil
}

func newCall(opts []CallOption) call {
	o := call{needsKey: true}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// MaxArguments is the largest JSON text of arguments, in bytes, that a broker takes.
const MaxArguments = 4 << 20

// argumentsJSON gives arguments as JSON text. Whether they fit the tool is for the broker
// to say; what is too large for any is refused here, since gRPC would cut it off halfway,
// and it would look as if the call might have been made.
func argumentsJSON(arguments any) (text []byte, err error) {
	switch a := arguments.(type) {
	case nil:
		return nil, nil
	case json.RawMessage:
		text = a
	case []byte:
		text = a
	default:
		if text, err = json.Marshal(arguments); err != nil {
			return nil, fmt.Errorf("arguments: %w", err)
		}
	}
	if len(text) > MaxArguments {
		return nil, &Error{
			Reason: ArgumentInvalid, Metadata: map[string]string{"field": "arguments_json"}, code: codes.InvalidArgument,
			Message: fmt.Sprintf("arguments_json: %d bytes of JSON, at most %d; nothing was sent", len(text), MaxArguments),
		}
	}
	return text, nil
}
