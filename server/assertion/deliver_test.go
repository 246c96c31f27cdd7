package assertion_test

import (
	"context"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
)

// loopback resolves every name to this machine.
type loopback struct{}

func (loopback) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// deliver sends the bound request to a test server and gives the answer's body.
func deliver(t *testing.T, to *httptest.Server, b *connector.Bound, attached egress.Attachment) string {
	t.Helper()
	_, port, err := net.SplitHostPort(to.Listener.Addr().String())
	require.NoError(t, err)
	origin, err := egress.ParseOrigin("https://example.com:" + port) // the name in httptest's certificate
	require.NoError(t, err)
	door := egress.New(egress.Options{Resolver: loopback{}})
	defer door.Close()
	policy := egress.Policy{
		AllowRanges: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		RootCAs:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: to.Certificate().Raw}),
	}
	request := &egress.Request{Method: b.Method, Origin: origin, Path: b.Path, Query: b.Query, Header: b.Header, Body: b.Body}
	answer, err := door.Do(t.Context(), egress.PoolKey{}, policy, request, attached, egress.Limits{})
	require.NoError(t, err)
	text, err := answer.Bytes()
	require.NoError(t, err)
	return string(text)
}
