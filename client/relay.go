package client

import (
	"context"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// relay makes a call by a request in the upstream's own form.
func (c *Client) relay(ctx context.Context, request *onedoorv1.RelayRequest) (*Stream, error) {
	o := call{key: request.GetIdempotencyKey(), needsKey: true}
	return c.stream(ctx, o, func(ctx context.Context, key string) (receiver, error) {
		request.IdempotencyKey = key
		inner, err := c.Broker().Relay(ctx, request)
		return relayed{inner}, err
	})
}

// relayed gives a relayed answer's events as those of a streamed one: they are the same
// but for their names.
type relayed struct{ inner onedoorv1.Broker_RelayClient }

// Recv implements receiver.
func (r relayed) Recv() (*onedoorv1.InvokeStreamResponse, error) {
	event, err := r.inner.Recv()
	if err != nil {
		return nil, err
	}
	switch e := event.GetEvent().(type) {
	case *onedoorv1.RelayResponse_Head:
		return &onedoorv1.InvokeStreamResponse{Event: &onedoorv1.InvokeStreamResponse_Head{Head: e.Head}}, nil
	case *onedoorv1.RelayResponse_Data:
		return &onedoorv1.InvokeStreamResponse{Event: &onedoorv1.InvokeStreamResponse_Data{Data: e.Data}}, nil
	case *onedoorv1.RelayResponse_End:
		return &onedoorv1.InvokeStreamResponse{Event: &onedoorv1.InvokeStreamResponse_End{End: e.End}}, nil
	}
	return &onedoorv1.InvokeStreamResponse{}, nil // neither: whoever reads it says so
}
