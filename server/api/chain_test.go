package api_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/api"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/task"
)

func ok(context.Context) error { return nil }

func reasonOf(t *testing.T, err error) string {
	t.Helper()
	return detail[*errdetails.ErrorInfo](t, status.Convert(err)).GetReason()
}

// TestWhoMayCallWhat: every refusal of the chain, with its reason, recorded, and the
// handler not reached.
func TestWhoMayCallWhat(t *testing.T) {
	expired := over(&x509.Certificate{
		URIs: []*url.URL{spiffe("/sandbox/one").URL()}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
	})
	otherKey, err := task.NewKey(zeros{})
	require.NoError(t, err)
	for _, c := range []struct {
		name     string
		ctx      func(w *world) context.Context
		method   string
		reason   string
		recorded string // where it differs
	}{
		{"no peer", func(*world) context.Context { return context.Background() }, invoke, "SVID_MISSING", ""},
		{"expired SVID", func(w *world) context.Context { return withKey(expired, w.key) }, invoke, "SVID_EXPIRED", ""},
		{"no key", func(*world) context.Context { return as(spiffe("/sandbox/one")) }, invoke, "TASK_KEY_INVALID", ""},
		{"malformed key", func(*world) context.Context { return withKey(as(spiffe("/sandbox/one")), "od1t_short") }, invoke, "TASK_KEY_INVALID", ""},
		{"unknown key", func(*world) context.Context { return withKey(as(spiffe("/sandbox/one")), otherKey.Reveal()) }, invoke, "TASK_KEY_INVALID", ""},
		{"stolen key", func(w *world) context.Context { return withKey(as(spiffe("/sandbox/two")), w.key) }, invoke, "TASK_KEY_INVALID", api.KeyTheft},
		{"key under a longer ID", func(w *world) context.Context { return withKey(as(spiffe("/sandbox/one/more")), w.key) }, invoke, "TASK_KEY_INVALID", api.KeyTheft},
		{"operator without a key", func(*world) context.Context { return as(spiffe("/operator")) }, invoke, "TASK_KEY_INVALID", ""},
		{"sandbox as operator", func(w *world) context.Context { return w.sandbox() }, apply, "CALLER_NOT_ALLOWED", ""},
		{"orchestrator as operator", func(*world) context.Context { return as(spiffe("/orchestrator")) }, apply, "CALLER_NOT_ALLOWED", ""},
		{"operator as orchestrator", func(*world) context.Context { return as(spiffe("/operator")) }, "/onedoor.v1.Tasks/Create", "CALLER_NOT_ALLOWED", ""},
		{"stranger", func(*world) context.Context { return as(spiffe("/stranger")) }, apply, "CALLER_NOT_ALLOWED", ""},
		{"RPC that is not in the table", func(w *world) context.Context { return w.sandbox() }, "/onedoor.v1.Broker/Leak", "CALLER_NOT_ALLOWED", ""},
		{"reflection for sandboxes", func(w *world) context.Context { return w.sandbox() }, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "CALLER_NOT_ALLOWED", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.invalid = errors.New("validation must not be reached")
			err := w.call(t, c.ctx(w), c.method, func(context.Context) error {
				require.Fail(t, "the handler was reached")
				return nil
			})
			require.Equal(t, c.reason, reasonOf(t, err))
			require.Len(t, w.trail.refusals, 1)
			want := c.reason
			if c.recorded != "" {
				want = c.recorded
			}
			require.Equal(t, want, w.trail.refusals[0].Reason)
			require.NotContains(t, status.Convert(err).Message(), "another")
			require.Zero(t, w.validated)
		})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func TestStateOfTheTask(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*task.Task)
		reason string
	}{
		{"ended", func(x *task.Task) { x.State = task.Ended }, "TASK_ENDED"},
		{"revoked", func(x *task.Task) { x.State = task.Revoked }, "TASK_ENDED"},
		{"expired", func(x *task.Task) { x.ExpiresAt = time.Now().Add(-time.Second) }, "TASK_ENDED"},
		{"pending", func(x *task.Task) { x.State = task.Pending }, "APPROVAL_REQUIRED"},
		{"no state", func(x *task.Task) { x.State = "" }, "TASK_ENDED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.change(&w.task)
			require.Equal(t, c.reason, reasonOf(t, w.call(t, w.sandbox(), invoke, ok)))
			require.Equal(t, w.task.ID, w.trail.refusals[0].TaskID)
			require.Equal(t, "default", w.trail.refusals[0].Workspace)
			require.Equal(t, "contacts.get", w.trail.refusals[0].Tool)
		})
	}
}

