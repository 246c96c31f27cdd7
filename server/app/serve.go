package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/onedoor/onedoor/server/api"
	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/rest"
)

const (
	// connectionAge bounds how long a peer rides on one handshake: an SVID is
	// verified there only. gRPC adds a tenth of jitter.
	connectionAge = 12 * time.Minute
	maxReceive    = 8 << 20
	maxSend       = 80 << 20
	maxStreams    = 1000
	streamWorkers = 128
	// What a peer may send ahead of its being read, on a stream and on all of a connection.
	streamWindow     = 64 << 10
	connectionWindow = 1 << 20
	keepaliveTime    = 30 * time.Second
	keepaliveExpiry  = 20 * time.Second
)

// server is one listener and what serves it.
type server struct {
	name     string
	listener net.Listener
	serve    func(net.Listener) error
	// drain lets running calls end; stop does not wait for them.
	drain func(context.Context) error
	stop  func()
}

// Run serves until ctx ends, then drains and closes everything. ready is called once
// every listener accepts, with their addresses by name.
func (a *App) Run(ctx context.Context, ready func(addresses map[string]string)) error {
	defer a.closer.close(a.log)
	servers, err := a.listen()
	if err != nil {
		return err
	}
	loops, stopLoops := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	for _, loop := range a.background() {
		running.Go(func() { loop(loops) })
	}
	failed := make(chan error, len(servers))
	addresses := map[string]string{}
	for _, s := range servers {
		addresses[s.name] = s.listener.Addr().String()
		running.Go(func() {
			if err := s.serve(s.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("listener %s: %w", s.name, err)
			}
		})
	}
	a.log.Info("serving", "addresses", addresses, "spiffe_id", a.brokerID())
	ready(addresses)
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	a.drain(servers)
	stopLoops()
	running.Wait()
	return err
}

// drain lets running calls end, all listeners at once, for as long as is configured.
func (a *App) drain(servers []*server) {
	a.log.Info("draining", "at_most", time.Duration(a.config.Drain).String())
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(a.config.Drain))
	defer cancel()
	var all sync.WaitGroup
	for _, s := range servers {
		all.Go(func() {
			if err := s.drain(ctx); err != nil {
				a.log.Warn("calls cut at the end of draining", "listener", s.name)
				s.stop()
			}
		})
	}
	all.Wait()
}

func (a *App) listen() (servers []*server, err error) {
	defer func() {
		if err != nil {
			for _, s := range servers {
				_ = s.listener.Close()
			}
		}
	}()
	l := &a.config.Listeners
	inProcess := rest.NewInProcess(a.chain.Unary, a.chain.Stream)
	api.Register(inProcess, a.services)
	a.closer.add("rest calls", func(context.Context) error { inProcess.Wait(); return nil })
	for _, make := range []func() (*server, error){
		a.grpcServer,
		func() (*server, error) {
			return a.restServer(&l.REST, rest.NewHandler(inProcess, a.restOptions(false)))
		},
		func() (*server, error) {
			return a.openServer("rest_jwt", &l.RESTJWT.Listener, rest.NewHandler(inProcess, a.restOptions(true)))
		},
		a.publicServer,
		a.opsServer,
	} {
		s, err := make()
		if err != nil {
			return servers, err
		}
		if s != nil {
			servers = append(servers, s)
		}
	}
	return servers, nil
}

func (a *App) grpcServer() (_ *server, err error) {
	conf, err := authn.ServerTLS(a.source.x509, a.source.trusted, authn.TLSOptions{NextProtos: []string{"h2"}})
	if err != nil {
		return nil, err
	}
	listener, err := a.bind("grpc", a.config.Listeners.GRPC.Address)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = listener.Close()
		}
	}()
	guard := &grpcGuard{times: a.times(), listener: listener, budget: a.limits.budget, unary: a.chain.Unary, stream: a.chain.Stream, refused: a.chain.Refused}
	guarded, err := guard.options(credentials.NewTLS(conf))
	if err != nil {
		return nil, err
	}
	g := grpc.NewServer(append(guarded,
		// What nobody registered goes through the chain too, which refuses it.
		grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
			return fault.New(fault.CallerNotAllowed, "no such RPC", nil).With("mend", "version")
		}),
		grpc.MaxRecvMsgSize(maxReceive), grpc.MaxSendMsgSize(maxSend), grpc.MaxConcurrentStreams(maxStreams),
		// Not grown by what the peer seems able to send: behind its one message a peer could
		// leave a window full on every stream. A message that is awaited has room in any case.
		grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(connectionWindow),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: connectionAge, MaxConnectionAgeGrace: time.Duration(a.config.Limits.StreamMax),
			Time: keepaliveTime, Timeout: keepaliveExpiry,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveExpiry / 2, PermitWithoutStream: true}),
		grpc.ConnectionTimeout(min(10*time.Second, a.times().Receive)),
		// A call's stack grows deep; a worker keeps it for the next call.
		grpc.NumStreamWorkers(streamWorkers),
		grpc.MaxHeaderListSize(32<<10),
	)...)
	api.Register(g, a.services)
	states := health.NewServer()
	healthv1.RegisterHealthServer(g, states)
	reflection.Register(g)
	if err = a.chain.Covers(methodsOf(g)); err != nil {
		return nil, err
	}
	return &server{name: "grpc", listener: listener, serve: g.Serve, stop: g.Stop, drain: func(ctx context.Context) error {
		states.Shutdown()
		done := make(chan struct{})
		go func() { g.GracefulStop(); close(done) }()
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}, nil
}

