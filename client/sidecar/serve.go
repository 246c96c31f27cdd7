package sidecar

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"github.com/onedoor/onedoor/client"
)

// The limits of the listener.
const (
	maxConnections = 512
	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	maxOwnHeader   = 64 << 10 // bytes; the broker takes 32 KiB
)

// Run serves until ctx ends, and then lets running calls end within o.Drain. ready is told
// where, "http://127.0.0.1:PORT" or "unix:PATH", as soon as somebody may connect, whether
// there is an identity by then or not. Errors are client.ErrNotConfigured, and those of
// the listener.
func Run(ctx context.Context, o Options, ready func(address string)) error {
	if err := o.check(); err != nil {
		return err
	}
	alive, end := context.WithCancel(context.WithoutCancel(ctx))
	i := &identity{}
	p, err := newPool(i, o, (&reporter{log: o.Log}).report)
	if err != nil {
		end()
		return err
	}
	listener, err := listen(o)
	if err != nil {
		end()
		return err
	}
	i.begin(alive, o)
	isSocket := listener.Addr().Network() == "unix"
	server := &http.Server{
		Handler:                      newHandler(guard{isSocket: isSocket, allowed: o.AllowOrigins}, p, o.Log),
		Protocols:                    clearHTTP1(),
		ReadHeaderTimeout:            headerTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxOwnHeader,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	address := "http://" + listener.Addr().String()
	if isSocket {
		address = "unix:" + listener.Addr().String()
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(netutil.LimitListener(listener, maxConnections)) }()
	o.Log.Info("listening", "address", address, "broker", o.BrokerID, "rest", o.REST)
	ready(address)
	select {
	case err = <-served:
	case <-ctx.Done():
		err = drain(server, o)
	}
	end()
	p.close()
	i.ended.Wait()
	return err
}

// drain lets what runs end in time, and cuts the rest.
func drain(server *http.Server, o Options) error {
	o.Log.Info("stopping")
	ctx, cancel := context.WithTimeout(context.Background(), o.Drain)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		o.Log.Warn("calls were cut that had not ended in time", "drain", o.Drain)
		return server.Close()
	}
	return err
}

// clearHTTP1 is all that a program on this machine needs.
func clearHTTP1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// reporter logs when the way to the broker opens and when it closes, and not each call.
type reporter struct {
	log *slog.Logger

	mu   sync.Mutex
	told string
}

func (r *reporter) report(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		if r.told != "" {
			r.log.Info("the broker answers again")
		}
		r.told = ""
	case err.Error() != r.told && !errors.Is(err, context.Canceled):
		r.told = err.Error()
		r.log.Warn("no connection to the broker", "untrusted", errors.Is(err, client.ErrBrokerUntrusted), "error", err)
	}
}
