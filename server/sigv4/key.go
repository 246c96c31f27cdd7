package sigv4

import (
	"errors"
	"strings"

	"github.com/onedoor/onedoor/server/vault"
)

const (
	maxID     = 128
	maxSecret = 256
	maxToken  = 8 << 10
)

var errKey = errors.New("a key for AWS is ACCESS_KEY_ID:SECRET_ACCESS_KEY, with :SESSION_TOKEN behind where it is a temporary one")

// Key is an access key of AWS.
type Key struct {
	// ID is the access key's id. It says whose key it is and proves nothing.
	ID string
	// Secret signs.
	Secret vault.Secret
	// Token goes along where the key is temporary; else it is zero.
	Token vault.Secret
}

// ParseKey reads ACCESS_KEY_ID:SECRET_ACCESS_KEY[:SESSION_TOKEN]; no part of a key holds
// a colon. Its error repeats nothing.
func ParseKey(text []byte) (Key, error) {
	parts := strings.Split(string(text), ":")
	if len(parts) < 2 || len(parts) > 3 || !isID(parts[0]) || !isVisible(parts[1], maxSecret) {
		return Key{}, errKey
	}
	k := Key{ID: parts[0], Secret: vault.NewSecret([]byte(parts[1]))}
	if len(parts) == 3 {
		if !isVisible(parts[2], maxToken) {
			return Key{}, errKey
		}
		k.Token = vault.NewSecret([]byte(parts[2]))
	}
	return k, nil
}

// Text is what ParseKey reads.
func (k Key) Text() vault.Secret {
	text := k.ID + ":" + string(k.Secret.Reveal())
	if token := k.Token.Reveal(); len(token) > 0 {
		text += ":" + string(token)
	}
	return vault.NewSecret([]byte(text))
}

// Secrets are the parts that must not come back in an answer. The id is one of them: a
// sandbox has no use for it.
func (k Key) Secrets() [][]byte {
	all := [][]byte{[]byte(k.ID), k.Secret.Reveal()}
	if token := k.Token.Reveal(); len(token) > 0 {
		all = append(all, token)
	}
	return all
}

// isID takes letters and digits: the id stands between slashes and commas.
func isID(s string) bool {
	for _, c := range []byte(s) {
		if !isAlphanumeric(c) && c != '_' {
			return false
		}
	}
	return len(s) >= 4 && len(s) <= maxID
}

func isVisible(s string, limit int) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return len(s) >= 16 && len(s) <= limit
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
