package vault

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
)

// The faults of a private key's text.
var (
	// ErrNoKeyBlock: the block is of another type.
	ErrNoKeyBlock = errors.New("no private key in one of the forms PKCS #8, PKCS #1 and SEC 1")
	// ErrKeyUnread: it is of a right type, and cannot be read.
	ErrKeyUnread = errors.New("the private key cannot be read")
)

// PrivateKey reads the key in a PEM block: PKCS #8 (RFC 5958), PKCS #1 (RFC 8017) or
// SEC 1 (RFC 5915). What the parsers say of a bad one is not passed on: they were shown
// a secret.
func PrivateKey(block *pem.Block) (any, error) {
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, ErrNoKeyBlock
	}
	if err != nil {
		return nil, ErrKeyUnread
	}
	return key, nil
}
