package sidecar

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"

	"github.com/onedoor/onedoor/client"
)

const (
	// perQuestion is how long one question for an identity waits, before the reason is
	// told and it is asked again.
	perQuestion = 10 * time.Second
	// askAgain is the pause between two of them.
	askAgain = 250 * time.Millisecond
)

// identity is this workload's SVID, or why there is none yet. It is a client.X509Source,
// which can be asked before the first SVID has come.
type identity struct {
	source atomic.Pointer[client.X509Source]
	why    atomic.Pointer[error]
	log    *slog.Logger
	ended  sync.WaitGroup
}

// begin asks for an SVID, until ctx ends. Nobody may ask i before.
func (i *identity) begin(ctx context.Context, o Options) {
	i.log = o.Log
	if o.X509Source != nil {
		i.source.Store(&o.X509Source)
		return
	}
	pending := fmt.Errorf("%w: the Workload API at %s has not answered yet", client.ErrNoIdentity, o.WorkloadSocket)
	i.why.Store(&pending)
	i.ended.Go(func() { i.follow(ctx, o.WorkloadSocket) })
}

// follow gets the source and tells of its changes.
func (i *identity) follow(ctx context.Context, socket string) {
	source := i.obtain(ctx, socket)
	if source == nil {
		return
	}
	defer source.Close()
	taken := client.X509Source(source)
	i.source.Store(&taken)
	for event := "identity"; ; event = "identity renewed" {
		if svid, err := source.GetX509SVID(); err == nil {
			i.log.Info(event, "spiffe_id", svid.ID.String(), "good_until", svid.Certificates[0].NotAfter.UTC())
		}
		if source.WaitUntilUpdated(ctx) != nil {
			return
		}
	}
}

// obtain asks until there is a first SVID; nil if ctx ended before.
func (i *identity) obtain(ctx context.Context, socket string) *workloadapi.X509Source {
	told := ""
	for {
		source, err := client.NewSource(ctx, socket, perQuestion)
		if err == nil {
			return source
		}
		i.why.Store(&err)
		if ctx.Err() == nil && err.Error() != told {
			told = err.Error()
			i.log.Warn("no identity yet", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(askAgain):
		}
	}
}

// current gives the leaf of an SVID that is still good.
func (i *identity) current() (*x509.Certificate, error) {
	svid, err := i.GetX509SVID()
	if err != nil {
		return nil, err
	}
	leaf := svid.Certificates[0]
	if !time.Now().Before(leaf.NotAfter) {
		return nil, fmt.Errorf("%w: the SVID ran out at %s and the Workload API has not renewed it", client.ErrNoIdentity, leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return leaf, nil
}

// GetX509SVID implements x509svid.Source.
func (i *identity) GetX509SVID() (*x509svid.SVID, error) {
	if source := i.source.Load(); source != nil {
		svid, err := (*source).GetX509SVID()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", client.ErrNoIdentity, err)
		}
		return svid, nil
	}
	return nil, *i.why.Load()
}

// GetX509BundleForTrustDomain implements x509bundle.Source.
func (i *identity) GetX509BundleForTrustDomain(domain spiffeid.TrustDomain) (*x509bundle.Bundle, error) {
	if source := i.source.Load(); source != nil {
		return (*source).GetX509BundleForTrustDomain(domain)
	}
	return nil, *i.why.Load()
}
