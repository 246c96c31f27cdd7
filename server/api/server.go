package api

import (
	"context"
	"time"

	"google.golang.org/grpc"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/broker"
	"github.com/onedoor/onedoor/server/connect"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

// Services are what the handlers hand their work to.
type Services struct {
	Broker interface {
		Invoke(ctx context.Context, c broker.Call) (*broker.Answer, error)
		InvokeStream(ctx context.Context, c broker.Call, sink broker.Sink) (int64, error)
		Explain(ctx context.Context, c broker.Call) (broker.Explanation, error)
		Tools(ctx context.Context, caller *task.Caller, grants *grant.Set) ([]broker.GrantedTool, error)
	}
	Mint        *mint.Mint
	Connectors  *connector.Registry
	Credentials *credential.Keeper
	// Connects makes the links by which users connect their accounts.
	Connects interface {
		Offer(ctx context.Context, o connect.Offer) (link string, expires time.Time, err error)
	}
	// Users finds a user by issuer and subject, or makes them.
	Users   mint.Store
	Issuers interface {
		// Accepts reports whether ID tokens of the issuer count in the workspace.
		Accepts(workspace, issuer string) bool
	}
	Events interface {
		Events(ctx context.Context, f audit.Filter) ([]audit.Event, error)
	}
	Usage interface {
		Usage(ctx context.Context, q audit.UsageQuery) ([]audit.UsageSum, error)
	}
	Keys interface {
		List() []vault.WrappedKey
		Rotate(ctx context.Context, p vault.Purpose) (vault.WrappedKey, error)
		ReplaceAssertion(ctx context.Context) (vault.WrappedKey, error)
	}
	Now   func() time.Time // the store's clock
	NewID func() string
}

// Register adds every service of onedoor.v1. The registrar must run them behind the
// chain.
func Register(r grpc.ServiceRegistrar, s Services) {
	onedoorv1.RegisterBrokerServer(r, &brokerServer{s: s})
	onedoorv1.RegisterTasksServer(r, &tasksServer{s: s})
	onedoorv1.RegisterConnectorsServer(r, &connectorsServer{s: s, imports: make(chan struct{}, 1)})
	onedoorv1.RegisterCredentialsServer(r, &credentialsServer{s: s})
	onedoorv1.RegisterAuditServer(r, &auditServer{s: s})
	onedoorv1.RegisterUsageServer(r, &usageServer{s: s})
	onedoorv1.RegisterKeysServer(r, &keysServer{s: s})
}
