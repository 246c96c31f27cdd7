package testenv

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
)

// Role is a workload of a broker under test.
type Role string

// The roles.
const (
	Sandbox      Role = "SANDBOX"
	Sandbox2     Role = "SANDBOX2"
	Orchestrator Role = "ORCHESTRATOR"
	Operator     Role = "OPERATOR"
)

// Broker is a running onedoord and what its clients need to know.
type Broker struct {
	*Process
	// Dir holds its files; onedoord.yaml is its configuration.
	Dir string
	// Addr serves gRPC; the URLs are empty where there is no such listener.
	Addr, RESTURL, JWTURL, PublicURL, OpsURL string
	// ID is its SPIFFE ID, and Bundle the PEM file of its trust domain.
	ID, Bundle string
	sockets    map[Role]string
	ids        map[Role]string
}

// StartDev runs `onedoord dev --dir dir` until the test ends.
func StartDev(t testing.TB, dir string) *Broker {
	t.Helper()
	b, err := startDev(Binary(t, "onedoord"), dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Stop()) })
	return b
}

// ShortDir makes a folder in which unix sockets can lie: t.TempDir is too long.
func ShortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "od")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func startDev(program, dir string) (*Broker, error) {
	p, err := start(program, "dev", "--dir", dir)
	if err != nil {
		return nil, err
	}
	b := &Broker{Process: p, Dir: dir}
	if err := b.readDev(); err != nil {
		_ = p.Kill()
		return nil, err
	}
	return b, nil
}

// readDev takes from DIR/env what a shell would, and from the configuration what only
// its operator needs.
func (b *Broker) readDev() error {
	env, err := ReadEnv(filepath.Join(b.Dir, "env"))
	if err != nil {
		return err
	}
	b.Addr, b.RESTURL, b.PublicURL = env["ONEDOOR_ADDR"], env["ONEDOOR_REST_URL"], env["ONEDOOR_PUBLIC_URL"]
	b.ID, b.Bundle = env["ONEDOOR_BROKER_ID"], env["ONEDOOR_TRUST_BUNDLE"]
	b.sockets = map[Role]string{}
	for _, role := range []Role{Sandbox, Sandbox2, Orchestrator, Operator} {
		b.sockets[role] = env["ONEDOOR_"+string(role)+"_SOCKET"]
	}
	b.ids = map[Role]string{Sandbox: env["ONEDOOR_SANDBOX_ID"], Sandbox2: env["ONEDOOR_SANDBOX2_ID"]}
	c, err := config.Load(filepath.Join(b.Dir, "onedoord.yaml"))
	if err != nil {
		return err
	}
	b.OpsURL = "http://" + c.Listeners.Ops.Address
	return nil
}

// ReadEnv reads a file for `source` that holds `export NAME=WORD` lines.
func ReadEnv(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	env := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if !ok || !strings.HasPrefix(line, "export ") {
			return nil, fmt.Errorf("%s: %q is not `export NAME=WORD`", path, name)
		}
		env[name] = strings.Trim(value, "'")
	}
	return env, lines.Err()
}

// Socket gives the address of a workload's Workload API.
func (b *Broker) Socket(as Role) string { return b.sockets[as] }

// SPIFFEID gives the SPIFFE ID of a sandbox.
func (b *Broker) SPIFFEID(as Role) string { return b.ids[as] }

// Client opens a Go client, which is closed when the test ends. key is empty for all
// but sandboxes.
func (b *Broker) Client(t testing.TB, as Role, key string) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Options{
		Addr: b.Addr, BrokerID: b.ID, WorkloadSocket: b.sockets[as], TaskKey: client.TaskKey(key),
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Task is a minted task and its key.
type Task struct{ Key, ID, KeyID string }

// Mint makes a task of alice's for the first sandbox, good for ten minutes; edit may
// change the request.
func (b *Broker) Mint(t testing.TB, edit func(*onedoorv1.TasksCreateRequest), grants ...string) Task {
	t.Helper()
	request := &onedoorv1.TasksCreateRequest{
		Agent: "tester", User: "alice", Sandbox: b.ids[Sandbox], Grants: grants, Ttl: durationpb.New(10 * time.Minute),
	}
	if edit != nil {
		edit(request)
	}
	made, err := b.Client(t, Orchestrator, "").Tasks().Create(t.Context(), request)
	require.NoError(t, err)
	return Task{Key: made.GetTaskKey(), ID: made.GetTaskId(), KeyID: made.GetKeyId()}
}

// Events lists the audit events of a task, the oldest first.
func (b *Broker) Events(t testing.TB, taskID string) []*onedoorv1.AuditEvent {
	t.Helper()
	return b.ListEvents(t, &onedoorv1.AuditListRequest{TaskId: taskID})
}

// ListEvents lists all that a request selects, the oldest first.
func (b *Broker) ListEvents(t testing.TB, request *onedoorv1.AuditListRequest) []*onedoorv1.AuditEvent {
	t.Helper()
	operator := b.Client(t, Operator, "")
	request.PageSize = 500
	var all []*onedoorv1.AuditEvent
	for {
		page, err := operator.Audit().List(t.Context(), request)
		require.NoError(t, err)
		for _, e := range page.GetEvents() {
			all = append([]*onedoorv1.AuditEvent{e}, all...)
		}
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			return all
		}
	}
}

// Eventually waits until ok, which is asked every 20 ms.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Reopen runs `onedoord serve` with the configuration that a development broker, which
// has ended, left behind.
func Reopen(t testing.TB, ended *Broker) *Broker {
	t.Helper()
	p, err := start(Binary(t, "onedoord"), "serve", "--config", filepath.Join(ended.Dir, "onedoord.yaml"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Stop()) })
	again := *ended
	again.Process = p
	return &again
}
