package rest

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// errUndecodable only tells the gateway that the call's fault is set.
var errUndecodable = errors.New("rest: the body was refused")

// marshaler is the gateway's view of our JSON. Answers hold every scalar and list,
// also empty ones, so that a reader need not know protobuf's defaults.
type marshaler struct{ runtime.Marshaler }

func newMarshaler() marshaler {
	return marshaler{&runtime.JSONPb{MarshalOptions: protojson.MarshalOptions{EmitDefaultValues: true}}}
}

// NewDecoder decodes the body of a call; the call keeps what is wrong with it,
// because the gateway would make of the error a text.
func (marshaler) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		b, isBody := r.(*body)
		msg, isMessage := v.(proto.Message)
		if !isBody || !isMessage {
			return errUndecodable
		}
		if b.call.fault = decode(b.data, msg, b.call.path); b.call.fault != nil {
			return errUndecodable
		}
		return nil
	})
}

// Marshal writes an answer.
func (m marshaler) Marshal(v any) ([]byte, error) {
	if answer, ok := v.(*onedoorv1.InvokeResponse); ok {
		return marshalAnswer(answer)
	}
	return m.Marshaler.Marshal(v)
}

// head is what Invoke's answer and a stream's first event share.
type head struct {
	InvocationID string            `json:"invocationId"`
	Status       int32             `json:"status"`
	Headers      map[string]string `json:"headers"`
	ContentType  string            `json:"contentType"`
}

// hasHead is an answer or a stream's first event.
type hasHead interface {
	GetInvocationId() string
	GetStatus() int32
	GetHeaders() map[string]string
	GetContentType() string
}

func headOf(m hasHead) head {
	h := head{m.GetInvocationId(), m.GetStatus(), m.GetHeaders(), m.GetContentType()}
	if h.Headers == nil {
		h.Headers = map[string]string{} // an object, never null
	}
	return h
}

// marshalAnswer puts a JSON body into the answer byte for byte: an encoder would at
// least compact it.
func marshalAnswer(a *onedoorv1.InvokeResponse) ([]byte, error) {
	if len(a.GetBody()) == 0 {
		return appendJSON(nil, headOf(a))
	}
	if !isJSON(a.GetContentType(), a.GetBody()) {
		return appendJSON(nil, struct {
			head
			Body []byte `json:"bodyBase64"`
		}{headOf(a), a.GetBody()})
	}
	const space = 512 // of an ordinary head
	b, err := appendJSON(make([]byte, 0, len(a.GetBody())+space), headOf(a))
	if err != nil {
		return nil, err
	}
	b = append(b[:len(b)-1], `,"body":`...)
	b = append(b, a.GetBody()...)
	return append(b, '}'), nil
}

// isJSON reports whether the body is said to be JSON and is: one value, in UTF-8, so
// that the answer around it stays valid.
func isJSON(contentType string, body []byte) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
		return false
	}
	return utf8.Valid(body) && json.Valid(body)
}