func (a *App) times() rest.Times {
	return rest.Times{Receive: time.Duration(a.config.Limits.ReceiveTimeout), Send: time.Duration(a.config.Limits.SendTimeout)}
}

func (a *App) restOptions(jwtSVID bool) rest.Options {
	return rest.Options{JWTSVID: jwtSVID, Budget: a.limits.budget, MCPOrigins: a.config.MCP.Origins, Refused: a.refusedREST}
}

// refusedREST is for a request whose RPC is not known yet.
func (a *App) refusedREST(ctx context.Context, err error) error { return a.chain.Refused(ctx, "", err) }

func methodsOf(g *grpc.Server) []string {
	var names []string
	for service, info := range g.GetServiceInfo() {
		for _, m := range info.Methods {
			names = append(names, "/"+service+"/"+m.Name)
		}
	}
	return names
}

// restServer is the API over HTTPS with the same mutual TLS as gRPC.
func (a *App) restServer(l *config.Listener, h http.Handler) (*server, error) {
	if l.Address == "" {
		return nil, nil //nolint:nilnil // not configured
	}
	certificate, err := a.certificate("listeners.rest", l.CertFile, l.KeyFile)
	if err != nil {
		return nil, err
	}
	conf, err := authn.ServerTLS(a.source.x509, a.source.trusted, authn.TLSOptions{
		NextProtos: []string{"h2", "http/1.1"}, Certificate: certificate,
	})
	if err != nil {
		return nil, err
	}
	return a.httpServer("rest", l.Address, rest.HTTPServer(h, conf, a.times(), a.log))
}

// publicServer is for anybody: health, what verifiers need, and the pages by which
// people connect their accounts.
func (a *App) publicServer() (*server, error) {
	var pages http.Handler
	if url := a.config.Connect.URL; url != "" {
		connects, err := rest.NewConnect(rest.ConnectOptions{
			Flow: a.connects, URL: url, Random: rand.Reader,
			FailuresPerSecond: a.config.Limits.FailuresPerSecond, FailureBurst: a.config.Limits.FailureBurst,
		})
		if err != nil {
			return nil, err
		}
		pages = connects
	}
	return a.openServer("public", &a.config.Listeners.Public, rest.Public(a.publicReady, a.assertions.Documents(), pages))
}

// openServer is HTTPS that asks for no client certificate.
func (a *App) openServer(name string, l *config.Listener, h http.Handler) (*server, error) {
	if l.Address == "" {
		return nil, nil //nolint:nilnil // not configured
	}
	certificate, err := a.certificate("listeners."+name, l.CertFile, l.KeyFile)
	if err != nil {
		return nil, err
	}
	conf, err := authn.PublicTLS(certificate, "h2", "http/1.1")
	if err != nil {
		return nil, err
	}
	return a.httpServer(name, l.Address, rest.HTTPServer(h, conf, a.times(), a.log))
}

// opsServer serves metrics and pprof, in clear text and on loopback only.
func (a *App) opsServer() (*server, error) {
	address := a.config.Listeners.Ops.Address
	if address == "" {
		return nil, nil //nolint:nilnil // not configured
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return a.httpServer("ops", address, s)
}

func (a *App) httpServer(name, address string, s *http.Server) (*server, error) {
	listener, err := a.bind(name, address)
	if err != nil {
		return nil, err
	}
	s.ConnState = prove(listener)
	serve := s.Serve
	if s.TLSConfig != nil {
		serve = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
	}
	return &server{name: name, listener: listener, serve: serve, drain: s.Shutdown, stop: func() { _ = s.Close() }}, nil
}

// publicReady keeps what is wrong for the log: the public listener tells strangers only
// that it is not ready.
func (a *App) publicReady(ctx context.Context) error {
	if err := a.ready(ctx); err != nil {
		a.log.Warn("not ready", "error", err)
		return fault.New(fault.StoreUnavailable, "not ready", err)
	}
	return nil
}
