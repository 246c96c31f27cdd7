package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/limit"
)

// streams reports whether the answer is one that comes piece by piece. The SDKs of
// OpenAI and Anthropic read every other one to its end before their caller sees it, and
// where it breaks off they make the call again by themselves: at a second cost, whatever
// the reason was. So such an answer is begun only when it is whole, and a call whose
// answer does not become whole gets an error that says not to repeat it.
func (s *sent) streams() bool {
	m := s.bound.Connector.Model
	if m == nil || m.Dialect == connector.Gemini { // whose streams may be plain JSON
		return true
	}
	kind, _, _ := strings.Cut(s.answer.ContentType, ";")
	return strings.EqualFold(strings.TrimSpace(kind), "text/event-stream")
}

// counted hands an answer over that was read to its end and settled.
func (s *sent) counted(ctx context.Context, sink Sink) (int64, error) {
	answer, _, err := s.whole(ctx)
	if err != nil {
		return 0, err
	}
	whole := &held{sink: sink, status: answer.Status, headers: answer.Headers, contentType: answer.ContentType, body: answer.Body}
	if err := whole.release(); err != nil {
		return 0, fmt.Errorf("relay: %w", err)
	}
	return int64(len(answer.Body)), nil
}

// held is a Sink that keeps an answer until it is whole. Its size is bounded by the
// tool's, as that of Invoke is.
type held struct {
	sink        Sink
	status      int
	headers     map[string]string
	contentType string
	body        []byte
	hold        *limit.Hold
}

// Head keeps the head.
func (h *held) Head(status int, headers map[string]string, contentType string) error {
	h.status, h.headers, h.contentType = status, headers, contentType
	return nil
}

// Data keeps a piece.
func (h *held) Data(piece []byte) error {
	if h.hold.Add(int64(len(piece))) != nil {
		return limit.DroppedFault()
	}
	h.body = append(h.body, piece...)
	return nil
}

// release hands all of it over.
func (h *held) release() error {
	if err := h.sink.Head(h.status, h.headers, h.contentType); err != nil {
		return err
	}
	for piece := range slices.Chunk(h.body, relayBuffer) {
		if err := h.sink.Data(piece); err != nil {
			return err
		}
	}
	return nil
}
