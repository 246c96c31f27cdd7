package rest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// ndjson is the media type of a streamed answer: one JSON object a line.
const ndjson = "application/x-ndjson"

// event is one line of a streamed answer; one member is set.
type event struct {
	Head       *head    `json:"head,omitempty"`
	Text       *string  `json:"text,omitempty"`
	DataBase64 []byte   `json:"dataBase64,omitempty"`
	End        *end     `json:"end,omitempty"`
	Error      *problem `json:"error,omitempty"`
}

// end closes a complete answer.
type end struct {
	BodyBytes int64 `json:"bodyBytes"`
}

// relay serves POST /v1/invoke:stream: each event is a line, sent when it comes. What
// fails before the first event is an ordinary error with its HTTP status; what fails
// later is the last line, `{"error":…}`. An answer without `{"end":…}` is not whole.
func relay(client onedoorv1.BrokerClient) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
		// The handler behind the stream ends when nobody reads any more.
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		c := callFrom(ctx)
		if c == nil {
			writeError(w, internal())
			return
		}
		var req onedoorv1.InvokeStreamRequest
		if f := decode(c.body.data, &req, c.path); f != nil {
			writeError(w, invalid(f).Err())
			return
		}
		stream, err := client.InvokeStream(ctx, &req)
		if err != nil {
			writeError(w, err)
			return
		}
		first, err := stream.Recv()
		if err != nil {
			writeError(w, err)
			return
		}
		w.Header().Set("Content-Type", ndjson)
		relayFrom(w, first, stream.Recv)
	}
}

// relayFrom writes the events until the stream or the client ends.
func relayFrom(w http.ResponseWriter, m *onedoorv1.InvokeStreamResponse, next func() (*onedoorv1.InvokeStreamResponse, error)) {
	for {
		line, known := eventOf(m)
		if writeLine(w, line) != nil || !known {
			return
		}
		var err error
		m, err = next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			_ = writeLine(w, event{Error: new(problemOf(statusOf(err)))}) // nothing follows
			return
		}
	}
}

// eventOf gives an event's line. Text is easier to read and shorter, but only valid
// UTF-8 survives in JSON: a chunk that splits a character goes as base64. An event of
// no known kind is a fault of ours and ends the stream.
func eventOf(m *onedoorv1.InvokeStreamResponse) (event, bool) {
	switch e := m.GetEvent().(type) {
	case *onedoorv1.InvokeStreamResponse_Head:
		return event{Head: new(headOf(e.Head))}, true
	case *onedoorv1.InvokeStreamResponse_Data:
		if utf8.Valid(e.Data) {
			return event{Text: new(string(e.Data))}, true
		}
		return event{DataBase64: e.Data}, true
	case *onedoorv1.InvokeStreamResponse_End:
		return event{End: &end{e.End.GetBodyBytes()}}, true
	}
	return event{Error: new(problemOf(statusOf(internal())))}, false
}

// writeLine sends one event at once.
func writeLine(w http.ResponseWriter, e event) error {
	line, err := appendJSON(nil, e)
	if err != nil {
		return err
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}
