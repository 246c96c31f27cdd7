package assertions

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/url"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// key is a P-256 key and its RFC 7638 thumbprint.
type key struct {
	private *ecdsa.PrivateKey
	kid     string
}

// ecKey makes the key that belongs to a seed.
func ecKey(seed string) key {
	scalar := sha256.Sum256([]byte("onedoor assertion vectors: " + seed))
	private := must(ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar[:]))
	public := jose.JSONWebKey{Key: private.Public()}
	return key{private, b64(must(public.Thumbprint(crypto.SHA256)))}
}

// rsaKey makes a key whose primes are the first ones above two hashes of fixed texts.
func rsaKey() *rsa.PrivateKey {
	prime := func(seed string) *big.Int {
		var bytes []byte
		for i := range 4 {
			part := sha256.Sum256([]byte{byte(i)})
			part = sha256.Sum256(append(part[:], seed...))
			bytes = append(bytes, part[:]...)
		}
		bytes[0] |= 0xC0
		p := new(big.Int).SetBytes(bytes)
		p.SetBit(p, 0, 1)
		for !p.ProbablyPrime(32) {
			p.Add(p, big.NewInt(2))
		}
		return p
	}
	p, q, e, one := prime("p"), prime("q"), big.NewInt(65537), big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	k := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537},
		D:         new(big.Int).ModInverse(e, phi),
		Primes:    []*big.Int{p, q},
	}
	k.Precompute()
	return k
}

// publicPEM is what a verifier that knows no algorithms takes for an HMAC key.
func publicPEM(k key) []byte {
	der := must(x509.MarshalPKIXPublicKey(k.private.Public()))
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// jwks are the keys that the issuer publishes: one in use, the next one, and one of a
// kind that no assertion may be signed with.
func jwks(active, next key, other *rsa.PrivateKey) json.RawMessage {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: active.private.Public(), KeyID: active.kid, Algorithm: "ES256", Use: "sig"},
		{Key: next.private.Public(), KeyID: next.kid, Algorithm: "ES256", Use: "sig"},
		{Key: other.Public(), KeyID: "rsa", Use: "sig"},
	}}
	return must(json.Marshal(set))
}

// certificate makes a self-signed one that carries a SPIFFE ID, as DER.
func certificate(id string) []byte {
	k := ecKey("certificate of " + id)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "vector"},
		URIs:      []*url.URL{must(url.Parse(id))},
		NotBefore: time.Unix(now-3600, 0), NotAfter: time.Unix(now+3600, 0),
		SignatureAlgorithm: x509.ECDSAWithSHA256,
	}
	return must(x509.CreateCertificate(nil, template, template, k.private.Public(), k.private))
}

func certificatePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func thumbprint(der []byte) string {
	sum := sha256.Sum256(der)
	return b64(sum[:])
}

// hexadecimal is how openssl and some proxies write the same hash.
func hexadecimal(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// must is for what cannot fail with fixed inputs; where it does the generator is wrong.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
