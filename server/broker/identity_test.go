package broker_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/broker"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
)

// own is a broker's SVID that is another one at each call, may not be shown, or cannot
// be had.
type own struct {
	t           *testing.T
	denied, err error
}

func (o own) Ready(*connector.Connector) error { return o.denied }

func (o own) ClientCertificate(*connector.Connector) (egress.Certificate, error) {
	if o.err != nil {
		return egress.Certificate{}, o.err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(o.t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now(), NotAfter: now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(o.t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(o.t, err)
	return egress.NewCertificate([]*x509.Certificate{leaf}, key)
}

// showing changes the manifest so that its calls show the broker's SVID.
func showing(text string) string { return strings.Replace(text, "tls:\n", "tls:\n  client: svid\n", 1) }

// TestTheSVIDIsShown where a manifest says so and nowhere else, the newest at each call,
// beside the user's credential; and the assertion is bound to the very one.
func TestTheSVIDIsShown(t *testing.T) {
	b := newBench(t)
	b.upstream.TLS.ClientAuth = tls.RequestClientCert
	b.options.Identity = own{t: t}
	peers := map[string]bool{}
	var confirmed, shown string
	b.answer(func(_ http.ResponseWriter, r *http.Request) {
		confirmed, shown = "", ""
		if parts := strings.Split(r.Header.Get(assertionHeader), "."); len(parts) == 3 {
			payload, err := base64.RawURLEncoding.DecodeString(parts[1])
			var claims struct {
				Confirm map[string]string `json:"cnf"`
			}
			if err == nil && json.Unmarshal(payload, &claims) == nil {
				confirmed = claims.Confirm["x5t#S256"]
			}
		}
		for _, one := range r.TLS.PeerCertificates {
			sum := sha256.Sum256(one.Raw)
			shown = base64.RawURLEncoding.EncodeToString(sum[:])
			peers[shown] = true
		}
	})
	call := func(changes ...func(string) string) {
		t.Helper()
		b.apply(t, func(text string) string {
			for _, change := range changes {
				text = change(text)
			}
			return text
		})
		answer, err := broker.New(b.options).Invoke(t.Context(), b.call(t, "contacts.get", `{"id":"1"}`, "crm: contacts.get READ contact:*"))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answer.Status, "the credential went along")
	}
	for range 3 {
		call(showing, asserting)
		require.NotEmpty(t, shown)
		require.Equal(t, shown, confirmed)
	}
	require.Len(t, peers, 3)
	call(showing)
	require.NotEmpty(t, shown)
	call(asserting)
	require.Empty(t, shown+confirmed, "nobody asked for it")
}

// TestWithoutAnSVIDNothingIsSent: what may not show one is refused, and where there is
// none the intent stands, and its outcome is that nothing left.
func TestWithoutAnSVIDNothingIsSent(t *testing.T) {
	for name, c := range map[string]struct {
		identity broker.Identity
		reason   fault.Reason
		row      audit.Kind
	}{
		"none now":        {own{err: fault.New(fault.UpstreamUnavailable, "no SVID", nil)}, fault.UpstreamUnavailable, audit.OutcomeRow},
		"none ever":       {nil, fault.Internal, audit.Refusal},
		"not to this one": {own{denied: fault.New(fault.EgressDenied, "not to this one", nil)}, fault.EgressDenied, audit.Refusal},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.apply(t, showing)
			b.options.Identity = c.identity
			call := b.call(t, "contacts.add", `{"name":"x"}`, "crm: contacts.add WRITE contact:*")
			_, err := broker.New(b.options).Invoke(t.Context(), call)
			requireReason(t, c.reason, err)
			require.Zero(t, b.hits.Load())
			rows := b.rows(t, call)
			last := rows[len(rows)-1]
			require.Equal(t, c.row, last.Kind)
			if c.row == audit.OutcomeRow {
				require.Equal(t, audit.NotSent, last.Outcome)
			}
		})
	}
}
