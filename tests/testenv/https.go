package testenv

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TLS gives the TLS configuration of an ordinary HTTPS client that knows nothing of
// SPIFFE: the files that `onedoor svid --write` makes, and the host name checked.
func (b *Broker) TLS(t testing.TB, as Role) *tls.Config {
	t.Helper()
	dir := t.TempDir()
	written := b.CLI(t, as, "", "svid", "--write", dir)
	require.Zero(t, written.Code, written.Stderr)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "svid.pem"), filepath.Join(dir, "key.pem"))
	require.NoError(t, err)
	config := b.Anonymous(t)
	config.Certificates = []tls.Certificate{pair}
	return config
}

// Anonymous is TLS without a client certificate.
func (b *Broker) Anonymous(t testing.TB) *tls.Config {
	t.Helper()
	roots := x509.NewCertPool()
	text, err := os.ReadFile(b.Bundle)
	require.NoError(t, err)
	require.True(t, roots.AppendCertsFromPEM(text))
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
}

// HTTPS makes a client of a TLS configuration that follows no redirect.
func HTTPS(t testing.TB, config *tls.Config) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// REST makes requests to a broker's REST API as one workload with one task key.
type REST struct {
	client *http.Client
	base   string
	key    string
}

// REST opens the REST API as a workload. key is empty for all but sandboxes.
func (b *Broker) REST(t testing.TB, as Role, key string) *REST {
	t.Helper()
	return b.RESTWith(t, b.TLS(t, as), b.RESTURL, key)
}

// RESTWith opens a REST API under a TLS configuration of the caller's.
func (b *Broker) RESTWith(t testing.TB, config *tls.Config, base, key string) *REST {
	t.Helper()
	return &REST{client: HTTPS(t, config), base: base, key: key}
}

// Answer is an HTTP answer, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Do makes one request; header holds names and values in turn.
func (r *REST) Do(t testing.TB, method, path, body string, header ...string) Answer {
	t.Helper()
	contentType := ""
	if body != "" {
		contentType = "application/json"
	}
	return r.DoAs(t, method, path, body, contentType, header...)
}

// DoAs is Do with a body of another type, or with none where it is empty.
func (r *REST) DoAs(t testing.TB, method, path, body, contentType string, header ...string) Answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.base+path, strings.NewReader(body))
	require.NoError(t, err)
	if r.key != "" {
		request.Header.Set("Authorization", "Bearer "+r.key)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	return Fetch(t, r.client, request)
}

// Raw is Do with a path that goes over the wire as it is, whatever a client would make of
// it.
func (r *REST) Raw(t testing.TB, method, path, body string) Answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.base, strings.NewReader(body))
	require.NoError(t, err)
	target, query, _ := strings.Cut(path, "?")
	request.URL.Opaque, request.URL.RawQuery = target, query
	request.Header.Set("Authorization", "Bearer "+r.key)
	request.Header.Set("Content-Type", "application/json")
	return Fetch(t, r.client, request)
}

// Fetch makes a request and reads the answer to its end.
func Fetch(t testing.TB, c *http.Client, request *http.Request) Answer {
	t.Helper()
	response, err := c.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return Answer{Status: response.StatusCode, Header: response.Header, Body: string(text)}
}

// Reason gives the reason in an error's google.rpc.ErrorInfo.
func (a Answer) Reason(t testing.TB) string { return a.info(t).Reason }

// Metadata gives what stands beside the reason.
func (a Answer) Metadata(t testing.TB) map[string]string { return a.info(t).Metadata }

// Field gives the field that an error names.
func (a Answer) Field(t testing.TB) string { return a.info(t).Metadata["field"] }

type errorInfo struct {
	Type     string            `json:"@type"`
	Reason   string            `json:"reason"`
	Domain   string            `json:"domain"`
	Metadata map[string]string `json:"metadata"`
}

func (a Answer) info(t testing.TB) errorInfo {
	t.Helper()
	var status struct {
		Details []errorInfo `json:"details"`
	}
	require.NoError(t, json.Unmarshal([]byte(a.Body), &status), a.Body)
	for _, d := range status.Details {
		if strings.HasSuffix(d.Type, "google.rpc.ErrorInfo") {
			return d
		}
	}
	t.Fatalf("the error holds no ErrorInfo: %d %s", a.Status, a.Body)
	return errorInfo{}
}
