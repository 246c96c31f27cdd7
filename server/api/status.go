package api

import (
	"context"
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/fault"
)

// errorDomain is the domain of every ErrorInfo of ours.
const errorDomain = "onedoor"

// codeOfReason is the gRPC code of a reason; rest derives the HTTP status from it.
func codeOfReason(r fault.Reason) codes.Code {
	switch r {
	case fault.SVIDMissing, fault.SVIDInvalid, fault.SVIDExpired, fault.TaskKeyInvalid, fault.TaskEnded:
		return codes.Unauthenticated
	case fault.GrantMissing, fault.GrantExpired, fault.SeverityExceeded, fault.ResourceNotGranted,
		fault.DelegationWidens, fault.ApprovalRequired, fault.CallerNotAllowed, fault.EgressDenied:
		return codes.PermissionDenied
	case fault.ArgumentInvalid:
		return codes.InvalidArgument
	case fault.ConnectorUnknown, fault.ToolUnknown, fault.TaskUnknown, fault.CredentialUnknown:
		return codes.NotFound
	case fault.CredentialMissing, fault.CredentialNeedsReconnect, fault.ConnectorChanged, fault.LimitReached:
		return codes.FailedPrecondition
	case fault.Conflict:
		return codes.Aborted
	case fault.RateLimited, fault.AnswerDropped:
		return codes.ResourceExhausted
	case fault.ResponseTooLarge:
		return codes.OutOfRange
	case fault.UpstreamTimeout:
		return codes.DeadlineExceeded
	case fault.UpstreamUnavailable, fault.StoreUnavailable, fault.AuditUnavailable, fault.IssuerUnavailable:
		return codes.Unavailable
	case fault.OutcomeUnknown:
		return codes.Unknown
	}
	return codes.Internal
}

// toStatus is the one place where an error becomes what a caller sees: reason, public
// text, metadata and the invocation id. The cause stays behind.
func toStatus(err error, invocationID string) error {
	if err == nil {
		return nil
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		switch {
		case errors.Is(err, context.Canceled):
			return status.Error(codes.Canceled, "the caller went away")
		case errors.Is(err, context.DeadlineExceeded):
			return status.Error(codes.DeadlineExceeded, "the call's deadline has passed")
		}
		if s, ok := status.FromError(err); ok && s.Code() != codes.Unknown {
			return err // gRPC's own: a stream that broke, a method of health or reflection
		}
		f = fault.From(err)
	}
	info := &errdetails.ErrorInfo{Reason: string(f.Reason), Domain: errorDomain, Metadata: map[string]string{"invocation_id": invocationID}}
	for k, v := range f.Metadata {
		info.Metadata[k] = v
	}
	s := status.New(codeOfReason(f.Reason), f.Public)
	detailed, derr := s.WithDetails(info)
	if derr == nil && f.RetryAfter > 0 {
		detailed, derr = detailed.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(f.RetryAfter)})
	}
	if derr != nil {
		return s.Err()
	}
	return detailed.Err()
}

// Refused is what a caller sees of a call that its transport refuses before it comes to the
// chain: logged and counted like those that the chain refuses, under an id of its own. It
// does not stand in the trail: nobody has proved yet to be the caller. Any method may be
// named, since only those of the table are counted by name.
func (c *Chain) Refused(ctx context.Context, method string, err error) error {
	in := &call{method: method, id: c.o.NewID(), began: time.Now()}
	in.peer.Address = authn.Address(ctx)
	return toStatus(c.measured(ctx, in, func(context.Context) error { return err }), in.id)
}

func codeOf(err error) string { return status.Code(err).String() }
