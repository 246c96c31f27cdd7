package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/api"
	"github.com/onedoor/onedoor/server/assertion"
	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/broker"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/server/connect"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/idtoken"
	"github.com/onedoor/onedoor/server/lease"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/store/sqlstore"
	"github.com/onedoor/onedoor/server/sts"
	"github.com/onedoor/onedoor/server/upstream"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/server/vault/masters"
)

// leaseWindow is how long what was read from the store is believed: every broker
// refuses a revoked task within it, plus the time of one poll.
const leaseWindow = 700 * time.Millisecond

// cacheSize bounds how many tasks, and how many sealed credentials, are remembered.
const cacheSize = 100_000

// openedSize bounds how many rendered credentials are: what searches answers for a token
// of 1 KiB takes about half a megabyte, and is made again in some milliseconds.
const openedSize = 2048

// fleetingSize bounds how many rendered credentials of single tasks are remembered.
const fleetingSize = 64

// App is a broker, put together and not yet serving.
type App struct {
	config *config.Config
	log    *slog.Logger
	closer closers

	parts     *development
	store     *sqlstore.Store
	clock     *store.Clock
	keys      *vault.Keyring
	source    *identity
	directory *authn.Directory
	denied    *authn.DenyList

	sessions *lease.Cache[authn.Digest, *authn.Session]
	records  *lease.Cache[credential.Place, credential.Record]
	opened   *lease.Cache[credential.Version, egress.Attachment]
	fleeting *lease.Cache[credential.Version, egress.Attachment]

	connectors  *connector.Registry
	credentials *credential.Keeper
	connects    *connect.Flow
	assertions  *assertion.Minter
	trail       *audit.Log
	door        *egress.Door
	chain       *api.Chain
	services    api.Services
	limits      limits
	registry    *prometheus.Registry
	incarnation string
}

// Build makes a broker from its configuration, in a process of its own. Whatever it
// cannot set up safely is an error, and then everything that was opened is closed again.
func Build(ctx context.Context, c *config.Config, log *slog.Logger) (*App, error) {
	return build(ctx, c, log, (*App).ownProcess)
}

// BuildWithin makes a broker within somebody else's process, a test's for instance: how
// that collects garbage, logs and may be debugged stays as it is. Since its memory is open
// then, this is refused outside development.
func BuildWithin(ctx context.Context, c *config.Config, log *slog.Logger) (*App, error) {
	if c.Environment != config.Development {
		return nil, errors.New("environment: only a development broker runs within another process")
	}
	return build(ctx, c, log, func(*App, context.Context) error { return nil })
}

func build(ctx context.Context, c *config.Config, log *slog.Logger, process func(*App, context.Context) error) (_ *App, err error) {
	a := &App{config: c, log: log, incarnation: uuid.NewString(), registry: prometheus.NewRegistry(), limits: newLimits(&c.Limits)}
	defer func() {
		if err != nil {
			a.closer.close(log)
		}
	}()
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return process(a, ctx) },
		a.startDevelopment,
		a.openStore,
		a.openIdentity,
		a.register, // before the keys are loaded: no key comes into use that this broker lacks
		a.openKeys,
		a.openTrail,
		a.buildPipeline,
		a.buildChain,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *App) openStore(ctx context.Context) error {
	url, err := a.config.StoreURL()
	if err != nil {
		return err
	}
	if a.store, err = sqlstore.Open(ctx, url, storeOptions(a.config)); err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	a.closer.add("store", func(context.Context) error { return a.store.Close() })
	if a.config.Environment == config.Development {
		if err := a.store.Migrate(ctx); err != nil {
			return fmt.Errorf("migrate the store: %w", err)
		}
	}
	if err := a.store.CheckSchema(ctx); err != nil {
		return fmt.Errorf("check the store: %w", err)
	}
	a.clock, err = store.NewClock(ctx, a.store.Now, time.Now)
	if err != nil {
		return err
	}
	a.log.Info("store open", "version", a.store.Version())
	return nil
}

