package sidecar

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"

	"github.com/onedoor/onedoor/client"
)

// EnvREST holds the URL of the broker's REST listener, for instance
// "https://broker.internal:8444".
const EnvREST = "ONEDOOR_REST_URL"

// Options say where a sidecar listens, and to which broker it speaks as whom.
type Options struct {
	// Listen is "HOST:PORT" of a loopback address or localhost, port 0 for a free one, or
	// "unix:PATH". Required.
	Listen string
	// Group, a name or number, may use the unix socket beside its owner; empty means that
	// the owner alone may.
	Group string
	// REST is the broker's REST listener: "https://HOST:PORT", or HOST:PORT alone.
	// Required. Proxies named in the environment are not used.
	REST string
	// BrokerID is the one SPIFFE ID that is accepted as the broker. Required.
	BrokerID string
	// WorkloadSocket is the Workload API's address, unix:///PATH or tcp://IP:PORT.
	// Required unless X509Source is given.
	WorkloadSocket string
	// X509Source replaces the Workload API. The sidecar does not close it.
	X509Source client.X509Source
	// AllowOrigins are the origins of web pages, "https://HOST", that may call beside
	// those of loopback.
	AllowOrigins []string
	// Drain is how long running calls may go on after the end was asked for; zero means
	// not at all.
	Drain time.Duration
	// Log gets a line at each start, rotation and change for the worse or better.
	// Required. No line holds a header, a body, or a path.
	Log *slog.Logger
}

// check completes o, or says what is wrong with it: client.ErrNotConfigured.
func (o *Options) check() error {
	if o.REST == "" {
		return fmt.Errorf("%w: the broker's REST address (--rest, %s) is missing", client.ErrNotConfigured, EnvREST)
	}
	rest, err := hostPort(o.REST)
	if err != nil {
		return fmt.Errorf("%w: the broker's REST address (--rest, %s): %w", client.ErrNotConfigured, EnvREST, err)
	}
	o.REST = rest
	for _, origin := range o.AllowOrigins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme == "" || u.Host == "" || origin != u.Scheme+"://"+u.Host {
			return fmt.Errorf("%w: --allow-origin %q: want an origin as browsers send it, https://HOST or https://HOST:PORT", client.ErrNotConfigured, origin)
		}
	}
	if o.X509Source != nil {
		return nil
	}
	if o.WorkloadSocket == "" {
		return fmt.Errorf("%w: the Workload API's address (%s) is missing", client.ErrNotConfigured, client.EnvWorkloadSocket)
	}
	if err := workloadapi.ValidateAddress(o.WorkloadSocket); err != nil {
		return fmt.Errorf("%w: %s: %w", client.ErrNotConfigured, client.EnvWorkloadSocket, err)
	}
	return nil
}

// hostPort takes the address from what people write: a URL without a path, or HOST:PORT.
func hostPort(text string) (string, error) {
	rest, isURL := strings.CutPrefix(text, "https://")
	rest = strings.TrimSuffix(rest, "/")
	if strings.Contains(rest, "://") {
		return "", fmt.Errorf("%q: want https://HOST:PORT", text)
	}
	if isURL && !hasPort(rest) {
		rest = net.JoinHostPort(strings.Trim(rest, "[]"), "443")
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil || host == "" || port == "" || strings.ContainsAny(rest, "/?#@") {
		return "", fmt.Errorf("%q: want https://HOST:PORT", text)
	}
	return rest, nil
}

func hasPort(hostport string) bool {
	_, port, err := net.SplitHostPort(hostport)
	return err == nil && port != ""
}
