package assertion_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client/assertion"
)

func TestAZeroValueRefuses(t *testing.T) {
	b := newBroker(t, newClock())
	var zero assertion.Verifier
	for name, v := range map[string]*assertion.Verifier{"zero": &zero, "nil": nil} {
		t.Run(name, func(t *testing.T) {
			_, err := v.Verify(context.Background(), b.request("GET", target, ""))
			require.ErrorIs(t, err, assertion.NotConfigured)
			_, err = v.VerifyToken(context.Background(), []string{"x"}, nil)
			require.ErrorIs(t, err, assertion.NotConfigured)
			answer := httptest.NewRecorder()
			v.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("reached") })).
				ServeHTTP(answer, b.request("GET", target, ""))
			require.Equal(t, http.StatusServiceUnavailable, answer.Code)
			require.Equal(t, "X-Onedoor-Jwt-Assertion", v.Header())
		})
	}
}

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*assertion.Options)
		says   string
	}{
		"right":             {func(*assertion.Options) {}, ""},
		"no issuer":         {func(o *assertion.Options) { o.Issuer = "" }, "Issuer"},
		"plain http":        {func(o *assertion.Options) { o.Issuer = "http://broker.example" }, "Issuer"},
		"no audience":       {func(o *assertion.Options) { o.Audience = "" }, "Audience"},
		"keys over http":    {func(o *assertion.Options) { o.JWKSURL = "http://broker.example/keys" }, "JWKSURL"},
		"unknown profile":   {func(o *assertion.Options) { o.Profile = 7 }, "Profile"},
		"endless leeway":    {func(o *assertion.Options) { o.Leeway = time.Hour }, "Leeway"},
		"negative leeway":   {func(o *assertion.Options) { o.Leeway = -1 }, "Leeway"},
		"stale before old":  {func(o *assertion.Options) { o.KeysStale = time.Minute }, "KeysStale"},
		"negative interval": {func(o *assertion.Options) { o.RefreshInterval = -1 }, "RefreshInterval"},
		"negative body":     {func(o *assertion.Options) { o.MaxBody = -1 }, "MaxBody"},
		"no SPIFFE ID":      {func(o *assertion.Options) { o.BrokerID = "broker" }, "BrokerID"},
		"unseen peer":       {func(o *assertion.Options) { o.RequireConfirmation, o.TLSElsewhere = true, true }, "RequireConfirmation"},
		"bound for all":     {func(o *assertion.Options) { o.RequireConfirmation, o.Profile = true, assertion.TxnToken }, "RequireConfirmation"},
		"unseen broker":     {func(o *assertion.Options) { o.BrokerID, o.TLSElsewhere = "spiffe://a/b", true }, "BrokerID"},
		"origin":            {func(o *assertion.Options) { o.Origin = "payroll.internal" }, "Origin"},
	} {
		t.Run(name, func(t *testing.T) {
			o := assertion.Options{Issuer: issuerName, Audience: audience}
			c.change(&o)
			v, err := assertion.NewVerifier(o)
			if c.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.says)
			require.Nil(t, v)
		})
	}
}

// TestTargets: how the request's own target is found, over a real connection.
func TestTargets(t *testing.T) {
	c := newClock()
	b := newBroker(t, c)
	var v *assertion.Verifier
	var seen error
	service := httptest.NewServer(http.StripPrefix("/api", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, seen = v.Verify(r.Context(), r)
	})))
	defer service.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(service.URL, "http://"), ":")

	for _, k := range []struct{ name, origin, claimed, sent string }{
		{"as sent", "", service.URL + "/api/a", "/api/a"},
		{"escapes stay", "", service.URL + "/api/a%2Fb/%7e", "/api/a%2Fb/%7e"},
		{"query", "", service.URL + "/api/a?x=1&x=%20", "/api/a?x=1&x=%20"},
		{"host in capitals", "http://PAYROLL.internal", "HTTP://payroll.INTERNAL/api/a", "/api/a"},
		{"default port", "https://payroll.internal", "https://payroll.internal:443/api/a", "/api/a"},
		{"behind a proxy", "https://payroll.internal/", "https://payroll.internal/api/a", "/api/a"},
		{"another port", "https://payroll.internal:" + port, "https://payroll.internal/api/a", "!/api/a"},
		{"not behind it", "https://payroll.internal", service.URL + "/api/a", "!/api/a"},
		{"a user in it", "", strings.Replace(service.URL, "//", "//me@", 1) + "/api/a", "!/api/a"},
		{"a letter that looks like k", "https://k.internal", "https://%E2%84%AA.internal/api/a", "!/api/a"},
		{"unescaped", "", service.URL + "/api/a/b", "!/api/a%2Fb"},
		{"fragment", "", service.URL + "/api/a#b", "!/api/a"},
	} {
		t.Run(k.name, func(t *testing.T) {
			v = b.verifier(func(o *assertion.Options) { o.Origin = k.origin })
			sent, refused := strings.CutPrefix(k.sent, "!")
			r, err := http.NewRequest(http.MethodGet, service.URL+sent, http.NoBody)
			require.NoError(t, err)
			r.Header.Set("X-Onedoor-Jwt-Assertion", b.sign(b.claims("GET", k.claimed, "")))
			answer, err := service.Client().Do(r)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			if refused {
				require.ErrorIs(t, seen, assertion.URIWrong)
				return
			}
			require.NoError(t, seen)
		})
	}
}

