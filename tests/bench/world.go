package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/devspiffe"
)

// world is the identities of a run, and the broker's task.
type world struct {
	dir       string
	authority *devspiffe.Authority
	sockets   map[string]string
	sandbox   *workloadapi.X509Source
	address   string
	ops       string
	key       string
}

func id(name string) string { return "spiffe://bench.test/" + name }

func newWorld(dir string) (*world, error) {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	authority, err := devspiffe.New(devspiffe.Options{
		TrustDomain: spiffeid.RequireTrustDomainFromString("bench.test"), Dir: filepath.Join(dir, "s"), SVIDLife: time.Hour, Log: quiet,
	})
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir, authority: authority, sockets: map[string]string{}}
	for _, name := range []string{"broker", "floor", "sandbox", "operator", "orchestrator"} {
		w.sockets[name], err = authority.Add(devspiffe.Workload{ID: spiffeid.RequireFromString(id(name)), Socket: name + ".sock"})
		if err != nil {
			return nil, err
		}
	}
	w.sandbox, err = workloadapi.NewX509Source(context.Background(), workloadapi.WithClientOptions(workloadapi.WithAddr(w.sockets["sandbox"])))
	return w, err
}

// dial connects as the sandbox.
func (w *world) dial(ctx context.Context, address, server, key string) (*client.Client, error) {
	return client.Dial(ctx, client.Options{Addr: address, BrokerID: id(server), X509Source: w.sandbox, TaskKey: client.TaskKey(key)})
}

func (w *world) as(ctx context.Context, who string) (*client.Client, error) {
	return client.Dial(ctx, client.Options{Addr: w.address, BrokerID: id("broker"), WorkloadSocket: w.sockets[who]})
}

const brokerConfig = `
environment: development
spiffe: {workload_api: "%s", trust_domains: [bench.test]}
listeners: {grpc: {address: "%s"}, ops: {address: "%s"}}
store: {url: "%s"}
keys: {master: "file:%s/master.json"}
log: {level: warn, format: text}
limits:
  task: {calls_per_second: 1000000, call_burst: 1000000, concurrent: 10000}
  user: {calls_per_second: 1000000, call_burst: 1000000, concurrent: 10000}
  workspace: {calls_per_second: 1000000, call_burst: 1000000, concurrent: 10000}
  connector: {calls_per_second: 1000000, call_burst: 1000000, concurrent: 10000}
  workload: {calls_per_second: 1000000, call_burst: 1000000, concurrent: 10000}
  broker: {concurrent: 10000}
  connections: 20000
  connections_per_workload: 20000
workspaces:
  - name: default
    operators: [spiffe://bench.test/operator]
    orchestrators:
      - {id: spiffe://bench.test/orchestrator, sandboxes: spiffe://bench.test/sandbox, may_assert_users: true, max_ttl: 24h, max_severity: READ, connectors: [bench, open]}
`

const manifest = `
connector: %s
kind: http
origin: %s
network: {allow: [127.0.0.0/8, "::1/128"]}
tls:
  ca: |
%s
%s
tools:
  - name: record.get
    severity: READ
    method: GET
    path: /%s/{id}
    arguments: {type: object, required: [id], properties: {id: {type: string}}}
    resources: ["record:{id}"]
`

// startBroker starts the broker with a connector, a credential and a task.
func (w *world) startBroker(ctx context.Context, o options, origin, ca string) (*process, error) {
	for _, to := range []*string{&w.address, &w.ops} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		*to = l.Addr().String()
		_ = l.Close()
	}
	store := o.store
	if store == "" {
		store = "sqlite:" + filepath.Join(w.dir, "onedoor.db")
	}
	path := filepath.Join(w.dir, "onedoord.yaml")
	text := fmt.Sprintf(brokerConfig, w.sockets["broker"], w.address, w.ops, store, w.dir)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, err := start(o.onedoord, "serve", "--config", path)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return p, err
	}
	var indented strings.Builder
	for line := range strings.Lines(string(pem)) {
		indented.WriteString("    " + line)
	}
	// The second is the same without a credential, and so without scrubbing.
	return p, w.prepare(ctx, fmt.Sprintf(manifest, "bench", origin, indented.String(), "credentials: {main: {owner: user, attach: bearer}}", "record"),
		fmt.Sprintf(manifest, "open", origin, indented.String(), "", "open"))
}

func (w *world) prepare(ctx context.Context, manifests ...string) error {
	operator, err := w.as(ctx, "operator")
	if err != nil {
		return err
	}
	defer operator.Close()
	for _, manifest := range manifests {
		if _, err := operator.Connectors().Apply(ctx, &onedoorv1.ConnectorsApplyRequest{Manifest: manifest}); err != nil {
			return err
		}
	}
	_, err = operator.Credentials().Put(ctx, &onedoorv1.CredentialsPutRequest{
		Connector: "bench", Owner: &onedoorv1.CredentialsPutRequest_User{User: "alice"}, Secret: []byte(secret),
	})
	if err != nil {
		return err
	}
	orchestrator, err := w.as(ctx, "orchestrator")
	if err != nil {
		return err
	}
	defer orchestrator.Close()
	res, err := orchestrator.Tasks().Create(ctx, &onedoorv1.TasksCreateRequest{
		Agent: "bench", User: "alice", Sandbox: id("sandbox"), Grants: []string{"bench: record.get READ record:*", "open: record.get READ record:*"}, Ttl: durationpb.New(time.Hour),
	})
	w.key = res.GetTaskKey()
	return err
}

// profile fetches a CPU profile of the broker while the rounds run.
func (w *world) profile(file string, length time.Duration) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		res, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", w.ops, int(length.Seconds())))
		if err != nil {
			return
		}
		defer res.Body.Close()
		if text, err := io.ReadAll(res.Body); err == nil {
			_ = os.WriteFile(file, text, 0o600)
		}
	}()
	return func() { <-done }
}