func (a *App) openKeys(ctx context.Context) error {
	k := a.config.Keys
	master, err := masters.Open(ctx, k.Master, masters.Options{Random: rand.Reader, VaultTokenFile: k.VaultTokenFile, VaultCAFile: k.VaultCAFile})
	if err != nil {
		return fmt.Errorf("keys.master: %w", err)
	}
	a.keys = vault.NewKeyring(vault.Options{
		Store: a.store.Keys(), Master: master, Rand: rand.Reader, Now: a.clock.Now, NewID: uuid.NewString, Log: a.log,
		Assertions: a.schedule(),
	})
	if err := a.keys.Load(ctx); err != nil {
		return fmt.Errorf("load keys: %w", err)
	}
	return nil
}

// schedule is how assertion keys rotate; zero where no assertions are made.
func (a *App) schedule() vault.Schedule {
	c := a.config.Assertions
	return vault.Schedule{Lead: time.Duration(c.Lead), Active: time.Duration(c.Active), Retire: time.Duration(c.Retire)}
}

// register takes the lease of this run of the broker.
func (a *App) register(ctx context.Context) error {
	until := a.clock.Now().Add(brokerLease)
	if err := a.store.Brokers().Heartbeat(ctx, a.brokerID(), a.incarnation, until, nil); err != nil {
		return fmt.Errorf("register this broker: %w", err)
	}
	a.closer.add("broker lease", func(ctx context.Context) error { return a.store.Brokers().Leave(ctx, a.incarnation) })
	return nil
}

func (a *App) openTrail(ctx context.Context) (err error) {
	a.trail, err = audit.Open(ctx, audit.Options{
		Store: a.store.Audit(), Signer: a.keys, Now: a.clock.Now, NewID: uuid.NewString,
		BrokerID: a.brokerID(), Incarnation: a.incarnation, Log: a.log,
	})
	if err != nil {
		return err
	}
	a.closer.add("audit log", a.trail.Close)
	return a.heartbeat(ctx)
}

