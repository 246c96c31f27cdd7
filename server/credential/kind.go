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

// kinds is the table of all kinds; a manifest's slot names one.
func kinds() map[string]kind {
	return map[string]kind{
		"bearer": bearer{}, "header": header{}, "query": query{}, "basic": basic{},
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

func (header) derived(connector.Slot, string) [][]byte { return nil }

// query puts the secret into a query parameter.
type query struct{}

func (query) check(secret string) error { return visible(secret, true) }

func (query) attach(slot connector.Slot, secret string, to *egress.Attachment) error {
	return to.AddQuery(slot.Param, secret)
}

func (query) derived(connector.Slot, string) [][]byte { return nil }

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

// derived: an upstream that echoes the password alone gives it away as well. Where it
// is empty, as some APIs want it, the user's name is the secret.
func (basic) derived(_ connector.Slot, secret string) [][]byte {
	user, password, _ := strings.Cut(secret, ":")
	if password == "" {
		password = user
	}
	return [][]byte{[]byte(password), []byte(base64.StdEncoding.EncodeToString([]byte(secret)))}
}
