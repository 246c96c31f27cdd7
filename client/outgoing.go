package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// MaxRequest is how large a request may be that goes through a Transport, in bytes: its
// body, path and query, and some bytes that hold them together.
const MaxRequest = 8 << 20

// keyRoom is for the key that each try brings along.
const keyRoom = 64

// meaningful are the headers without which a request would mean something else. None of
// them goes any further, so a request that has one is refused.
var meaningful = []string{
	"Expect", "Upgrade", "Content-Encoding", "Content-Range", "If-Match", "If-Unmodified-Since",
	"X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
}

// request takes from r what goes to the broker, and closes its body in any case.
func (t *Transport) request(r *http.Request) (*onedoorv1.RelayRequest, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err := t.judge(r); err != nil {
		return nil, err
	}
	key, err := single(r.Header, "Idempotency-Key")
	if err != nil {
		return nil, err
	}
	media, err := single(r.Header, "Content-Type")
	if err != nil {
		return nil, err
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	request := &onedoorv1.RelayRequest{
		Connector: t.connector, Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery,
		ContentType: media, Body: body, IdempotencyKey: idempotencyKey(key),
	}
	if request.Method == "" {
		request.Method = http.MethodGet
	}
	if request.Path == "" {
		request.Path = "/"
	}
	// What no broker takes gRPC would cut off halfway, and it would look as if the call
	// might have been made.
	if proto.Size(request)+keyRoom > MaxRequest {
		return nil, refuse("body", tooLarge)
	}
	return request, nil
}

const tooLarge = "with path and query it is more than 8 MiB, which no broker takes"

// judge refuses what is for somebody else, and what cannot be relayed as it is meant.
func (t *Transport) judge(r *http.Request) error {
	if r.URL == nil || originOf(r.URL) != t.origin {
		return refuse("url", "this transport is for "+t.origin+" alone")
	}
	if r.Host != "" {
		named := *r.URL
		if named.Host = r.Host; originOf(&named) != t.origin {
			return refuse("host", "this transport is for "+t.origin+" alone")
		}
	}
	if r.Method == http.MethodConnect {
		return refuse("method", "CONNECT cannot be relayed")
	}
	if len(r.Trailer) > 0 {
		return refuse("trailer", "trailers cannot be relayed")
	}
	refused := meaningful
	if r.Method != "" && r.Method != http.MethodGet && r.Method != http.MethodHead {
		refused = append(refused[:len(refused):len(refused)], "If-None-Match")
	}
	for name := range r.Header {
		for _, one := range refused {
			if strings.EqualFold(name, one) {
				return refuse(strings.ToLower(one), "this header cannot be relayed, and without it the request would mean something else")
			}
		}
	}
	return nil
}

// single gives a header that may stand once, however it is spelled: net/http sends names
// as they stand in the map, and a key that is passed over would let a call be made twice.
func single(h http.Header, name string) (string, error) {
	var values []string
	for spelled, these := range h {
		if strings.EqualFold(spelled, name) {
			values = append(values, these...)
		}
	}
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", refuse(strings.ToLower(name), "stands more than once")
}

// readBody reads a request's body to its end, or until the context ends.
func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	if r.ContentLength > MaxRequest {
		return nil, refuse("body", tooLarge)
	}
	stop := context.AfterFunc(r.Context(), func() { _ = r.Body.Close() }) // a body may be a pipe that nobody fills
	defer stop()
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxRequest+1))
	if ended := r.Context().Err(); ended != nil {
		return nil, unread(ended)
	}
	if err != nil {
		return nil, unread(err)
	}
	if len(body) > MaxRequest {
		return nil, refuse("body", tooLarge)
	}
	if r.ContentLength > 0 && int64(len(body)) != r.ContentLength {
		return nil, refuse("body", fmt.Sprintf("it has %d bytes where Content-Length says %d", len(body), r.ContentLength))
	}
	return body, nil
}

// unread is the error of a request whose own body could not be read.
func unread(err error) *Error {
	code := codes.InvalidArgument
	switch {
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	}
	return &Error{Message: "the request's body could not be read, and nothing was sent: " + err.Error(), code: code, cause: err}
}

// keySpace is the name space of idempotency keys that are no UUIDs: the same as over
// `/c/` of the REST API, so that a key means one call whichever way it comes.
const keySpace = "6f1a3d0c-58a2-5c1b-9d42-3b7b0a6f9e11"

// idempotencyKey is a caller's key as a UUID: the same for the same text, always.
func idempotencyKey(text string) string {
	if text == "" || uuid.Validate(text) == nil && len(text) == len(keySpace) {
		return strings.ToLower(text)
	}
	return uuid.NewSHA1(uuid.MustParse(keySpace), []byte(text)).String()
}
