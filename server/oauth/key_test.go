package oauth_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/oauth"
)

func TestCheckKey(t *testing.T) {
	k := theKeys()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(k.rsa.Public())
	require.NoError(t, err)
	locked := string(pem.EncodeToMemory(&pem.Block{
		Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: []byte("canary"),
	}))
	parameters := block("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7})
	tests := map[string]struct {
		text      string
		algorithm connector.Algorithm
		want      string // empty: it is taken
	}{
		"RSA, PKCS 8":           {pkcs8(t, k.rsa), connector.RS256, ""},
		"RSA, PKCS 1":           {pkcs1(k.rsa), connector.RS256, ""},
		"EC, PKCS 8":            {pkcs8(t, k.p256), connector.ES256, ""},
		"EC, SEC 1":             {sec1(t, k.p256), connector.ES256, ""},
		"EC, as openssl writes": {parameters + sec1(t, k.p256), connector.ES256, ""},
		"white space around":    {"\n " + pkcs1(k.rsa) + "\r\n", connector.RS256, ""},

		"nothing":               {"", connector.RS256, "want one PEM block"},
		"no PEM":                {"canary", connector.RS256, "want one PEM block"},
		"text before":           {"canary\n" + pkcs1(k.rsa), connector.RS256, "want one PEM block"},
		"text behind":           {pkcs1(k.rsa) + "canary", connector.RS256, "want one PEM block"},
		"two keys":              {pkcs1(k.rsa) + pkcs1(k.rsa), connector.RS256, "want one PEM block"},
		"parameters alone":      {parameters, connector.ES256, "want one PEM block"},
		"a public key":          {block("PUBLIC KEY", public), connector.RS256, "want one PEM block"},
		"an SSH key":            {block("OPENSSH PRIVATE KEY", []byte("canary")), connector.RS256, "want one PEM block"},
		"under a passphrase":    {locked, connector.RS256, "encrypted with a passphrase"},
		"PKCS 8, passphrase":    {block("ENCRYPTED PRIVATE KEY", []byte("canary")), connector.RS256, "encrypted with a passphrase"},
		"cut short":             {block("PRIVATE KEY", []byte("canary")), connector.RS256, "cannot be read"},
		"PKCS 1 in name":        {block("RSA PRIVATE KEY", []byte("canary")), connector.RS256, "cannot be read"},
		"SEC 1 in name":         {block("EC PRIVATE KEY", []byte("canary")), connector.ES256, "cannot be read"},
		"RSA too small":         {pkcs1(k.small), connector.RS256, "not of 2048 to 8192 bits"},
		"EC on another curve":   {pkcs8(t, k.p384), connector.ES256, "want"},
		"EC for RS256":          {pkcs8(t, k.p256), connector.RS256, "RS256 wants an RSA key"},
		"RSA for ES256":         {pkcs8(t, k.rsa), connector.ES256, "ES256 wants an EC key on P-256"},
		"Ed25519":               {pkcs8(t, edwards), connector.ES256, "ES256 wants"},
		"an algorithm of none":  {pkcs8(t, k.rsa), "", "cannot be read"},
		"an algorithm unsigned": {pkcs8(t, k.rsa), "none", "cannot be read"},
	}
	for name, k := range tests {
		t.Run(name, func(t *testing.T) {
			err := oauth.CheckKey([]byte(k.text), k.algorithm)
			if k.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, k.want)
			require.NotContains(t, err.Error(), "canary")
		})
	}
}

// FuzzCheckKey: whatever the text, no panic, and no part of it in the error.
func FuzzCheckKey(f *testing.F) {
	k := theKeys()
	for _, text := range []string{pkcs8(f, k.rsa), pkcs1(k.small), pkcs8(f, k.p256), sec1(f, k.p384), "", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, a := range []connector.Algorithm{connector.RS256, connector.ES256, "none"} {
			err := oauth.CheckKey(text, a)
			if err == nil {
				if !strings.Contains(string(text), "PRIVATE KEY-----") {
					t.Fatal("taken, and is no private key")
				}
				continue
			}
			known := false
			for _, part := range []string{"want one PEM block", "encrypted with a passphrase", "cannot be read", "RS256 wants", "2048 to 8192", "ES256 wants"} {
				known = known || strings.Contains(err.Error(), part)
			}
			if !known || len(err.Error()) > 160 {
				t.Fatal("the error is none of ours")
			}
		}
	})
}
