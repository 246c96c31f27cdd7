package credential_test

import (
	"crypto/rand"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/server/sts"
)

// through has a keeper reach token endpoints and STS through a proxy; without an answer the
// proxy demands a secret that is not stored.
func (b *bench) through(t *testing.T, answer string) *credential.Keeper {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			_, _ = conn.Read(make([]byte, 1024))
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}()
	at, err := egress.ParseProxyAddress("http://" + listener.Addr().String())
	require.NoError(t, err)
	all, err := egress.ParseScope("*")
	require.NoError(t, err)
	routing, err := egress.NewRouting([]egress.Proxy{{
		Name: "casb", Address: at, For: []egress.Scope{all}, Authenticates: answer == "",
		AllowRanges: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}}, nil)
	require.NoError(t, err)
	door := egress.New(egress.Options{Resolver: loopback{}, Routing: routing})
	t.Cleanup(door.Close)
	return b.keeperWith(func(o *credential.Options) {
		o.OAuth, o.STS = oauth.New(door, now, rand.Reader), sts.New(door, b.now)
	})
}

// TestATokenIsHadThroughAProxy: it is said that the proxy is in the way of a token, and
// what to do where its secret is missing; its name is said to nobody.
func TestATokenIsHadThroughAProxy(t *testing.T) {
	const missing = ": the secret of the proxy on the way is not stored, or was put for another address of it: " +
		"an operator puts it, onedoor credential put proxy/NAME --workspace --from-file FILE"
	for name, k := range map[string]struct{ answer, want string }{
		"its secret is missing":    {"", missing},
		"it refuses":               {"HTTP/1.1 407 canary\r\n\r\n", ": the proxy on the way fails, as the broker's log says"},
		"it cannot connect itself": {"HTTP/1.1 502 canary\r\n\r\n", " through the proxy on the way"},
	} {
		t.Run(name, func(t *testing.T) {
			told := func(err error, want string) {
				t.Helper()
				require.True(t, fault.Is(err, fault.UpstreamUnavailable), "%v", err)
				require.ErrorContains(t, err, want)
				require.NotContains(t, err.Error(), "casb")
				requireSilent(t, err)
				var e *egress.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, "casb", e.Proxy, "for the log")
			}
			a := newAccount(t, time.Hour)
			keeper := a.through(t, k.answer)
			_, err := a.token(t, keeper)
			told(err, "the token endpoint cannot be reached"+k.want+"; nothing was sent to the upstream")
			_, err = a.token(t, keeper)
			require.ErrorContains(t, err, "the access token cannot be renewed now: the token endpoint cannot be reached"+k.want+"; the provider")
			records, err := a.List(t.Context(), workspace, "crm")
			require.NoError(t, err)
			require.False(t, records[0].Dead)

			service := newService(t, "basic")
			service.put(t, service.connector, "main", "", another)
			_, err = service.header(t, service.through(t, k.answer))
			told(err, "the token endpoint cannot be reached"+k.want+"; nothing was sent to the upstream")

			aws := newAWS(t)
			c := aws.connectorOf(t, aws.roleOf(t, true))
			aws.put(t, c, "main", "", awsSecret)
			_, err = aws.call(t, aws.through(t, k.answer), c, aTask, "a")
			told(err, "AWS's STS cannot be had now"+k.want+"; nothing was sent to the upstream")
		})
	}
}
