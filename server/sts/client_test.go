package sts_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/sigv4"
	"github.com/onedoor/onedoor/server/sts"
)

type loopback struct{}

func (loopback) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// service plays STS, and gives a request to it.
func service(t *testing.T, h http.HandlerFunc) (*sts.Client, sts.Request) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	at, err := egress.ParseLocation("https://example.com:" + u.Port() + "/sts")
	require.NoError(t, err)
	door := egress.New(egress.Options{Resolver: loopback{}})
	t.Cleanup(door.Close)
	key, err := sigv4.ParseKey([]byte("AKIDEXAMPLE:wJalrXUtnFEMI-canary-stored"))
	require.NoError(t, err)
	return sts.New(door, func() time.Time { return now }), sts.Request{
		Workspace: "w", Connector: "c", Key: key, Name: "user.task", Policy: `{"Version":"2012-10-17"}`,
		AWS: &connector.AWS{
			Region: "eu-central-1", Service: "s3", Role: "arn:aws:iam::123456789012:role/x", ExternalID: "ext", Session: 20 * time.Minute, STS: at,
			Egress: egress.Policy{
				AllowRanges: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
				RootCAs:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}),
			},
		},
	}
}

func TestAssumeRole(t *testing.T) {
	var seen *http.Request
	c, r := service(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		seen = r
		_, _ = w.Write([]byte(granted))
	})
	s, err := c.AssumeRole(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, id, s.Key.ID)
	require.Equal(t, 15*time.Minute, s.Life)
	require.Equal(t, "POST /sts", seen.Method+" "+seen.URL.Path)
	require.Equal(t, url.Values{
		"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {"arn:aws:iam::123456789012:role/x"}, "RoleSessionName": {"user.task"},
		"DurationSeconds": {"1200"}, "ExternalId": {"ext"}, "Policy": {`{"Version":"2012-10-17"}`},
	}, seen.PostForm)
	require.Regexp(t, `^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261125/eu-central-1/sts/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=[0-9a-f]{64}$`,
		seen.Header.Get("Authorization"))

	r.AWS.ExternalID, r.Policy = "", ""
	_, err = c.AssumeRole(t.Context(), r)
	require.NoError(t, err)
	require.NotContains(t, seen.PostForm, "Policy")
	require.NotContains(t, seen.PostForm, "ExternalId")
}

func TestAssumeRoleFails(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		change  func(*sts.Request)
		kind    sts.Kind
	}{
		"refused":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, nil, sts.Refused},
		"too long": {func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintf(w, "%200000s", granted) }, nil, sts.Unclear},
		"broken off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10000")
			_, _ = w.Write([]byte(granted))
		}, nil, sts.Unclear},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.test/canary", http.StatusTemporaryRedirect)
		}, nil, sts.Unclear},
		"an address that is not allowed": {nil, func(r *sts.Request) { r.AWS.Egress.AllowRanges = nil }, sts.Unavailable},
		"a certificate of another CA":    {nil, func(r *sts.Request) { r.AWS.Egress.RootCAs = nil }, sts.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			client, r := service(t, c.handler)
			if c.change != nil {
				c.change(&r)
			}
			_, err := client.AssumeRole(t.Context(), r)
			requireError(t, err, c.kind, "")
		})
	}
}
