package egress_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

// long is a time that no test uses up, and short one that is over at once.
const (
	long  = time.Minute
	short = 50 * time.Millisecond
)

// TestTimes: an upstream that is silent, or pauses, is given up; whatever else it may.
func TestTimes(t *testing.T) {
	ca := newAuthority(t)
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	pausing := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "one")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	early := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "no thanks") }
	for name, k := range map[string]struct {
		upstream http.HandlerFunc
		body     string
		limits   egress.Limits
		want     string // the error's text; empty: whole
	}{
		"silent":              {silent, "", egress.Limits{Total: long, FirstByte: short, Idle: long}, "no answer began in time"},
		"silent, with a body": {silent, "hello", egress.Limits{Total: long, FirstByte: short, Idle: long}, "no answer began in time"},
		"pausing":             {pausing, "", egress.Limits{Total: long, FirstByte: long, Idle: short}, "the answer paused for too long"},
		"silent, in all":      {silent, "", egress.Limits{Total: short, FirstByte: long, Idle: long}, "context deadline exceeded"},
		"pausing, in all":     {pausing, "", egress.Limits{Total: short, FirstByte: long, Idle: long}, "context deadline exceeded"},
		"before it was asked": {early, strings.Repeat("x", 4<<20), egress.Limits{Total: long, FirstByte: long, Idle: long}, ""},
		"in time":             {early, "", egress.Limits{Total: long, FirstByte: long, Idle: long}, ""},
		"without being told":  {early, "", egress.Limits{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := ca.serve(t, k.upstream)
			b := newBench(t, ca, s.Listener.Addr(), answer("127.0.0.1"))
			res, err := b.door.Do(t.Context(), b.key, b.policy, &egress.Request{Method: "POST", Origin: b.origin, Path: "/", Body: []byte(k.body)}, egress.NewAttachment(), k.limits)
			if err == nil {
				_, err = res.Bytes()
			}
			if k.want == "" {
				require.NoError(t, err)
				return
			}
			var e *egress.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, egress.TimedOut, e.Kind)
			require.True(t, e.Sent)
			require.ErrorContains(t, err, k.want)
		})
	}
}

// TestACallerMayBeSlow: while nobody reads, the upstream is not held to its pace.
func TestACallerMayBeSlow(t *testing.T) {
	ca := newAuthority(t)
	more := make(chan struct{})
	s := ca.serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "one")
		w.(http.Flusher).Flush()
		<-more
		_, _ = io.WriteString(w, "two")
	})
	b := newBench(t, ca, s.Listener.Addr(), answer("127.0.0.1"))
	res, err := b.door.Do(t.Context(), b.key, b.policy, &egress.Request{Method: "GET", Origin: b.origin, Path: "/"}, egress.NewAttachment(),
		egress.Limits{Total: long, FirstByte: long, Idle: time.Second})
	require.NoError(t, err)
	<-time.After(1100 * time.Millisecond) // the caller's own pause, longer than the upstream's may be
	close(more)
	all, err := res.Bytes()
	require.NoError(t, err)
	require.Equal(t, "onetwo", string(all))
}
