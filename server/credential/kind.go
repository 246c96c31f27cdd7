package credential

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
)

// kind is how one sort of credential is checked when put, and rendered when attached.
type kind interface {
	check(secret string) error
	attach(slot connector.Slot, secret string, to *egress.Attachment) error
	// derived are further byte strings that must not come back in an answer.
	derived(slot connector.Slot, secret string) [][]byte
}

// divided is a kind whose secret is never sent as it is stored: what is derived from it
// is all that the answer is scrubbed of.
type divided interface{ divided() }

// kinds is the table of all kinds; a manifest's slot names one.
func (o *Options) kinds() map[string]kind {
	return map[string]kind{
		"bearer": bearer{}, "header": header{}, "query": query{}, "basic": basic{},
		connector.CertificateSlot: certificate{o.Now},
		connector.AWSKey:          awsKey{o.Now},
	}
}

// sellers is the table of all kinds whose secret only buys another; a slot's oauth, or
// its like, names one.
func (o *Options) sellers() map[string]seller {
	return map[string]seller{
		string(connector.ClientCredentials): clientCredentials{o.OAuth},
		string(connector.JWTBearer):         jwtBearer{o.OAuth},
		string(connector.TokenExchange):     tokenExchange{o.OAuth, o.Stater},
		connector.GitHubAppKind:             githubApp{o.OAuth},
		connector.AWSRole:                   awsRole{o.STS},
	}
}

// visible refuses what cannot stand in a header: anything but printable ASCII. The
// error says what is wrong, and nothing of the secret.
func visible(secret string, space bool) error {
	if secret == "" {
		return fmt.Errorf("the secret is empty")
	}
	for i := range len(secret) {
		c := secret[i]
		if c == ' ' && space && i > 0 && i < len(secret)-1 {
			continue
		}
		if c <= ' ' || c >= 0x7f {
			return fmt.Errorf("the secret holds a character at byte %d that cannot be sent in a header (line break, space or not ASCII)", i)
		}
	}
	return nil
}

// bearer is RFC 6750: `Authorization: Bearer SECRET`.
type bearer struct{}

func (bearer) check(secret string) error { return visible(secret, false) }

func (bearer) attach(_ connector.Slot, secret string, to *egress.Attachment) error {
	return to.SetHeader("Authorization", "Bearer "+secret)
}

func (bearer) derived(connector.Slot, string) [][]byte { return nil }

// header puts the secret, after the slot's prefix, into a header of its own.
type header struct{}

func (header) check(secret string) error { return visible(secret, true) }

func (header) attach(slot connector.Slot, secret string, to *egress.Attachment) error {
	return to.SetHeader(slot.Param, slot.Prefix+secret)
}

func (header) derived(slot connector.Slot, secret string) [][]byte {
	return behindScheme(slot.Prefix + secret)
}

// query puts the secret into a query parameter.
type query struct{}

func (query) check(secret string) error { return visible(secret, true) }

func (query) attach(slot connector.Slot, secret string, to *egress.Attachment) error {
	return to.AddQuery(slot.Param, secret)
}

func (query) derived(_ connector.Slot, secret string) [][]byte { return behindScheme(secret) }

// leastBehind is the length from which on what follows a scheme is searched for by itself.
const leastBehind = 6

// behindScheme gives what an upstream may echo of a value such as "Bearer TOKEN", which is
// stored whole where the manifest names no prefix: the token alone. Of "Basic TEXT" that is
// what the text says, and the password in there.
func behindScheme(value string) (forms [][]byte) {
	scheme, rest, _ := strings.Cut(value, " ")
	rest = strings.TrimLeft(rest, " ")
	if len(rest) < leastBehind {
		return nil
	}
	forms = append(forms, []byte(rest))
	pair, err := base64.StdEncoding.DecodeString(rest)
	if _, password, ok := strings.Cut(string(pair), ":"); err == nil && ok && strings.EqualFold(scheme, "Basic") {
		forms = append(forms, pair)
		if len(password) >= leastBehind {
			forms = append(forms, []byte(password))
		}
	}
	return forms
}

// basic is RFC 7617: the secret is `user:password`; the password may be empty.
type basic struct{}

func (basic) check(secret string) error {
	user, _, ok := strings.Cut(secret, ":")
	if !ok || user == "" {
		return fmt.Errorf("the secret of a basic credential is user:password")
	}
	if strings.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("the secret holds a control character (RFC 7617 section 2)")
	}
	return nil
}

func (basic) attach(_ connector.Slot, secret string, to *egress.Attachment) error {
	return to.SetHeader("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(secret)))
}

// minPassword is the shortest password, in bytes, that the user's name need not be kept
// secret beside: APIs that want their key as the name are called with "x" behind it.
const minPassword = 4

// placeholders are passwords that tell nothing, beside a single letter: the name is the key.
var placeholders = map[string]bool{"x-oauth-basic": true, "api_token": true, "apikey": true, "api_key": true, "unused": true, "ignored": true}

// derived: an upstream that echoes the password alone gives it away as well. Where it can
// be none, the user's name is the secret; to scrub every "x" would destroy the answer.
func (basic) derived(_ connector.Slot, secret string) [][]byte {
	user, password, _ := strings.Cut(secret, ":")
	forms := [][]byte{[]byte(base64.StdEncoding.EncodeToString([]byte(secret)))}
	idle := len(password) < 2 || placeholders[strings.ToLower(password)]
	if idle || len(password) < minPassword {
		forms = append(forms, []byte(user))
	}
	if !idle {
		forms = append(forms, []byte(password))
	}
	return forms
}