func TestBodies(t *testing.T) {
	b := newBroker(t, newClock())
	v := b.verifier(func(o *assertion.Options) { o.MaxBody = 10 })

	r := b.request("POST", target, "0123456789")
	_, err := v.Verify(context.Background(), r)
	require.NoError(t, err, "as large as allowed")
	content, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, "0123456789", string(content))

	_, err = v.Verify(context.Background(), b.request("POST", target, "0123456789a"))
	require.ErrorIs(t, err, assertion.BodyTooLarge)

	r = b.request("POST", target, "01234")
	r.Body = io.NopCloser(iotest.TimeoutReader(iotest.OneByteReader(r.Body)))
	_, err = v.Verify(context.Background(), r)
	require.ErrorIs(t, err, assertion.BodyUnreadable)
	require.ErrorIs(t, err, iotest.ErrTimeout)

	r = b.request("POST", target, "")
	r.Body = nil
	_, err = v.Verify(context.Background(), r)
	require.NoError(t, err, "no body is an empty one")
}

func TestPeers(t *testing.T) {
	b := newBroker(t, newClock())
	id, err := url.Parse("spiffe://home.test/onedoor")
	require.NoError(t, err)
	cert := &x509.Certificate{Raw: []byte("broker"), URIs: []*url.URL{id}}
	double := &x509.Certificate{Raw: []byte("broker"), URIs: []*url.URL{id, id}}
	shown := func(c *x509.Certificate) *tls.ConnectionState {
		return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}}
	}
	proved := shown(cert)
	proved.VerifiedChains = [][]*x509.Certificate{{cert}}
	fromBroker := func(o *assertion.Options) { o.BrokerID = id.String() }
	confirmed := func(o *assertion.Options) { o.RequireConfirmation = true }

	for _, c := range []struct {
		name   string
		change func(*assertion.Options)
		bound  bool
		state  *tls.ConnectionState
		want   assertion.Reason
	}{
		{"proved", fromBroker, true, proved, ""},
		{"shown, not proved", fromBroker, false, shown(cert), assertion.PeerWrong},
		{"bound to what was only shown", nil, true, shown(cert), assertion.PeerWrong},
		{"proved by the server's own check", func(o *assertion.Options) { fromBroker(o); o.PeerVerified = true }, true, shown(cert), ""},
		{"two IDs", func(o *assertion.Options) { fromBroker(o); o.PeerVerified = true }, false, shown(double), assertion.PeerWrong},
		{"no TLS", fromBroker, false, nil, assertion.PeerWrong},
		{"bound, no TLS", nil, true, nil, assertion.PeerWrong},
		{"bound as required", confirmed, true, proved, ""},
		{"bound as required, shown and not proved", confirmed, true, shown(cert), assertion.PeerWrong},
		{"bound as required, no TLS", confirmed, true, nil, assertion.PeerWrong},
		{"not bound", confirmed, false, proved, assertion.ClaimMissing},
		{"not bound, no TLS", confirmed, false, nil, assertion.ClaimMissing},
		{"bound, TLS ends elsewhere", func(o *assertion.Options) { o.TLSElsewhere = true }, true, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			claims := b.claims("GET", target, "")
			if c.bound {
				claims["cnf"] = map[string]any{"x5t#S256": queryDigest("broker")}
			}
			r := carrying(b.sign(claims), "GET", target, "")
			r.TLS = c.state
			v := b.verifier(func(o *assertion.Options) {
				o.Origin = "https://payroll.internal"
				if c.change != nil {
					c.change(o)
				}
			})
			_, err := v.Verify(context.Background(), r)
			require.Equal(t, c.want, reason(err), "%v", err)
		})
	}
}

// TestMiddleware: claims for those let through, a reason for the others, and nothing of
// the token in either the answer or the error.
func TestMiddleware(t *testing.T) {
	b := newBroker(t, newClock())
	v := b.verifier(func(o *assertion.Options) { o.MaxBody = 5 })
	handler := v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, ok := assertion.FromContext(r.Context())
		if !ok {
			t.Error("no claims")
			return
		}
		content, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, claims.Subject+" "+claims.Actor.Subject+" "+string(content))
	}))
	call := func(r *http.Request) (int, string) {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		return answer.Code, strings.TrimSpace(answer.Body.String())
	}
	code, said := call(b.request("POST", target, "hello"))
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "usr_1 mailer hello", said)

	r := b.request("GET", target, "")
	token := r.Header.Get("X-Onedoor-Jwt-Assertion")
	r.Header.Add("X-Onedoor-Jwt-Assertion", token)
	code, said = call(r)
	require.Equal(t, http.StatusUnauthorized, code)
	require.Equal(t, "assertion refused: HEADER_REPEATED", said)

	code, _ = call(b.request("POST", target, "too long"))
	require.Equal(t, http.StatusRequestEntityTooLarge, code)

	long := b.claims("GET", target, "")
	long["pad"] = strings.Repeat("a", 16<<10)
	_, said = call(carrying(b.sign(long), "GET", target, ""))
	require.Equal(t, "assertion refused: MALFORMED", said)

	altered := carrying(token[:len(token)-8]+"AAAAAAAA", "GET", target, "")
	_, err := v.Verify(context.Background(), altered)
	require.ErrorIs(t, err, assertion.SignatureInvalid)
	require.NotContains(t, err.Error(), token[:20])

	_, ok := assertion.FromContext(context.Background())
	require.False(t, ok)
	require.Empty(t, reason(errors.New("another")))
}

func TestAnotherHeader(t *testing.T) {
	b := newBroker(t, newClock())
	v := b.verifier(func(o *assertion.Options) { o.Header = "X-User" })
	r := b.request("GET", target, "")
	_, err := v.Verify(context.Background(), r)
	require.ErrorIs(t, err, assertion.HeaderMissing)
	r.Header.Set("X-User", r.Header.Get("X-Onedoor-Jwt-Assertion"))
	_, err = v.Verify(context.Background(), r)
	require.NoError(t, err)
}
