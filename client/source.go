package client

import (
	"context"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// askAgain is the pause between two questions to the Workload API.
	askAgain = 250 * time.Millisecond
	// unreachableFor is how long a Workload API at which nobody listens is tried: it may
	// be restarting, but waiting longer helps less than saying so.
	unreachableFor = 2 * time.Second
)

// NewSource opens the Workload API at socket and waits for the first X.509-SVID. A
// Workload API answers "no identity issued" for some seconds after a workload starts,
// so that answer is waited out up to timeout (0 means 10 s); one at which nobody
// listens is given up after two seconds. Failures are ErrNoIdentity, or
// ErrNotConfigured for an address that is none. Close the source after use.
func NewSource(ctx context.Context, socket string, timeout time.Duration) (*workloadapi.X509Source, error) {
	if err := workloadapi.ValidateAddress(socket); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNotConfigured, EnvWorkloadSocket, err)
	}
	if timeout <= 0 {
		timeout = defaultStartupTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// X509Source waits too, but keeps to itself what it waits for.
	if err := waitForSVID(ctx, socket); err != nil {
		return nil, err
	}
	source, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(workloadapi.WithAddr(socket)))
	if err != nil {
		return nil, fmt.Errorf("%w at %s: %w", ErrNoIdentity, socket, err)
	}
	return source, nil
}

// waitForSVID asks until there is an SVID, and says why there was none.
func waitForSVID(ctx context.Context, socket string) error {
	api, err := workloadapi.New(ctx, workloadapi.WithAddr(socket))
	if err != nil {
		return fmt.Errorf("%w at %s: %w", ErrNoIdentity, socket, err)
	}
	defer api.Close()
	unreachable, stop := context.WithTimeout(ctx, unreachableFor)
	defer stop()
	for {
		_, err := api.FetchX509SVID(ctx)
		if err == nil {
			return nil
		}
		patience := ctx
		if status.Code(err) == codes.Unavailable {
			patience = unreachable
		}
		select {
		case <-patience.Done():
			return fmt.Errorf("%w at %s: %s: %w", ErrNoIdentity, socket, whyNoSVID(err), err)
		case <-time.After(askAgain):
		}
	}
}

// whyNoSVID puts the Workload API's refusal in words.
func whyNoSVID(err error) string {
	switch status.Code(err) {
	case codes.Unavailable:
		return "nobody listens there"
	case codes.PermissionDenied:
		return "it has issued none to this process"
	case codes.DeadlineExceeded, codes.Canceled:
		return "it did not answer in time"
	}
	return "it refused"
}