func TestStrangersNamesAreClipped(t *testing.T) {
	w := newWorld(t)
	huge := &onedoorv1.InvokeRequest{Connector: strings.Repeat("c", 1<<20), Tool: strings.Repeat("é", 1<<20)}
	_ = w.send(as(spiffe("/stranger")), invoke, huge, ok)
	require.Len(t, w.trail.refusals[0].Connector, 128)
	require.Len(t, w.trail.refusals[0].Tool, 128)
}

func TestTwoAuthorizationValuesAreRefused(t *testing.T) {
	w := newWorld(t)
	ctx := metadata.NewIncomingContext(as(spiffe("/sandbox/one")), metadata.Pairs("authorization", "Bearer "+w.key, "authorization", "Bearer "+w.key))
	require.Equal(t, "TASK_KEY_INVALID", reasonOf(t, w.call(t, ctx, invoke, ok)))
}

// TestNoHeaderSaysWhoCalls: whatever else stands in the metadata, the peer decides.
func TestNoHeaderSaysWhoCalls(t *testing.T) {
	w := newWorld(t)
	ctx := metadata.NewIncomingContext(as(spiffe("/sandbox/two")), metadata.Pairs(
		"authorization", "Bearer "+w.key, "x-spiffe-id", "spiffe://test.example/sandbox/one",
		"x-onedoor-jwt-svid", "e30.e30.e30", "x-forwarded-client-cert", "URI=spiffe://test.example/sandbox/one",
	))
	require.Equal(t, "TASK_KEY_INVALID", reasonOf(t, w.call(t, ctx, invoke, ok)))
	require.Equal(t, "spiffe://test.example/sandbox/two", w.trail.refusals[0].SPIFFEID)
}

func TestWorkspaces(t *testing.T) {
	list := func(workspace string) *onedoorv1.AuditListRequest {
		return &onedoorv1.AuditListRequest{Workspace: workspace}
	}
	w := newWorld(t)
	method := "/onedoor.v1.Audit/List"
	require.NoError(t, w.send(as(spiffe("/operator")), method, list(""), ok))
	require.NoError(t, w.send(as(spiffe("/operator")), method, list("default"), ok))
	require.Equal(t, "CALLER_NOT_ALLOWED", reasonOf(t, w.send(as(spiffe("/operator")), method, list("other"), ok)))
	require.Equal(t, "CALLER_NOT_ALLOWED", reasonOf(t, w.send(as(spiffe("/operator")), method, list("nowhere"), ok)))
}

func TestValidationComesLast(t *testing.T) {
	w := newWorld(t)
	w.invalid = fault.Invalid("connector", "too long")
	err := w.call(t, w.sandbox(), invoke, ok)
	require.Equal(t, "ARGUMENT_INVALID", reasonOf(t, err))
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	require.Equal(t, "ARGUMENT_INVALID", w.trail.refusals[0].Reason)
}

func TestWhatTheHandlerRefusesIsNotRecordedTwice(t *testing.T) {
	w := newWorld(t)
	_ = w.call(t, w.sandbox(), invoke, func(context.Context) error { return fault.New(fault.GrantMissing, "no", nil) })
	require.Empty(t, w.trail.refusals)
}

func TestWhatAnOperatorMayNotSeeIsRecorded(t *testing.T) {
	w := newWorld(t)
	_ = w.send(as(spiffe("/orchestrator")), "/onedoor.v1.Tasks/Get", &onedoorv1.TasksGetRequest{}, func(context.Context) error {
		return fault.New(fault.TaskUnknown, "no", nil)
	})
	require.Len(t, w.trail.refusals, 1)
	require.Equal(t, "TASK_UNKNOWN", w.trail.refusals[0].Reason)
	require.Equal(t, "Tasks.Get", w.trail.refusals[0].Tool)
}

func TestPanicIsAnInternalError(t *testing.T) {
	w := newWorld(t)
	err := w.call(t, w.sandbox(), invoke, func(context.Context) error { panic("the secret") })
	require.Equal(t, codes.Internal, status.Code(err))
	require.NotContains(t, err.Error(), "secret")
}

