package api_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/status"

	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/upstream"
)

// nowhere resolves every name to one public address.
type nowhere struct{}

func (nowhere) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, nil
}

// An operator finds in the log through which proxy a call was to go; whoever called is told
// that there is one.
func TestTheLogNamesTheProxy(t *testing.T) {
	at, err := egress.ParseProxyAddress("http://10.0.0.9:3128") // in no range in which it may be
	require.NoError(t, err)
	scope, err := egress.ParseScope("*")
	require.NoError(t, err)
	routing, err := egress.NewRouting([]egress.Proxy{{Name: "casb", Address: at, For: []egress.Scope{scope}}}, nil)
	require.NoError(t, err)
	door := egress.New(egress.Options{Resolver: nowhere{}, Routing: routing})
	t.Cleanup(door.Close)
	origin, err := egress.ParseOrigin("https://crm.example")
	require.NoError(t, err)

	w := newWorld(t)
	err = w.call(t, w.sandbox(), invoke, func(ctx context.Context) error {
		_, err := door.Do(ctx, egress.PoolKey{Workspace: "default", Connector: "crm"}, egress.Policy{},
			&egress.Request{Method: "GET", Origin: origin, Path: "/"}, egress.NewAttachment(), egress.Limits{})
		return upstream.Fault(err, false)
	})
	require.ErrorContains(t, err, "the proxy on the way: its name leads to an address that may not be reached")
	require.Contains(t, w.log.String(), " proxy=casb ")
	require.NotContains(t, w.log.String(), "10.0.0.9")
	require.NotContains(t, status.Convert(err).String()+err.Error(), "casb")
}
