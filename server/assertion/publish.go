package assertion

import (
	"encoding/base64"
	"encoding/json"
)

// Where a verifier finds the keys, below the issuer's URL.
const (
	jwksPath      = "/.well-known/jwks.json"
	discoveryPath = "/.well-known/openid-configuration"
)

// jwk is a public key as RFC 7517 and RFC 7518, 6.2.1 write it. It has no member in
// which anything private could stand.
type jwk struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Y         string `json:"y"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
}

// Documents are what is published, by path: the keys (RFC 7517) with those that do not
// sign yet and those that do not sign any more, and where they are (OpenID Connect
// Discovery), since many gateways look there. Empty where there is no issuer.
func (m *Minter) Documents() map[string]func() ([]byte, error) {
	if m.o.Issuer == "" {
		return nil
	}
	return map[string]func() ([]byte, error){jwksPath: m.jwks, discoveryPath: m.discovery}
}

func (m *Minter) jwks() ([]byte, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	document := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	for _, k := range m.o.Keys.AssertionPublicKeys() {
		document.Keys = append(document.Keys, jwk{
			Type: "EC", Curve: "P-256", X: b64(k.X), Y: b64(k.Y), Use: "sig", Algorithm: "ES256", KeyID: k.ID,
		})
	}
	return json.Marshal(document)
}

func (m *Minter) discovery() ([]byte, error) {
	return json.Marshal(struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}{m.o.Issuer, m.o.Issuer + jwksPath})
}
