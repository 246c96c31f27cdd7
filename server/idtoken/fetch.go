package idtoken

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"github.com/onedoor/onedoor/server/egress"
)

const (
	// fetchTimeout bounds discovery and key set together: an orchestrator waits.
	fetchTimeout = 5 * time.Second
	maxDocument  = 256 << 10
	maxKeys      = 100
	minRSABits   = 2048
)

var (
	errOtherIssuer = errors.New("the discovery document names another issuer")
	errKeysAt      = errors.New("the discovery document says no usable jwks_uri")
	errDocument    = errors.New("not the JSON that was expected")
	errNoKeys      = errors.New("the key set holds no usable key, or too many")
)

// source is where one issuer's keys come from. Nothing of ours is sent there but the
// request itself.
type source struct {
	door   *egress.Door
	issuer string
	policy egress.Policy
}

// discovered is what a discovery document says (OpenID Connect Discovery 1.0, section 3).
type discovered struct {
	Issuer      string `json:"issuer"`
	KeysAt      string `json:"jwks_uri"`
	AuthorizeAt string `json:"authorization_endpoint"`
	TokenAt     string `json:"token_endpoint"`
	NamesIssuer bool   `json:"authorization_response_iss_parameter_supported"`
}

// discover asks the issuer for its discovery document (section 4 there).
func (s source) discover(ctx context.Context) (discovered, error) {
	at, err := egress.ParseLocation(s.issuer)
	if err != nil {
		return discovered{}, err
	}
	at.Path = strings.TrimSuffix(at.Path, "/") + "/.well-known/openid-configuration"
	var d discovered
	if err := s.get(ctx, at, &d); err != nil {
		return discovered{}, err
	}
	if d.Issuer != s.issuer { // section 4.3: else one issuer could speak for another
		return discovered{}, errOtherIssuer
	}
	return d, nil
}

// keys asks the issuer where its keys are and for them. That is asked each time: an
// issuer may move them.
func (s source) keys(ctx context.Context) ([]jose.JSONWebKey, error) {
	d, err := s.discover(ctx)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	at, err := egress.ParseLocation(d.KeysAt)
	if err != nil {
		return nil, errKeysAt
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := s.get(ctx, at, &set); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	return readable(set.Keys)
}

// readable keeps the keys that can be used. Those of kinds that nobody here knows are
// passed over, as RFC 7517, section 5, asks for.
func readable(list []json.RawMessage) ([]jose.JSONWebKey, error) {
	var keys []jose.JSONWebKey
	for _, text := range list {
		var k jose.JSONWebKey
		if json.Unmarshal(text, &k) == nil && usable(&k) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 || len(keys) > maxKeys {
		return nil, errNoKeys
	}
	return keys, nil
}

// usable: a public key, for signatures, of an algorithm that we take.
func usable(k *jose.JSONWebKey) bool {
	if weak, ok := k.Key.(*rsa.PublicKey); ok && weak.N.BitLen() < minRSABits {
		return false
	}
	return k.Valid() && k.IsPublic() && (k.Use == "" || k.Use == "sig") &&
		(k.Algorithm == "" || slices.Contains(algorithms(), jose.SignatureAlgorithm(k.Algorithm)))
}

// get fetches one JSON document.
func (s source) get(ctx context.Context, at egress.Location, into any) error {
	// No connector is named so: its connections are nobody else's.
	key := egress.PoolKey{Connector: "issuer:" + s.issuer}
	req := &egress.Request{
		Method: http.MethodGet, Origin: at.Origin, Path: at.Path, Query: at.Query,
		Header: http.Header{"Accept": {"application/json"}},
	}
	res, err := s.door.Do(ctx, key, s.policy, req, egress.NewAttachment(), egress.Limits{Total: fetchTimeout, MaxResponseBytes: maxDocument})
	if err != nil {
		return err
	}
	text, err := res.Bytes()
	if err != nil {
		return err
	}
	if res.Status != http.StatusOK {
		return fmt.Errorf("status %d", res.Status)
	}
	if json.Unmarshal(text, into) != nil { // its text may hold what the issuer wrote
		return errDocument
	}
	return nil
}
