// Package conformance_test holds every way into the broker to the same cases: whatever the
// transport, a call sends the same to the upstream, is answered the same, refused for the
// same reason under the code and HTTP status of that reason, and recorded the same.
package conformance_test

import (
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// result is what a transport shows of one call. Code and HTTP are empty where it has no
// such thing.
type result struct {
	Code   codes.Code // of a refusal
	HTTP   int        // of a refusal
	Reason string
	Status int
	Body   string
}

// caller makes one call with the key that it is given.
type caller func(t *testing.T, key string, c testCase) result

// transport is one way into a broker.
type transport struct {
	name string
	open func(t *testing.T, b *testenv.Broker) caller
}

// shared is what the cases need beside a broker.
type shared struct {
	upstream  *recorder
	manifests []string
	prepared  sync.Once // by the first way in that runs, which with -run may be any
}

func TestConformance(t *testing.T) {
	files := readCases(t)
	site := testenv.NewSite(t, "", 0)
	s := newShared(t)
	for _, way := range transports() {
		t.Run(way.name, func(t *testing.T) {
			// A broker each: from the tenth a minute on, like refusals of one peer are
			// counted in one row, and here each is looked for.
			b := site.Start(t)
			s.prepared.Do(func() { s.prepare(t, b) })
			call := way.open(t, b)
			for file, cases := range files {
				for _, c := range cases {
					t.Run(strings.TrimSuffix(file, ".yaml")+"/"+c.Name, func(t *testing.T) { s.run(t, b, way.name, call, c) })
				}
			}
		})
	}
}

// newShared starts the upstream and describes the connectors.
func newShared(t *testing.T) *shared {
	t.Helper()
	s := &shared{upstream: &recorder{}}
	up := testenv.NewUpstream(t, s.upstream)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := "https://" + strings.Replace(closed.Addr().String(), "127.0.0.1", "localhost", 1)
	require.NoError(t, closed.Close())
	const workspace, user = "{main: {owner: workspace, attach: bearer}}", "{main: {owner: user, attach: bearer}}"
	s.manifests = []string{
		up.Manifest("things", workspace, testenv.Things),
		up.Manifest("other", workspace, testenv.Things),
		up.Manifest("personal", user, testenv.Things),
		testenv.Manifest("down", nobody, up.CA, "", testenv.Things),
	}
	return s
}

// secret is the credential of the connectors things and other.
const secret = "conformance-canary-8f2b6c1d9e4a7053"

// prepare describes the upstreams to the first broker, and thereby to all.
func (s *shared) prepare(t *testing.T, b *testenv.Broker) {
	t.Helper()
	for _, m := range s.manifests {
		b.Apply(t, m)
	}
	for _, name := range []string{"things", "other"} {
		b.Put(t, name, "", secret)
	}
}

// run makes one call of one case and looks at all that it left.
func (s *shared) run(t *testing.T, b *testenv.Broker, way string, call caller, c testCase) {
	if c.Unlike[way] != "" || way == "passthrough" && c.Passthrough == nil {
		t.Logf("not made: %s%s", c.Unlike[way], c.NoPassthrough)
		return
	}
	task := b.Mint(t, nil, c.Grants...)
	key := keyOf(t, b, task, c.Key)
	s.upstream.answerWith(c.Upstream)
	for range c.Before {
		call(t, key, c)
	}
	s.upstream.forget()
	got := call(t, key, c)

	require.Equal(t, string(c.Expect.Reason), got.Reason, "%+v", got)
	if c.Expect.Reason == "" {
		require.Equal(t, c.Expect.Status, got.Status)
		require.Equal(t, c.Expect.Body, got.Body)
	}
	requireCodes(t, c.Expect.Reason, got)
	require.Equal(t, c.Expect.Sent, s.upstream.sent())
	s.requireEvents(t, b, task.ID, c.Expect.Audit)
}

// requireEvents waits for the events of a task: outcomes are written behind.
func (s *shared) requireEvents(t *testing.T, b *testenv.Broker, taskID string, want []string) {
	t.Helper()
	operator := b.Client(t, testenv.Operator, "").Audit()
	var got []string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		page, err := operator.List(t.Context(), &onedoorv1.AuditListRequest{TaskId: taskID})
		require.NoError(t, err)
		if got = kinds(page.GetEvents()); len(got) >= len(want) {
			break
		}
	}
	require.Equal(t, want, got)
}

// keyOf gives the key with which a case calls.
func keyOf(t *testing.T, b *testenv.Broker, task testenv.Task, which string) string {
	t.Helper()
	switch which {
	case "":
	case "none":
		return ""
	case "unknown":
		return "odk_" + strings.Repeat("0", 52)
	case "revoked":
		_, err := b.Client(t, testenv.Operator, "").Tasks().Revoke(t.Context(), &onedoorv1.TasksRevokeRequest{TaskId: task.ID})
		require.NoError(t, err)
	default:
		t.Fatalf("no such key: %s", which)
	}
	return task.Key
}

// kinds gives kind and reason or outcome of each event.
func kinds(events []*onedoorv1.AuditEvent) []string {
	all := []string{}
	for _, e := range slices.Backward(events) { // the newest comes first
		word := e.GetKind()
		switch word {
		case "OUTCOME":
			word += " " + e.GetOutcome()
		case "REFUSAL":
			word += " " + e.GetReason()
		}
		if !strings.HasPrefix(word, "ADMIN") {
			all = append(all, word)
		}
	}
	return all
}

// requireCodes holds a refusal's codes to the table of reasons.
func requireCodes(t *testing.T, reason client.Reason, got result) {
	t.Helper()
	if reason == "" {
		return
	}
	want, ok := codesOf(t)[string(reason)]
	require.True(t, ok, "docs/errors.md does not know %s", reason)
	if got.Code != codes.OK {
		require.Equal(t, want.code, got.Code.String())
	}
	if got.HTTP != 0 {
		require.Equal(t, want.http, got.HTTP)
	}
}
