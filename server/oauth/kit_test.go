package oauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/tests/testenv"
)

// loopback resolves every name to this machine.
type loopback struct{}

func (loopback) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// newClient asks over the real egress. Its clock says now.
func newClient(t testing.TB, now func() time.Time) *oauth.Client {
	t.Helper()
	door := egress.New(egress.Options{Resolver: loopback{}})
	t.Cleanup(door.Close)
	return oauth.New(door, now, rand.Reader)
}

// slotOf reads a slot's fields, in flow style, as a manifest has them. {{at}} is the
// server's origin and {{tls}} what it takes to reach it.
func slotOf(t testing.TB, at *testenv.Upstream, fields string) connector.Slot {
	t.Helper()
	ca, err := json.Marshal(at.CA)
	require.NoError(t, err)
	c, err := connector.Parse([]byte(strings.NewReplacer("{{at}}", at.Origin, "{{tls}}", `network: {allow: [127.0.0.0/8]}, tls: {ca: `+string(ca)+`}`).Replace(`connector: things
kind: http
origin: https://things.example
credentials:
  main: {owner: workspace, attach: bearer, ` + fields + `}
tools:
  - {name: get, severity: READ, method: GET, path: /get, resources: ["repo:*"]}
`)))
	require.NoError(t, err)
	return c.Slots["main"]
}

// keys are made once: RSA takes its time.
type keys struct {
	small, rsa *rsa.PrivateKey
	p256, p384 *ecdsa.PrivateKey
}

var theKeys = sync.OnceValue(func() keys {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	var k keys
	var err error
	k.small, err = rsa.GenerateKey(rand.Reader, 1024)
	must(err)
	k.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	k.p256, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	k.p384, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(err)
	return k
})

func pkcs8(t testing.TB, key crypto.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return block("PRIVATE KEY", der)
}

func pkcs1(key *rsa.PrivateKey) string {
	return block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
}

func sec1(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	return block("EC PRIVATE KEY", der)
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// otherKey is an RSA key that nobody knows.
func otherKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return key
}
