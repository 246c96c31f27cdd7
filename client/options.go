package client

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// The environment variables that FromEnv reads.
const (
	// EnvAddr holds the broker's gRPC address, for instance "127.0.0.1:8443".
	EnvAddr = "ONEDOOR_ADDR"
	// EnvBrokerID holds the broker's exact SPIFFE ID.
	EnvBrokerID = "ONEDOOR_BROKER_ID"
	// EnvTaskKey holds the task key. Sandboxes have one, others do not.
	EnvTaskKey = "ONEDOOR_TASK_KEY"
	// EnvWorkloadSocket holds the Workload API's address, for instance "unix:///run/api.sock".
	EnvWorkloadSocket = "SPIFFE_ENDPOINT_SOCKET"
)

const defaultStartupTimeout = 10 * time.Second

// X509Source gives this workload's own X.509-SVID and the bundles by which the
// broker's is verified. *workloadapi.X509Source is one. It is asked before every RPC,
// so it must answer from memory.
type X509Source interface {
	x509svid.Source
	x509bundle.Source
}

// Options says which broker to talk to, and as whom.
type Options struct {
	// Addr is the broker's gRPC address, host:port. Required. Proxies named in the
	// environment are not used.
	Addr string
	// BrokerID is the one SPIFFE ID that is accepted as the broker. Required: being a
	// member of the right trust domain makes nobody the broker.
	BrokerID string
	// TaskKey is sent with the RPCs of the Broker service, and with no other. Operators
	// and orchestrators leave it empty.
	TaskKey TaskKey
	// WorkloadSocket is the Workload API's address, unix:///PATH or tcp://IP:PORT.
	// Required unless X509Source is given.
	WorkloadSocket string
	// X509Source replaces the Workload API. The Client does not close it.
	X509Source X509Source
	// StartupTimeout bounds how long Dial waits for an identity; 0 means 10 s.
	StartupTimeout time.Duration
	// Random feeds idempotency keys and the jitter of retries; nil means crypto/rand.
	Random io.Reader
}

// FromEnv reads ONEDOOR_ADDR, ONEDOOR_BROKER_ID, ONEDOOR_TASK_KEY and
// SPIFFE_ENDPOINT_SOCKET. Dial says what is missing.
func FromEnv() Options {
	return Options{
		Addr:           os.Getenv(EnvAddr),
		BrokerID:       os.Getenv(EnvBrokerID),
		TaskKey:        TaskKey(os.Getenv(EnvTaskKey)),
		WorkloadSocket: os.Getenv(EnvWorkloadSocket),
	}
}

// check completes o and gives the broker's ID, parsed.
func (o *Options) check() (spiffeid.ID, error) {
	if o.Addr == "" {
		return spiffeid.ID{}, fmt.Errorf("%w: the broker's address (%s) is missing", ErrNotConfigured, EnvAddr)
	}
	id, err := parseBrokerID(o.BrokerID)
	if err != nil {
		return spiffeid.ID{}, err
	}
	if o.WorkloadSocket == "" && o.X509Source == nil {
		return spiffeid.ID{}, fmt.Errorf("%w: the Workload API's address (%s) is missing", ErrNotConfigured, EnvWorkloadSocket)
	}
	if !o.TaskKey.wellFormed() {
		return spiffeid.ID{}, fmt.Errorf("%w: the task key (%s) holds something other than letters, digits and _", ErrNotConfigured, EnvTaskKey)
	}
	if o.StartupTimeout <= 0 {
		o.StartupTimeout = defaultStartupTimeout
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	return id, nil
}

// TaskKey is a task's bearer secret. It prints as a placeholder; string(k) is its text.
type TaskKey string

// Format is for every verb of fmt, so that a printed Options shows no key.
func (TaskKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[task key]") }

// MarshalText is for encoders and structured logs.
func (TaskKey) MarshalText() ([]byte, error) { return []byte("[task key]"), nil }

// wellFormed keeps a stray newline or quote of an environment file from becoming a
// puzzling refusal; whether the key is one is for the broker to say.
func (k TaskKey) wellFormed() bool {
	return strings.Trim(string(k), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