func TestAdministrativeActsAreRecordedFirst(t *testing.T) {
	operator := as(spiffe("/operator"))
	t.Run("done", func(t *testing.T) {
		w := newWorld(t)
		require.NoError(t, w.send(operator, apply, &onedoorv1.ConnectorsApplyRequest{Manifest: "m"}, func(context.Context) error {
			require.Len(t, w.trail.admin, 1, "recorded before the handler runs")
			return nil
		}))
		require.Equal(t, "OK", string(w.trail.outcomes[0].Result))
	})
	t.Run("failed", func(t *testing.T) {
		w := newWorld(t)
		_ = w.send(operator, apply, &onedoorv1.ConnectorsApplyRequest{}, func(context.Context) error { return fault.Invalid("manifest", "bad") })
		require.Equal(t, "ARGUMENT_INVALID", w.trail.outcomes[0].Reason)
	})
	t.Run("panicked", func(t *testing.T) {
		w := newWorld(t)
		_ = w.send(operator, apply, &onedoorv1.ConnectorsApplyRequest{}, func(context.Context) error { panic(1) })
		require.Equal(t, "FAILED", string(w.trail.outcomes[0].Result))
	})
	t.Run("cannot be recorded", func(t *testing.T) {
		w := newWorld(t)
		w.trail.down = fault.New(fault.AuditUnavailable, "down", nil)
		err := w.send(operator, apply, &onedoorv1.ConnectorsApplyRequest{}, func(context.Context) error {
			require.Fail(t, "the handler was reached")
			return nil
		})
		require.Equal(t, "AUDIT_UNAVAILABLE", reasonOf(t, err))
	})
	t.Run("no secret", func(t *testing.T) {
		w := newWorld(t)
		put := &onedoorv1.CredentialsPutRequest{Connector: "crm", Secret: []byte("hunter2-hunter2")}
		require.NoError(t, w.send(operator, "/onedoor.v1.Credentials/Put", put, ok))
		require.NotContains(t, w.trail.admin[0].Resources, "hunter2-hunter2")
	})
}

func TestFailedAuthenticationsAreLimited(t *testing.T) {
	w := newWorld(t)
	thief := withKey(as(spiffe("/sandbox/two")), w.key)
	for range 3 {
		require.Equal(t, "TASK_KEY_INVALID", reasonOf(t, w.call(t, thief, invoke, ok)))
	}
	err := w.call(t, thief, invoke, ok)
	require.Equal(t, "RATE_LIMITED", reasonOf(t, err))
	require.Positive(t, detail[*errdetails.RetryInfo](t, status.Convert(err)).GetRetryDelay().AsDuration())
	require.NoError(t, w.call(t, w.sandbox(), invoke, ok), "another workload of the same address is not blocked")
}

func TestTheKeyOfAnEndedTaskIsNoGuess(t *testing.T) {
	w := newWorld(t)
	w.task.State = task.Ended
	for range 10 {
		require.Equal(t, "TASK_ENDED", reasonOf(t, w.call(t, w.sandbox(), invoke, ok)))
	}
}

func TestATaskHasItsShare(t *testing.T) {
	t.Run("rate", func(t *testing.T) {
		w := newWorld(t)
		for range 5 {
			require.NoError(t, w.call(t, w.sandbox(), invoke, ok))
		}
		require.Equal(t, "RATE_LIMITED", reasonOf(t, w.call(t, w.sandbox(), invoke, ok)))
	})
	t.Run("at once", func(t *testing.T) {
		w := newWorld(t)
		inside, leave := make(chan struct{}), make(chan struct{})
		var running sync.WaitGroup
		for range 2 {
			running.Go(func() {
				_ = w.call(t, w.sandbox(), invoke, func(context.Context) error { inside <- struct{}{}; <-leave; return nil })
			})
			<-inside
		}
		require.Equal(t, "RATE_LIMITED", reasonOf(t, w.call(t, w.sandbox(), invoke, ok)))
		close(leave)
		running.Wait()
		require.NoError(t, w.call(t, w.sandbox(), invoke, ok))
	})
}

