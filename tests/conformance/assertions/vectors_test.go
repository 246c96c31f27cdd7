package assertions_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client/assertion"
	"github.com/onedoor/onedoor/tests/conformance/assertions"
)

func TestTheFileIsWhatTheGeneratorMakes(t *testing.T) {
	made, err := assertions.Generate()
	require.NoError(t, err)
	kept, err := os.ReadFile("vectors.json")
	require.NoError(t, err)
	require.Equal(t, string(kept), string(made), "run go run ./tests/conformance/assertions/write")
}

func TestOurVerifier(t *testing.T) {
	file, err := assertions.Load("vectors.json")
	require.NoError(t, err)
	require.Greater(t, len(file.Cases), 100)
	issuer := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(file.JWKS) }))
	defer issuer.Close()

	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			options := assertion.Options{
				Issuer: file.Issuer, Audience: file.Audience, JWKSURL: issuer.URL, HTTPClient: issuer.Client(),
				Leeway: time.Duration(file.Leeway) * time.Second, BrokerID: c.BrokerID,
				RequireConfirmation: c.RequireCNF,
				Now:                 func() time.Time { return time.Unix(file.Now, 0) },
			}
			if c.Profile == "txn-token" {
				options.Profile, options.Audience = assertion.TxnToken, file.TrustDomain
			}
			v, err := assertion.NewVerifier(options)
			require.NoError(t, err)
			for range c.Times - 1 {
				_, err := v.Verify(context.Background(), request(t, c.Request))
				require.NoError(t, err, "all but the last time")
			}
			r := request(t, c.Request)
			claims, err := v.Verify(context.Background(), r)
			require.Equal(t, c.Reason, string(assertion.ReasonOf(err)), "%v", err)
			if !c.Valid {
				require.Error(t, err)
				require.Nil(t, claims)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "usr_7f3a", claims.Subject)
			content, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.Equal(t, c.Request.Body, string(content), "the handler can read the body")
		})
	}
}

// TestEveryReasonHasACase but for those that depend on the verifier's surroundings.
func TestEveryReasonHasACase(t *testing.T) {
	file, err := assertions.Load("vectors.json")
	require.NoError(t, err)
	seen := map[assertion.Reason]bool{}
	for _, c := range file.Cases {
		seen[assertion.Reason(c.Reason)] = true
		require.Equal(t, c.Valid, c.Reason == "")
		require.Contains(t, []string{"token", "request", "service"}, c.Layer)
	}
	for _, r := range []assertion.Reason{
		assertion.HeaderMissing, assertion.HeaderRepeated, assertion.Malformed, assertion.AlgorithmRefused, assertion.TypeWrong,
		assertion.KeyUnknown, assertion.SignatureInvalid, assertion.IssuerWrong, assertion.AudienceWrong, assertion.ClaimMissing,
		assertion.Expired, assertion.NotYetValid, assertion.LifeTooLong, assertion.PeerWrong, assertion.MethodWrong,
		assertion.URIWrong, assertion.QueryWrong, assertion.DigestMissing, assertion.DigestWrong, assertion.Replayed,
	} {
		require.True(t, seen[r], r)
	}
}

func request(t *testing.T, from assertions.Request) *http.Request {
	t.Helper()
	r := httptest.NewRequest(from.Method, from.URL, strings.NewReader(from.Body))
	for _, h := range from.Headers {
		r.Header.Add(h[0], h[1])
	}
	r.TLS = &tls.ConnectionState{}
	if from.PeerCertificate != "" {
		block, _ := pem.Decode([]byte(from.PeerCertificate))
		require.NotNil(t, block)
		cert, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		r.TLS.PeerCertificates = []*x509.Certificate{cert}
		r.TLS.VerifiedChains = [][]*x509.Certificate{{cert}}
	}
	return r
}
