package client_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/client/internal/brokertest"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

const (
	brokerID = "spiffe://test.example/broker"
	taskKey  = "od1t_secretsecretsecret"
)

// rig is a broker and a client of it.
type rig struct {
	authority *brokertest.Authority
	broker    *brokertest.Broker
	source    *brokertest.Source // the client's
	options   client.Options
	client    *client.Client
}

func newRig(t *testing.T, broker *brokertest.Broker) *rig {
	t.Helper()
	authority, err := brokertest.Start(broker)
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	source, err := authority.NewSource("/sandbox/1")
	require.NoError(t, err)
	r := &rig{authority: authority, broker: broker, source: source}
	r.options = client.Options{Addr: broker.Addr, BrokerID: brokerID, TaskKey: taskKey, X509Source: source}
	r.client = r.dial(t, r.options)
	return r
}

func (r *rig) dial(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// always answers every call alike.
func always(reply any, err error) func(context.Context, int, brokertest.Call) (any, error) {
	return func(context.Context, int, brokertest.Call) (any, error) { return reply, err }
}

func TestDialRefusesIncompleteOptions(t *testing.T) {
	good := client.Options{Addr: "127.0.0.1:1", BrokerID: brokerID, WorkloadSocket: "unix:///nowhere/api.sock"}
	for name, tc := range map[string]struct {
		change func(*client.Options)
		says   string
	}{
		"no address":           {func(o *client.Options) { o.Addr = "" }, client.EnvAddr},
		"no broker ID":         {func(o *client.Options) { o.BrokerID = "" }, client.EnvBrokerID},
		"broker ID no SPIFFE":  {func(o *client.Options) { o.BrokerID = "https://test.example/broker" }, client.EnvBrokerID},
		"only a trust domain":  {func(o *client.Options) { o.BrokerID = "spiffe://test.example" }, client.EnvBrokerID},
		"no workload socket":   {func(o *client.Options) { o.WorkloadSocket = "" }, client.EnvWorkloadSocket},
		"workload socket path": {func(o *client.Options) { o.WorkloadSocket = "/run/api.sock" }, client.EnvWorkloadSocket},
		"key with a newline":   {func(o *client.Options) { o.TaskKey = taskKey + "\n" }, client.EnvTaskKey},
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			tc.change(&o)
			_, err := client.Dial(t.Context(), o)
			require.ErrorIs(t, err, client.ErrNotConfigured)
			require.ErrorContains(t, err, tc.says)
			require.NotContains(t, err.Error(), "od1t_")
		})
	}
}

func TestFromEnv(t *testing.T) {
	t.Setenv("ONEDOOR_ADDR", "a")
	t.Setenv("ONEDOOR_BROKER_ID", "b")
	t.Setenv("ONEDOOR_TASK_KEY", "c")
	t.Setenv("SPIFFE_ENDPOINT_SOCKET", "d")
	require.Equal(t, client.Options{Addr: "a", BrokerID: "b", TaskKey: "c", WorkloadSocket: "d"}, client.FromEnv())
}

func TestKeyDoesNotPrint(t *testing.T) {
	r := newRig(t, &brokertest.Broker{Answer: always(&onedoorv1.GetTaskResponse{}, nil)})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		require.NotContains(t, fmt.Sprintf(verb, r.options), "secret", verb)
		require.NotContains(t, fmt.Sprintf(verb, r.options), "736563726574", verb)
		require.NotContains(t, fmt.Sprintf(verb, r.client), "secret", verb)
	}
}

func TestTaskKeyGoesToBrokerServiceOnly(t *testing.T) {
	r := newRig(t, &brokertest.Broker{Answer: func(_ context.Context, _ int, call brokertest.Call) (any, error) {
		if call.Method == onedoorv1.Tasks_List_FullMethodName {
			return &onedoorv1.TasksListResponse{}, nil
		}
		return &onedoorv1.GetTaskResponse{Task: &onedoorv1.Task{Id: "t1"}}, nil
	}})
	task, err := r.client.Task(t.Context())
	require.NoError(t, err)
	require.Equal(t, "t1", task.GetId())
	_, err = r.client.Tasks().List(t.Context(), &onedoorv1.TasksListRequest{})
	require.NoError(t, err)

	calls := r.broker.Calls()
	require.Equal(t, []string{"Bearer " + taskKey}, calls[0].Authorization)
	require.Empty(t, calls[1].Authorization)
}

