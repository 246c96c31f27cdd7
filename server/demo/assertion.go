package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// payrollAudience is what payroll calls itself; its connector names it.
const payrollAudience = "https://payroll.internal"

const (
	skew       = 30 * time.Second
	fetchAgain = time.Second // after an unknown kid
	maxKeys    = 64 << 10
)

// verifier checks assertions as a service without a library for them would: with any
// JOSE library, against the keys that the issuer publishes.
type verifier struct {
	issuer string
	client *http.Client

	mu      sync.Mutex
	keys    jose.JSONWebKeySet
	fetched time.Time
}

// claims are those that payroll looks at.
type claims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	ID       string `json:"jti"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	Method   string `json:"htm"`
	Target   string `json:"htu"`
	Actor    struct {
		Subject string `json:"sub"`
	} `json:"act"`
}

// newVerifier trusts the issuer as far as its TLS certificate is signed by ca; without
// one, by the system's roots.
func newVerifier(issuer string, ca []byte) *verifier {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(ca) > 0 {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(ca)
	}
	return &verifier{issuer: issuer, client: &http.Client{
		Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true},
	}}
}

// verify checks everything that binds the request to who asks.
func (v *verifier) verify(r *http.Request) (*claims, error) {
	values := r.Header.Values("X-Onedoor-Jwt-Assertion")
	if len(values) != 1 {
		return nil, errors.New("want exactly one")
	}
	token, err := jose.ParseSignedCompact(values[0], []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, errors.New("not a JWS with ES256")
	}
	head := token.Signatures[0].Protected
	if head.ExtraHeaders[jose.HeaderType] != "onedoor-assertion+jwt" {
		return nil, errors.New("another typ")
	}
	key, err := v.key(r.Context(), head.KeyID)
	if err != nil {
		return nil, err
	}
	payload, err := token.Verify(key)
	if err != nil {
		return nil, errors.New("the signature is wrong")
	}
	c := &claims{}
	if err := json.Unmarshal(payload, c); err != nil {
		return nil, errors.New("the claims cannot be read")
	}
	return c, v.judge(c, r)
}

func (v *verifier) judge(c *claims, r *http.Request) error {
	now, issued, expires := time.Now(), time.Unix(c.IssuedAt, 0), time.Unix(c.Expires, 0)
	switch {
	case v.issuer == "" || c.Issuer != v.issuer:
		return errors.New("another issuer")
	case c.Audience != payrollAudience:
		return errors.New("for another audience")
	case now.After(expires.Add(skew)) || issued.After(now.Add(skew)) || expires.Sub(issued) > 5*time.Minute:
		return errors.New("not valid now")
	case c.Method != r.Method || c.Target != "https://"+r.Host+r.URL.EscapedPath() || r.URL.RawQuery != "":
		return errors.New("for another request")
	case c.Subject == "" || c.Actor.Subject == "" || c.ID == "":
		return errors.New("it does not say who asks")
	}
	return nil
}

// key finds a published key, and asks the issuer again where it is not known.
func (v *verifier) key(ctx context.Context, id string) (*jose.JSONWebKey, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	found := v.keys.Key(id)
	if len(found) == 0 && time.Since(v.fetched) >= fetchAgain {
		if err := v.fetch(ctx); err != nil {
			return nil, errors.New("the issuer's keys cannot be had")
		}
		found = v.keys.Key(id)
	}
	if id == "" || len(found) != 1 {
		return nil, errors.New("the issuer publishes no such key")
	}
	return &found[0], nil
}

func (v *verifier) fetch(ctx context.Context) error {
	v.fetched = time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, v.issuer+"/.well-known/jwks.json", nil)
	if err != nil {
		return err
	}
	answer, err := v.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxKeys)).Decode(&keys); err != nil {
		return err
	}
	v.keys = keys
	return nil
}
