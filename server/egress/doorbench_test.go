package egress_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

func BenchmarkDo(b *testing.B) {
	body := strings.Repeat(`{"id":42,"name":"Ada","mail":"ada@example.com"},`, 21)[:1000]
	ca := newAuthority(b)
	server := ca.serve(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
	bn := newBench(b, ca, server.Listener.Addr(), answer("127.0.0.1"))
	scrubber := egress.NewScrubber([]byte(secret))
	b.Run("door", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			att := egress.NewAttachment()
			_ = att.SetHeader("Authorization", "Bearer "+secret)
			_ = att.Use(scrubber)
			res, err := bn.door.Do(b.Context(), bn.key, bn.policy, bn.get("/"), att, bn.limits)
			require.NoError(b, err)
			_, err = res.Bytes()
			require.NoError(b, err)
		}
	})
	b.Run("net/http alone", func(b *testing.B) {
		b.ReportAllocs()
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(ca.pem)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: host}, ForceAttemptHTTP2: true}
		b.Cleanup(transport.CloseIdleConnections)
		for b.Loop() {
			req, err := http.NewRequestWithContext(b.Context(), "GET", server.URL, nil)
			require.NoError(b, err)
			req.Header.Set("Authorization", "Bearer "+secret)
			res, err := transport.RoundTrip(req)
			require.NoError(b, err)
			_, err = io.ReadAll(res.Body)
			require.NoError(b, err)
			_ = res.Body.Close()
		}
	})
}
