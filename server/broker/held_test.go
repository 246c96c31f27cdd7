package broker_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/fault"
)

// TestAWholeAnswerIsBegunWhenItIsWhole: what SDKs read to its end comes whole or not at
// all, so that a broken one is an error with a reason, and no broken connection that they
// make anew at a second cost.
func TestAWholeAnswerIsBegunWhenItIsWhole(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	for name, k := range map[string]struct {
		kind, body string
		breaks     bool
		limit      string
		want       fault.Reason
		begun      bool
	}{
		"whole":                         {kind: "application/json", body: answer, begun: true},
		"larger than one piece":         {kind: "application/json", body: large, begun: true},
		"without a type":                {kind: "", body: answer, begun: true},
		"larger than the tool allows":   {kind: "application/json", body: large + "x", want: fault.ResponseTooLarge},
		"larger than what is left":      {kind: "application/json", body: answer, limit: " bytes=10", want: fault.LimitReached},
		"broken off":                    {kind: "application/json", body: answer, breaks: true, want: fault.OutcomeUnknown},
		"a stream, whole":               {kind: "text/event-stream", body: piece + counted + done, begun: true},
		"a stream, broken off":          {kind: "Text/Event-Stream; charset=utf-8", body: piece, breaks: true, want: fault.OutcomeUnknown, begun: true},
		"a stream, larger than allowed": {kind: "text/event-stream", body: large + large, want: fault.ResponseTooLarge, begun: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newModelBench(t)
			b.answer(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{k.kind}
				if k.kind == "" {
					w.Header()["Content-Type"] = nil
				}
				_, _ = io.WriteString(w, k.body)
				if k.breaks {
					w.(http.Flusher).Flush()
					panic(http.ErrAbortHandler)
				}
			})
			begun := false
			s := &sink{onHead: func() error { begun = true; return nil }}
			c := b.call(t, "chat", hello, wide+k.limit)
			n, err := b.InvokeStream(t.Context(), c, s)
			require.Equal(t, k.begun, begun)
			if k.want != "" {
				require.True(t, fault.Is(err, k.want), "%v", err)
				require.NotEqual(t, audit.OK, b.outcome(t, c).Outcome)
				return
			}
			require.NoError(t, err)
			require.EqualValues(t, len(k.body), n)
			require.True(t, k.body == s.body.String() || k.kind == "text/event-stream", "byte for byte")
			require.Equal(t, audit.OK, b.outcome(t, c).Outcome)
		})
	}
}
