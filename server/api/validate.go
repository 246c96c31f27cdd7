package api

import (
	"errors"
	"fmt"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"

	"github.com/onedoor/onedoor/server/fault"
)

// NewValidate checks requests by the rules that stand in the .proto files, and names
// the first field that breaks one.
func NewValidate(messages ...proto.Message) (func(proto.Message) error, error) {
	v, err := protovalidate.New(protovalidate.WithMessages(messages...))
	if err != nil {
		return nil, fmt.Errorf("request rules: %w", err)
	}
	return func(m proto.Message) error {
		err := v.Validate(m, protovalidate.WithFailFast())
		if err == nil {
			return nil
		}
		var broken *protovalidate.ValidationError
		if errors.As(err, &broken) && len(broken.Violations) > 0 {
			first := broken.Violations[0]
			field := protovalidate.FieldPathString(first.Proto.GetField())
			if field == "" {
				field = "request"
			}
			return fault.Invalid(field, first.Proto.GetMessage())
		}
		return fault.New(fault.Internal, "internal error", err)
	}, nil
}