func TestWrongBrokerIsRefused(t *testing.T) {
	r := newRig(t, &brokertest.Broker{Answer: always(&onedoorv1.GetTaskResponse{}, nil)})
	foreign, err := brokertest.NewAuthority("test.example")
	require.NoError(t, err)
	foreignSource, err := foreign.NewSource("/sandbox/1")
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		change func(*client.Options)
		says   string
	}{
		"another member of the trust domain": {func(o *client.Options) { o.BrokerID = brokerID + "2" }, "answered as " + brokerID + ", expected " + brokerID + "2"},
		"a prefix of its ID":                 {func(o *client.Options) { o.BrokerID = "spiffe://test.example/brok" }, "answered as"},
		"signed by another root":             {func(o *client.Options) { o.X509Source = foreignSource }, "not the expected broker"},
	} {
		t.Run(name, func(t *testing.T) {
			o := r.options
			tc.change(&o)
			_, err := r.dial(t, o).Invoke(t.Context(), "crm", "contacts.get", nil)
			require.ErrorIs(t, err, client.ErrBrokerUntrusted)
			require.ErrorContains(t, err, tc.says)
			var e *client.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, codes.Unauthenticated, e.Code())
			require.Empty(t, e.Reason, "nothing was sent, so the outcome is known")
		})
	}
	require.Empty(t, r.broker.Calls())
}

func TestOldTLSIsRefused(t *testing.T) {
	r := newRig(t, &brokertest.Broker{MaxTLS: tls.VersionTLS12, Answer: always(&onedoorv1.GetTaskResponse{}, nil)})
	_, err := r.client.Task(t.Context())
	require.ErrorContains(t, err, "protocol version")
	require.Empty(t, r.broker.Calls())
}

func TestNoBroker(t *testing.T) {
	r := newRig(t, &brokertest.Broker{})
	r.broker.Close()
	_, err := r.client.Invoke(t.Context(), "crm", "contacts.get", nil)
	var e *client.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "UNAVAILABLE", e.Name())
	require.Equal(t, codes.Unavailable, e.Code())
}

func TestClosed(t *testing.T) {
	r := newRig(t, &brokertest.Broker{Answer: always(&onedoorv1.GetTaskResponse{}, nil)})
	require.NoError(t, r.client.Close())
	_, err := r.client.Task(t.Context())
	require.ErrorIs(t, err, client.ErrClosed)
}

func TestWorkloadAPI(t *testing.T) {
	r := newRig(t, &brokertest.Broker{Answer: always(&onedoorv1.GetTaskResponse{}, nil)})
	options := func(socket string) client.Options {
		o := r.options
		o.X509Source, o.WorkloadSocket = nil, socket
		return o
	}
	t.Run("an identity that comes late is waited for", func(t *testing.T) {
		api, err := brokertest.ServeWorkloadAPI(t.TempDir(), r.source, 2)
		require.NoError(t, err)
		t.Cleanup(api.Close)
		c := r.dial(t, options(api.Addr))
		_, err = c.Task(t.Context())
		require.NoError(t, err)

		before := len(r.broker.Calls())
		require.NoError(t, api.Rotate())
		require.Eventually(t, func() bool {
			_, err := c.Task(t.Context())
			calls := r.broker.Calls()
			return err == nil && calls[len(calls)-1].Serial != calls[before-1].Serial
		}, 30*time.Second, 10*time.Millisecond, "a rotation by the Workload API reaches the broker")
	})
	t.Run("an identity that never comes", func(t *testing.T) {
		api, err := brokertest.ServeWorkloadAPI(t.TempDir(), r.source, 1000)
		require.NoError(t, err)
		t.Cleanup(api.Close)
		o := options(api.Addr)
		o.StartupTimeout = 2 * time.Second
		_, err = client.Dial(t.Context(), o)
		require.ErrorIs(t, err, client.ErrNoIdentity)
		require.ErrorContains(t, err, "issued none to this process")
	})
	t.Run("no socket", func(t *testing.T) {
		o := options("unix://" + t.TempDir() + "/none.sock")
		o.StartupTimeout = 2 * time.Second
		_, err := client.Dial(t.Context(), o)
		require.ErrorIs(t, err, client.ErrNoIdentity)
		require.ErrorContains(t, err, "nobody listens there")
	})
	t.Run("the caller's context ends the wait", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := client.Dial(ctx, options("unix://"+t.TempDir()+"/none.sock"))
		require.ErrorIs(t, err, client.ErrNoIdentity)
		require.Less(t, time.Since(start), 5*time.Second)
	})
}

func TestRandomnessIsNeeded(t *testing.T) {
	r := newRig(t, &brokertest.Broker{Answer: always(&onedoorv1.InvokeResponse{}, nil)})
	o := r.options
	o.Random = bytes.NewReader(nil)
	_, err := r.dial(t, o).Invoke(t.Context(), "crm", "contacts.get", nil)
	var e *client.Error
	require.True(t, errors.As(err, &e))
	require.Empty(t, r.broker.Calls(), "no call leaves without its key")
}