func (a *App) buildPipeline(context.Context) error {
	issuers, err := a.config.IDTokenIssuers()
	if err != nil {
		return err
	}
	signIns, err := a.config.SignIns()
	if err != nil {
		return err
	}
	a.sessions = lease.New[authn.Digest, *authn.Session](leaseWindow, time.Now, cacheSize)
	a.records = lease.New[credential.Place, credential.Record](leaseWindow, time.Now, cacheSize)
	a.opened = lease.New[credential.Version, egress.Attachment](leaseWindow, time.Now, openedSize)
	a.fleeting = lease.New[credential.Version, egress.Attachment](leaseWindow, time.Now, fleetingSize)
	a.connectors = connector.NewRegistry(a.store.Connectors(), leaseWindow, time.Now)
	a.assertions = assertion.New(assertion.Options{
		Issuer: a.config.Assertions.Issuer, TrustDomain: a.source.id.TrustDomain().Name(),
		Keys: a.keys, Rand: rand.Reader, Now: a.clock.Now,
	})
	routing, proxies, err := a.config.EgressRouting()
	if err != nil {
		return err
	}
	a.door = egress.New(egress.Options{
		Resolver: egress.NewResolver(a.config.Egress.Servers()...), Log: a.log, Now: time.Now, Bundles: a.source.x509,
		Routing: routing, ProxySecrets: proxySecrets{a},
	})
	a.closer.add("egress", func(context.Context) error { a.door.Close(); return nil })
	a.credentials = credential.NewKeeper(credential.Options{
		Store: a.store.Credentials(), Sealer: vault.New(a.keys), Digester: a.keys, Trail: a.trail,
		OAuth: oauth.New(a.door, time.Now, rand.Reader), Stater: a.assertions, STS: sts.New(a.door, a.clock.Now), Proxies: proxies,
		BrokerID: a.brokerID(), Incarnation: a.incarnation, Records: a.records, Opened: a.opened, Fleeting: a.fleeting,
		NewID: newInvocationID, Now: a.clock.Now, Log: a.log,
	})
	a.closer.add("renewals", a.credentials.Wait)
	idTokens, err := idtoken.New(idtoken.Options{Issuers: issuers, Door: a.door, Now: time.Now})
	if err != nil {
		return err
	}
	a.connects = connect.New(connect.Options{
		URL: a.config.Connect.URL, SignIns: signIns, Bearer: a.config.Environment == config.Development,
		Store: a.store.Connects(), Connectors: a.connectors, Credentials: a.credentials, Users: a.store.Tasks(), Issuers: idTokens,
		OAuth: oauth.New(a.door, time.Now, rand.Reader), Digester: a.keys, Trail: a.trail, BrokerID: a.brokerID(),
		Random: rand.Reader, NewID: newInvocationID, Now: a.clock.Now, Log: a.log,
	})
	http := upstream.NewHTTP(a.door)
	a.services = api.Services{
		Broker: broker.New(broker.Options{
			Connectors: a.connectors, Credentials: a.credentials, Assertions: a.assertions, Identity: ownSVID{a.source, a.config},
			Trail: a.trail, Gate: a.limits.connectors, Budget: a.limits.budget, Now: a.clock.Now, Log: a.log,
			Upstreams: map[string]broker.Upstream{connector.KindHTTP: http, connector.KindModel: upstream.NewModel(http)},
		}),
		Mint: mint.New(mint.Options{
			Store: a.store.Tasks(), Connectors: a.connectors, Pepper: a.keys, IDTokens: idTokens, Forget: a.endTasks,
			Bounds: mint.Bounds(a.config.Limits.Delegation),
			Random: rand.Reader, NewID: uuid.NewString, Now: a.clock.Now,
		}),
		Connectors: a.connectors, Credentials: a.credentials, Connects: a.connects, Users: a.store.Tasks(), Issuers: idTokens, Events: a.store.Audit(), Usage: a.store.Audit(),
		Keys: a.keys, Now: a.clock.Now, NewID: uuid.NewString,
	}
	return nil
}

func (a *App) buildChain(ctx context.Context) error {
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics, err := api.NewMetrics(a.registry)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	validate, err := api.NewValidate(
		&onedoorv1.InvokeRequest{}, &onedoorv1.InvokeStreamRequest{}, &onedoorv1.RelayRequest{}, &onedoorv1.ExplainRequest{}, &onedoorv1.TasksCreateRequest{},
	)
	if err != nil {
		return err
	}
	if a.denied, err = authn.OpenDenyList(a.config.SPIFFE.DeniedIDsFile); err != nil {
		return err
	}
	if a.directory, err = a.config.Directory(); err != nil {
		return err
	}
	tracer, err := a.openTracer(ctx)
	if err != nil {
		return err
	}
	a.limits.register(a.registry)
	a.chain = api.NewChain(api.Options{
		Authn: authn.New(authn.Options{
			Tasks: a.store.Tasks(), Digester: a.keys, Now: a.clock.Now, Cache: a.sessions, JWT: a.source.jwt,
			Denied: a.denied, WallNow: time.Now,
		}),
		Directory: a.directory, Trail: a.trail, Metrics: metrics, Tracer: tracer, Validate: validate,
		Limits: a.limits.api(),
		NewID:  newInvocationID, Now: a.clock.Now, Log: a.log,
	})
	return nil
}

// newInvocationID makes a UUID of version 7. Invocation ids are indexed in the trail:
// in the order of their time they go to the index's end, where random ones would touch
// a page of their own each, several times the cost of a commit.
func newInvocationID() string { return uuid.Must(uuid.NewV7()).String() }

// brokerID names this broker in the trail: its own SPIFFE ID.
func (a *App) brokerID() string { return a.source.id.String() }