// TestRunningCallsEndWithTheirTask: by revocation, by denial of the workload, by time.
func TestRunningCallsEndWithTheirTask(t *testing.T) {
	for name, end := range map[string]func(*world){
		"task":     func(w *world) { w.chain.EndTask("default", w.task.ID) },
		"above":    func(w *world) { w.chain.EndTask("default", "the root") },
		"workload": func(w *world) { w.chain.EndWorkload(spiffe("/sandbox/one")) },
		"time":     func(*world) {},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.task.Above = []task.Ancestor{{TaskID: "the parent"}, {TaskID: "the root"}}
			if name == "time" {
				w.task.ExpiresAt = time.Now().Add(100 * time.Millisecond)
			}
			err := w.call(t, w.sandbox(), invoke, func(ctx context.Context) error {
				w.chain.EndTask("other", w.task.ID) // of another workspace: nothing
				require.NoError(t, ctx.Err())
				end(w)
				<-ctx.Done()
				return ctx.Err()
			})
			require.Equal(t, "TASK_ENDED", reasonOf(t, err))
		})
	}
}

// TestAnEndBeforeTheCallCanBeCut: the task ends after it was authenticated and before
// the call is among those that are cut. It must not run on.
func TestAnEndBeforeTheCallCanBeCut(t *testing.T) {
	w := newWorld(t)
	w.afterFirst = func() {
		w.task.State = task.Revoked
		w.chain.EndTask("default", w.task.ID) // finds nothing yet
	}
	err := w.call(t, w.sandbox(), invoke, func(context.Context) error {
		require.Fail(t, "the handler was reached")
		return nil
	})
	require.Equal(t, "TASK_ENDED", reasonOf(t, err))
}

// TestLongCallsAreLookedAtAgain: the broker hears nothing of what happens to the task.
func TestLongCallsAreLookedAtAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*world)
		reason string
	}{
		{"revoked", func(w *world) { w.task.State = task.Revoked }, "TASK_ENDED"},
		{"gone", func(w *world) { w.key = strings.Repeat("x", len(w.key)) }, "TASK_KEY_INVALID"},
		{"a store that fails", func(w *world) { w.down = errors.New("down") }, "OUTCOME_UNKNOWN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				go w.chain.Recheck(t.Context())
				err := w.call(t, w.sandbox(), invoke, func(ctx context.Context) error {
					time.Sleep(time.Minute)
					synctest.Wait()
					require.NoError(t, ctx.Err(), "nothing had happened")
					w.mu.Lock()
					c.change(w)
					w.mu.Unlock()
					changed := time.Now()
					<-ctx.Done()
					require.LessOrEqual(t, time.Since(changed), 250*time.Millisecond)
					return ctx.Err()
				})
				require.Equal(t, c.reason, reasonOf(t, err))
			})
		})
	}
}

// TestEveryServedMethodIsInTheTable: a service that is served and not in the table
// could be called by nobody.
func TestEveryServedMethodIsInTheTable(t *testing.T) {
	g := grpc.NewServer()
	api.Register(g, api.Services{})
	healthv1.RegisterHealthServer(g, health.NewServer())
	reflection.Register(g)
	var methods []string
	for service, info := range g.GetServiceInfo() {
		for _, m := range info.Methods {
			methods = append(methods, "/"+service+"/"+m.Name)
		}
	}
	w := newWorld(t)
	require.NoError(t, w.chain.Covers(methods))
	require.Error(t, w.chain.Covers([]string{"/onedoor.v1.Broker/Leak"}))
}

func TestValidateNamesTheField(t *testing.T) {
	validate, err := api.NewValidate(&onedoorv1.TasksCreateRequest{})
	require.NoError(t, err)
	err = validate(&onedoorv1.TasksCreateRequest{Agent: "a", User: "u", Sandbox: "s"})
	require.True(t, fault.Is(err, fault.ArgumentInvalid))
	require.Equal(t, "grants", fault.From(err).Metadata["field"])
	require.NoError(t, validate(&onedoorv1.InvokeRequest{Connector: "c", Tool: "t"}))
	require.Error(t, validate(&onedoorv1.InvokeRequest{Connector: "c", Tool: "t", IdempotencyKey: "not a uuid"}))
}

func TestSpansHoldNoSecrets(t *testing.T) {
	w := newWorld(t)
	_ = w.call(t, w.sandbox(), invoke, func(context.Context) error {
		return fault.New(fault.UpstreamUnavailable, "canary-public", errors.New("canary-private"))
	})
	spans := w.spans.GetSpans()
	require.Len(t, spans, 1)
	require.Equal(t, "Broker.Invoke", spans[0].Name)
	require.Equal(t, "UPSTREAM_UNAVAILABLE", spans[0].Status.Description)
	text := fmt.Sprintf("%+v", spans)
	require.NotContains(t, text, w.key)
	require.NotContains(t, text, "canary")
}
