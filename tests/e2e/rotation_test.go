package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// rotation is how long SVIDs live, and for how long calls go on. To see it for longer:
//
//	ONEDOOR_ROTATION=1m,10m go test ./tests/e2e -run TestRotationLosesNoCall -v -timeout 15m
func rotation(t *testing.T) (life, span time.Duration) {
	t.Helper()
	text := os.Getenv("ONEDOOR_ROTATION")
	if text == "" {
		return 3 * time.Second, 12 * time.Second
	}
	first, second, _ := strings.Cut(text, ",")
	life, err := time.ParseDuration(first)
	require.NoError(t, err)
	span, err = time.ParseDuration(second)
	require.NoError(t, err)
	return life, span
}

// SVIDs rotate under clients that call all the time, the sandbox's as well as the
// broker's: no call fails, none is made twice, and no stream that lives longer than the
// SVID under which it began loses a piece.
func TestRotationLosesNoCall(t *testing.T) {
	t.Parallel()
	life, span := rotation(t)
	const pieces = 20
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/things" {
			return
		}
		for range pieces {
			_, _ = w.Write([]byte("piece\n"))
			_ = http.NewResponseController(w).Flush()
			time.Sleep(life * 5 / 4 / pieces)
		}
	}))
	site := testenv.NewSite(t, "", life)
	b := site.Start(t)
	b.Apply(t, strings.ReplaceAll(upstream.Manifest("things", "", testenv.Things), "timeout: 10s", "timeout: 5m"))
	task := b.Mint(t, func(r *onedoorv1.TasksCreateRequest) { r.Ttl = durationpb.New(time.Hour) }, "things: things.get,things.find READ thing:*")
	sandbox := b.Client(t, testenv.Sandbox, task.Key)

	var calls, streams atomic.Int64
	var all sync.WaitGroup
	end := time.Now().Add(span)
	caller := func(each func() error) {
		for time.Now().Before(end) {
			if err := each(); err != nil {
				t.Errorf("after %d calls and %d streams: %v", calls.Load(), streams.Load(), err)
				return
			}
		}
	}
	for range 4 {
		all.Go(func() {
			caller(func() error {
				_, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
				calls.Add(1)
				time.Sleep(10 * time.Millisecond) // others work on this machine too
				return err
			})
		})
		all.Go(func() {
			caller(func() error {
				n, err := readThings(t, sandbox)
				streams.Add(1)
				if err == nil && n != pieces*len("piece\n") {
					err = fmt.Errorf("a stream has %d bytes", n)
				}
				return err
			})
		})
	}
	all.Wait()
	t.Logf("%d calls and %d streams in %v of SVIDs that live %v", calls.Load(), streams.Load(), span, life)
	require.EqualValues(t, calls.Load()+streams.Load(), upstream.Requests(), "none was made twice")
}

// readThings gives how many bytes a whole stream has.
func readThings(t *testing.T, sandbox *client.Client) (n int, err error) {
	stream, err := sandbox.InvokeStream(t.Context(), "things", "things.find", map[string]string{"q": "all"})
	if err != nil {
		return 0, err
	}
	for piece, err := range stream.Data() {
		if err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}
