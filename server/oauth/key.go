package oauth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/pem"
	"errors"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/vault"
)

const (
	minRSA = 2048 // bits (RFC 7518, 3.3)
	maxRSA = 8192
)

// The faults of a private key. None repeats anything of it.
var (
	errPEM       = errors.New("the secret is no private key: want one PEM block, PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY, and nothing else")
	errEncrypted = errors.New("the private key is encrypted with a passphrase: want it without")
	errKey       = errors.New("the private key cannot be read")
	errNotRSA    = errors.New("RS256 wants an RSA key")
	errRSASize   = errors.New("the RSA key is not of 2048 to 8192 bits")
	errNotP256   = errors.New("ES256 wants an EC key on P-256")
)

// CheckKey says whether text is a private key in PEM (PKCS #8, PKCS #1 or SEC 1) that
// can sign with the algorithm. Its errors hold nothing of the text.
func CheckKey(text []byte, a connector.Algorithm) error {
	_, err := readKey(text, a)
	return err
}

func readKey(text []byte, a connector.Algorithm) (crypto.Signer, error) {
	key, err := parseKey(text)
	if err != nil {
		return nil, err
	}
	switch a {
	case connector.RS256:
		k, ok := key.(*rsa.PrivateKey)
		switch {
		case !ok:
			return nil, errNotRSA
		case k.N.BitLen() < minRSA || k.N.BitLen() > maxRSA:
			return nil, errRSASize
		}
		return k, nil
	case connector.ES256:
		k, ok := key.(*ecdsa.PrivateKey)
		if !ok || k.Curve != elliptic.P256() {
			return nil, errNotP256
		}
		return k, nil
	}
	return nil, errKey
}

// parseKey reads the one key in text. What the parsers say of a bad one is not passed
// on: they were shown a secret. pem.Decode passes over whatever stands before a block, so
// that is looked at first.
func parseKey(text []byte) (any, error) {
	text = bytes.TrimSpace(text)
	block, rest := pem.Decode(text)
	if block != nil && block.Type == "EC PARAMETERS" { // openssl ecparam -genkey writes it first
		block, rest = pem.Decode(rest)
	}
	if block == nil || len(bytes.TrimSpace(rest)) > 0 || !bytes.HasPrefix(text, []byte("-----BEGIN ")) {
		return nil, errPEM
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["Proc-Type"] != "" {
		return nil, errEncrypted
	}
	key, err := vault.PrivateKey(block)
	switch {
	case errors.Is(err, vault.ErrNoKeyBlock):
		return nil, errPEM
	case err != nil:
		return nil, errKey
	}
	return key, nil
}
