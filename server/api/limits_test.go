package api_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/api"
	"github.com/onedoor/onedoor/server/limit"
)

// limits are small ones: three failures; five calls of a task, two at once, which nobody
// is given back while a test lasts.
func (w *world) limits() api.Limits {
	return api.Limits{
		Failures: limit.NewFailures(0.001, 3, 100, time.Now),
		Gate: limit.NewGate(limit.Options{Keys: 100, Now: time.Now, Bounds: map[limit.Scope]limit.Bound{
			limit.Task:     {PerSecond: 0.001, Burst: 5, Running: 2},
			limit.Workload: {PerSecond: 0.001, Burst: 20, Running: 20},
		}}),
		Budget: limit.NewBudget(1 << 20),
	}
}

// TestWhatIsRefusedFurtherInCostsNothing: a call that finds its connector full may come
// again at once.
func TestWhatIsRefusedFurtherInCostsNothing(t *testing.T) {
	w := newWorld(t)
	full := func(context.Context) error {
		return (&limit.Refusal{Scope: limit.Connector, After: time.Second}).Fault()
	}
	for range 20 {
		s := status.Convert(w.call(t, w.sandbox(), invoke, full))
		require.Equal(t, "connector", detail[*errdetails.ErrorInfo](t, s).GetMetadata()["limit"])
		require.Equal(t, "limits.connector.concurrent", detail[*errdetails.ErrorInfo](t, s).GetMetadata()["raise"])
		require.Equal(t, time.Second, detail[*errdetails.RetryInfo](t, s).GetRetryDelay().AsDuration())
	}
	for range 5 {
		require.NoError(t, w.call(t, w.sandbox(), invoke, ok))
	}
	require.Equal(t, "RATE_LIMITED", reasonOf(t, w.call(t, w.sandbox(), invoke, ok)))
}

// TestARequestNeedsRoom: one that finds none is refused before anything of it is read.
func TestARequestNeedsRoom(t *testing.T) {
	w := newWorld(t)
	large := &onedoorv1.InvokeRequest{Connector: "crm", Tool: "get", ArgumentsJson: make([]byte, 1<<20)}
	err := w.send(w.sandbox(), invoke, large, func(context.Context) error {
		require.Fail(t, "the handler was reached")
		return nil
	})
	require.Equal(t, "memory", detail[*errdetails.ErrorInfo](t, status.Convert(err)).GetMetadata()["limit"])
	require.Zero(t, w.validated)
	require.NoError(t, w.call(t, w.sandbox(), invoke, ok), "nothing of it is held")
}

func TestWorkloadsHaveAShareToo(t *testing.T) {
	w := newWorld(t)
	operator := as(spiffe("/operator"))
	for range 20 {
		require.NoError(t, w.send(operator, "/onedoor.v1.Connectors/List", &onedoorv1.ConnectorsListRequest{}, ok))
	}
	err := w.send(operator, "/onedoor.v1.Connectors/List", &onedoorv1.ConnectorsListRequest{}, ok)
	require.Equal(t, "workload", detail[*errdetails.ErrorInfo](t, status.Convert(err)).GetMetadata()["limit"])
	require.NoError(t, w.send(as(spiffe("/orchestrator")), "/onedoor.v1.Tasks/List", &onedoorv1.TasksListRequest{}, ok))
}
