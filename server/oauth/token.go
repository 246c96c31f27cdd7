package oauth

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/onedoor/onedoor/server/vault"
)

// Token is what a token endpoint gave.
type Token struct {
	Access vault.Secret
	// Refresh is zero where none came: the one that was used stays good then.
	Refresh vault.Secret
	// IDToken says who signed in (OpenID Connect Core 1.0, section 3.1.3.3); zero where
	// none came. Nothing of it is verified here.
	IDToken vault.Secret
	// Life is how long Access is good; 0 where that was not said.
	Life time.Duration
	// Scope is what was granted; empty where that is what was asked for.
	Scope string
	// Issued is the URI of the type of Access (RFC 8693, section 2.2.1); empty where that
	// was not said.
	Issued string
}

const (
	maxToken = 32 << 10
	maxLife  = 10 * 365 * 24 * time.Hour
)

var (
	errAnswer = errors.New("the answer is no token answer (RFC 6749, section 5.1)")
	errType   = errors.New("the token is of a type that cannot be attached")
)

type answer struct {
	Access  string          `json:"access_token"`
	Type    string          `json:"token_type"`
	Refresh string          `json:"refresh_token"`
	Expires json.RawMessage `json:"expires_in"`
	Scope   string          `json:"scope"`
	IDToken string          `json:"id_token"`
	Issued  string          `json:"issued_token_type"`
	Error   string          `json:"error"` // some providers refuse with status 200
}

// readToken reads a whole answer. What cannot be read may have consumed whatever was
// sent, so that is Unclear; a token that is there is kept whatever else is odd.
func readToken(body []byte) (Token, error) {
	var a answer
	if json.Unmarshal(body, &a) != nil {
		return Token{}, &Error{Kind: Unclear, cause: errAnswer}
	}
	if a.Access == "" && a.Error != "" {
		return Token{}, said(a.Error)
	}
	if !attachable(a.Access) || a.Refresh != "" && !attachable(a.Refresh) {
		return Token{}, &Error{Kind: Unclear, cause: errAnswer}
	}
	// "N_A" is for what an exchange gives that is no access token (RFC 8693, 2.2.1).
	if a.Type != "" && !strings.EqualFold(a.Type, "bearer") && a.Type != "N_A" {
		return Token{}, &Error{Kind: Unclear, cause: errType}
	}
	t := Token{Access: vault.NewSecret([]byte(a.Access)), Life: life(a.Expires), Scope: a.Scope, Issued: a.Issued}
	if a.Refresh != "" {
		t.Refresh = vault.NewSecret([]byte(a.Refresh))
	}
	if a.IDToken != "" {
		t.IDToken = vault.NewSecret([]byte(a.IDToken))
	}
	return t, nil
}

// life reads expires_in, a number of seconds or such a number in quotes. One that
// cannot be read is none: the token itself is not thrown away for it.
func life(raw json.RawMessage) time.Duration {
	seconds, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	if err != nil || !(seconds > 0) {
		return 0
	}
	if seconds > maxLife.Seconds() {
		return maxLife
	}
	return time.Duration(seconds * float64(time.Second))
}

// attachable: what can stand in a header and is no longer than any token should be.
func attachable(token string) bool {
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return false
		}
	}
	return token != "" && len(token) <= maxToken
}
