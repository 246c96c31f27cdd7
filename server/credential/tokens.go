package credential

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/onedoor/onedoor/server/vault"
)

// tokens are what is stored of a connected account.
type tokens struct {
	access, refresh vault.Secret
	// obtained and expires bound the access token; expires is zero where the provider
	// does not say.
	obtained, expires time.Time
}

// tokensText is how tokens stand in the sealed secret.
type tokensText struct {
	Access   string    `json:"access_token,omitempty"`
	Refresh  string    `json:"refresh_token,omitempty"`
	Obtained time.Time `json:"obtained,omitzero"`
	Expires  time.Time `json:"expires,omitzero"`
}

var errTokens = errors.New("the stored tokens cannot be read")

// seal gives the secret to be sealed.
func (t tokens) seal() vault.Secret {
	text, _ := json.Marshal(tokensText{ // strings and times of this age always encode
		Access: string(t.access.Reveal()), Refresh: string(t.refresh.Reveal()), Obtained: t.obtained, Expires: t.expires,
	})
	return vault.NewSecret(text)
}

// readTokens reads what seal made. Its error repeats nothing.
func readTokens(s vault.Secret) (tokens, error) {
	var t tokensText
	if json.Unmarshal(s.Reveal(), &t) != nil || t.Access == "" && t.Refresh == "" {
		return tokens{}, errTokens
	}
	read := tokens{obtained: t.Obtained, expires: t.Expires}
	if t.Access != "" {
		read.access = vault.NewSecret([]byte(t.Access))
	}
	if t.Refresh != "" {
		read.refresh = vault.NewSecret([]byte(t.Refresh))
	}
	return read, nil
}

func (t tokens) refreshable() bool { return len(t.refresh.Reveal()) > 0 }

// good reports whether the access token can be used now.
func (t tokens) good(now time.Time) bool {
	return len(t.access.Reveal()) > 0 && (t.expires.IsZero() || now.Before(t.expires))
}

// mostMargin is how long before its end an access token is renewed at the earliest; a
// short-lived one in the last third of its life.
const mostMargin = 90 * time.Second

// old reports whether it is time to renew the access token.
func (t tokens) old(now time.Time) bool {
	if !t.good(now) {
		return true
	}
	if t.expires.IsZero() || !t.refreshable() {
		return false
	}
	return !now.Before(t.expires.Add(-marginOf(t.expires.Sub(t.obtained))))
}

func marginOf(life time.Duration) time.Duration { return min(life/3, mostMargin) }
