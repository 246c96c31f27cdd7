package assertion

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"io"
	"net/http"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// maxJWKS bounds an answer, in bytes. A key is some 200.
const maxJWKS = 256 << 10

// jwksSource asks for a JWK Set (RFC 7517 section 5).
type jwksSource struct {
	url    string
	client http.Client
}

// noRedirect makes a redirect an answer that is not 200: the keys come from where the
// configuration says, or from nowhere.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (s *jwksSource) fetch(ctx context.Context) (map[string]*ecdsa.PublicKey, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d", s.url, answer.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxJWKS+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxJWKS {
		return nil, fmt.Errorf("%s: more than %d bytes", s.url, maxJWKS)
	}
	return parseKeys(text)
}

// parseKeys gives the keys that can verify an assertion. Keys of other kinds are passed
// over, as RFC 7517 section 5 says; a set that is ambiguous or no set is refused whole.
// A set without any is an answer: the issuer has withdrawn them all.
func parseKeys(text []byte) (map[string]*ecdsa.PublicKey, error) {
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("the JWK Set does not parse: %w", err)
	}
	if set.Keys == nil {
		return nil, fmt.Errorf("not a JWK Set")
	}
	keys := map[string]*ecdsa.PublicKey{}
	for _, raw := range *set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil {
			continue
		}
		// A private key on view is nobody's any more: its type is another, so it drops out.
		public, ok := key.Key.(*ecdsa.PublicKey)
		if !ok || public.Curve != elliptic.P256() || key.KeyID == "" ||
			key.Use != "" && key.Use != "sig" || key.Algorithm != "" && key.Algorithm != string(jose.ES256) {
			continue
		}
		if keys[key.KeyID] != nil {
			return nil, fmt.Errorf("the JWK Set names two keys %q", key.KeyID)
		}
		keys[key.KeyID] = public
	}
	return keys, nil
}
