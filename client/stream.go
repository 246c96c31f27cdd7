package client

import (
	"context"
	"errors"
	"io"
	"iter"

	"google.golang.org/grpc/codes"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// Stream is an upstream's answer as it arrives. It is not safe for concurrent use.
type Stream struct {
	// Response is the head of the answer; its Body stays empty.
	Response

	inner    receiver
	cancel   context.CancelFunc
	received int64
}

// receiver gives the events of an answer, whichever RPC they come by.
type receiver interface {
	Recv() (*onedoorv1.InvokeStreamResponse, error)
}

// InvokeStream calls one tool and returns when the head of its answer has arrived. It
// is tried again as Invoke is, until then. The caller reads Data to its end or calls
// Close.
func (c *Client) InvokeStream(ctx context.Context, connector, tool string, arguments any, opts ...CallOption) (*Stream, error) {
	text, err := argumentsJSON(arguments)
	if err != nil {
		return nil, err
	}
	return c.stream(ctx, newCall(opts), func(ctx context.Context, key string) (receiver, error) {
		return c.Broker().InvokeStream(ctx, &onedoorv1.InvokeStreamRequest{
			Connector: connector, Tool: tool, ArgumentsJson: text, IdempotencyKey: key,
		})
	})
}

// stream makes a call, as often as may be, until it has the head of an answer.
func (c *Client) stream(ctx context.Context, o call, open func(ctx context.Context, key string) (receiver, error)) (*Stream, error) {
	var s *Stream
	err := c.try(ctx, o, func(key string) (err error) {
		s, err = openStream(ctx, key, open)
		if ReasonOf(err) == SVIDExpired {
			s, err = openStream(ctx, key, open)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// openStream sends the request and reads the head.
func openStream(ctx context.Context, key string, open func(ctx context.Context, key string) (receiver, error)) (*Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	inner, err := open(ctx, key)
	if err != nil {
		cancel()
		return nil, err
	}
	event, err := inner.Recv()
	head := event.GetHead()
	if err == nil && head == nil {
		err = cut("it has no head")
	}
	if err != nil {
		cancel()
		return nil, orCut(err)
	}
	return &Stream{
		Response: Response{
			InvocationID: head.GetInvocationId(),
			Status:       int(head.GetStatus()),
			Headers:      head.GetHeaders(),
			ContentType:  head.GetContentType(),
		},
		inner: inner, cancel: cancel,
	}, nil
}

// Data gives the pieces of the body as they arrive, once. An answer that was cut short
// ends with an error, so whoever sees none has seen all of it. Data closes the stream
// however the loop ends.
func (s *Stream) Data() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		defer s.Close()
		for {
			piece, err := s.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(piece, err) || err != nil {
				return
			}
		}
	}
}

// next gives the next piece of the body, and io.EOF once the answer was whole.
func (s *Stream) next() ([]byte, error) {
	event, err := s.inner.Recv()
	if err != nil {
		return nil, s.named(orCut(err))
	}
	if end := event.GetEnd(); end != nil {
		if err := s.finish(end.GetBodyBytes() == s.received); err != nil {
			return nil, s.named(err)
		}
		return nil, io.EOF
	}
	piece, ok := event.GetEvent().(*onedoorv1.InvokeStreamResponse_Data)
	if !ok {
		return nil, s.named(cut("it holds something other than data"))
	}
	s.received += int64(len(piece.Data))
	return piece.Data, nil
}

// finish waits for the RPC to end after the answer's own end, so that the broker is not
// cancelled while it settles the call.
func (s *Stream) finish(lengthRight bool) error {
	if !lengthRight {
		return cut("its length is wrong")
	}
	switch _, err := s.inner.Recv(); {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return cut("it goes on after its end")
	default:
		return err
	}
}

// Close ends the stream. It may be called at any time, and more than once.
func (s *Stream) Close() { s.cancel() }

// named completes an error with the invocation that the head told.
func (s *Stream) named(err error) error {
	var e *Error
	if errors.As(err, &e) && e.InvocationID == "" {
		e.InvocationID = s.InvocationID
	}
	return err
}

// cut makes the error of an answer that is not whole. The call was made.
func cut(why string) *Error {
	return &Error{Reason: OutcomeUnknown, Message: ErrStreamCut.Error() + ": " + why, code: codes.Unknown, cause: ErrStreamCut}
}

// orCut turns the good end of a stream, where it comes before the answer's own end,
// into an error.
func orCut(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return cut("it ended early")
}
