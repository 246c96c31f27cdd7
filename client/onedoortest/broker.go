package onedoortest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/server/app"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/server/devspiffe"
)

const (
	domain       = "onedoor.test"
	brokerID     = "spiffe://" + domain + "/broker"
	operator     = "spiffe://" + domain + "/operator"
	orchestrator = "spiffe://" + domain + "/orchestrator"
	sandboxes    = "spiffe://" + domain + "/sandbox"
)

// Broker is a real broker that runs within the test's process.
type Broker struct {
	// Addr is its gRPC address, and RESTURL the base of its REST API.
	Addr, RESTURL string

	dir          string
	authority    *devspiffe.Authority
	operator     *client.Client
	orchestrator *client.Client

	mu        sync.Mutex
	sockets   map[string]string // Workload API addresses by SPIFFE ID
	upstreams map[string]*Upstream
}

// Option changes a broker under test.
type Option func(*options)

type options struct{ life time.Duration }

// SVIDLife lets SVIDs live that long, one second at least, to see that an agent gets over
// their rotation, which comes at half of it. Without it they live five minutes.
func SVIDLife(life time.Duration) Option { return func(o *options) { o.life = life } }

// Start runs a broker until the test ends. What it warns of is in the test's log.
func Start(t testing.TB, opts ...Option) *Broker {
	t.Helper()
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	dir, err := os.MkdirTemp("", "od") // t.TempDir holds the test's name, too long for sockets
	must(t, "make a folder", err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	b := &Broker{dir: dir, sockets: map[string]string{}, upstreams: map[string]*Upstream{}}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	b.authority, err = devspiffe.New(devspiffe.Options{
		TrustDomain: spiffeid.RequireTrustDomainFromString(domain), Dir: filepath.Join(dir, "s"), SVIDLife: o.life,
		Log: slog.New(slog.DiscardHandler),
	})
	must(t, "start the authority", err)
	t.Cleanup(b.authority.Close)
	b.run(t, log)
	b.operator, b.orchestrator = b.dial(t, operator, ""), b.dial(t, orchestrator, "")
	return b
}

// run serves until the test ends.
func (b *Broker) run(t testing.TB, log *slog.Logger) {
	t.Helper()
	socket, err := b.authority.Add(devspiffe.Workload{
		ID: spiffeid.RequireFromString(brokerID), Socket: "broker", DNSNames: []string{"localhost"},
	})
	must(t, "give the broker its identity", err)
	c, err := b.config(socket)
	must(t, "configure the broker", err)
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	built, err := app.BuildWithin(ctx, c, log)
	must(t, "build the broker", err)
	ready, ended := make(chan map[string]string, 1), make(chan error, 1)
	go func() {
		ended <- built.Run(ctx, func(addresses map[string]string) { ready <- addresses })
	}()
	select {
	case addresses := <-ready:
		b.Addr, b.RESTURL = addresses["grpc"], "https://"+addresses["rest"]
	case err := <-ended:
		t.Fatalf("onedoortest: run the broker: %v", err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("onedoortest: the broker ended: %v", err)
		}
	})
}

// config is that of one broker with one workspace, in which every sandbox may be minted
// for by the orchestrator.
func (b *Broker) config(socket string) (*config.Config, error) {
	id := func(s string) config.SPIFFEID { return config.SPIFFEID{ID: spiffeid.RequireFromString(s)} }
	free := config.Listener{Address: "127.0.0.1:0"}
	text, err := yaml.Marshal(&config.Config{
		Environment: config.Development,
		SPIFFE:      config.SPIFFE{WorkloadAPI: socket, TrustDomains: []config.TrustDomain{{TrustDomain: id(brokerID).TrustDomain()}}},
		Listeners:   config.Listeners{GRPC: free, REST: free, Public: free},
		Store:       config.Store{URL: "sqlite:" + filepath.Join(b.dir, "onedoor.db")},
		Keys:        config.Keys{Master: "file:" + filepath.Join(b.dir, "master.json")},
		Assertions:  config.Assertions{Issuer: "https://" + domain},
		Workspaces: []config.Workspace{{
			Name: "default", Operators: []config.SPIFFEID{id(operator)},
			Orchestrators: []config.Orchestrator{{
				ID: id(orchestrator), Sandboxes: id(sandboxes), MayAssertUsers: true,
				MaxTTL: config.Duration(24 * time.Hour), MaxSeverity: "ADMIN", Connectors: []string{"*"},
			}},
		}},
		Log:   config.Log{Level: "warn", Format: "text"},
		Drain: config.Duration(time.Second),
	})
	if err != nil {
		return nil, err
	}
	return config.Parse(text)
}

// socket gives the Workload API of a workload, which is known from then on.
func (b *Broker) socket(t testing.TB, id string) string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if address := b.sockets[id]; address != "" {
		return address
	}
	parsed, err := spiffeid.FromString(id)
	must(t, "a workload", err)
	address, err := b.authority.Add(devspiffe.Workload{ID: parsed, Socket: fmt.Sprintf("w%d", len(b.sockets))})
	must(t, "add a workload", err)
	b.sockets[id] = address
	return address
}

// dial opens a client as a workload, until the test ends.
func (b *Broker) dial(t testing.TB, id string, key client.TaskKey) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), b.options(t, id, key))
	must(t, "open a client", err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (b *Broker) options(t testing.TB, id string, key client.TaskKey) client.Options {
	t.Helper()
	return client.Options{Addr: b.Addr, BrokerID: brokerID, WorkloadSocket: b.socket(t, id), TaskKey: key}
}

// Operator is a client that may describe upstreams, store credentials and read the trail.
// It is closed when the test ends.
func (b *Broker) Operator() *client.Client { return b.operator }

// Orchestrator is a client that may mint and end tasks. It is closed when the test ends.
func (b *Broker) Orchestrator() *client.Client { return b.orchestrator }

// must ends the test where something that it is built on does not work.
func must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("onedoortest: %s: %v", what, err)
	}
}
