package connect

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/onedoor/onedoor/server/vault"
)

// tokenLen is the length of whatever a browser is given: 32 random bytes in base64url.
const tokenLen = 43

// Purposes of keyed hashes: what was hashed for one is found under no other.
const (
	ofLink     = "onedoor-connect-link|v1"
	ofState    = "onedoor-connect-state|v1"
	ofBrowser  = "onedoor-connect-browser|v1"
	ofPage     = "onedoor-connect-page|v1"
	ofVerifier = "onedoor-connect-verifier|v1"
	ofNonce    = "onedoor-connect-nonce|v1"
)

// NewToken makes what a browser is given: 256 random bits.
func NewToken(random io.Reader) (string, error) {
	var raw [32]byte
	if _, err := io.ReadFull(random, raw[:]); err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw[:]), nil
}

// IsToken reports whether a text can be one that NewToken made. It says nothing about
// whether it is known.
func IsToken(text string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(raw) == 32 && len(text) == tokenLen
}

// joined separates parts by what no token and no purpose holds.
func joined(purpose string, parts ...string) []byte {
	text := []byte(purpose)
	for _, p := range parts {
		text = append(append(text, 0), p...)
	}
	return text
}

func (f *Flow) digest(purpose string, parts ...string) []byte {
	d, _ := f.o.Digester.Digest(joined(purpose, parts...))
	return d
}

// digests are those under every pepper that is still accepted.
func (f *Flow) digests(purpose string, parts ...string) [][]byte {
	return f.o.Digester.Digests(joined(purpose, parts...))
}

// same reports whether a digest is of the parts.
func (f *Flow) same(digest []byte, purpose string, parts ...string) bool {
	found := 0
	for _, d := range f.digests(purpose, parts...) {
		found |= subtle.ConstantTimeCompare(d, digest)
	}
	return found == 1 && len(digest) > 0
}

// PageToken is what our own page sends along with its button: it holds for one link in
// one browser, so no other page can know it.
func (f *Flow) PageToken(browser, link string) string {
	return base64.RawURLEncoding.EncodeToString(f.digest(ofPage, browser, link))
}

func (f *Flow) isPageToken(token, browser, link string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	return err == nil && f.same(raw, ofPage, browser, link)
}

// challenge is that of the verifier for a state in a browser (RFC 7636, section 4.2).
func (f *Flow) challenge(browser, state string) string {
	return challengeOf(f.digest(ofVerifier, browser, state))
}

func challengeOf(raw []byte) string {
	sum := sha256.Sum256([]byte(base64.RawURLEncoding.EncodeToString(raw)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// verifier finds the one whose challenge was sent: the pepper may have been rotated
// meanwhile. The zero Secret where there is none.
func (f *Flow) verifier(challenge, browser, state string) vault.Secret {
	for _, raw := range f.digests(ofVerifier, browser, state) {
		if challengeOf(raw) == challenge {
			return vault.NewSecret([]byte(base64.RawURLEncoding.EncodeToString(raw)))
		}
	}
	return vault.Secret{}
}

// nonce binds an ID token to this browser and this sign-in, as OpenID Connect Core 1.0,
// section 15.5.2, suggests: a hash of the cookie.
func nonce(browser, state string) string {
	sum := sha256.Sum256(joined(ofNonce, browser, state))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
