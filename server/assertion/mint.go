package assertion

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

// Keys sign, and say what may be published of them; *vault.Keyring does.
type Keys interface {
	AssertionKey() (id string, sign func(input []byte) ([]byte, error), err error)
	AssertionPublicKeys() []vault.AssertionPublicKey
}

// Options are what a Minter is made of.
type Options struct {
	// Issuer is iss and where the keys are published: https://HOST[:PORT]. Empty: no
	// assertion is made, and calls that need one are refused.
	Issuer string
	// TrustDomain is the audience of Transaction Tokens: the broker's own, by name.
	TrustDomain string
	Keys        Keys
	Rand        io.Reader
	Now         func() time.Time // the store's clock
}

// Minter makes assertions. It is safe for concurrent use.
type Minter struct{ o Options }

// New makes a Minter.
func New(o Options) *Minter { return &Minter{o} }

// noIssuer says what is missing where an assertion is wanted.
const noIssuer = "an assertion is wanted, and this broker makes none: assertions.issuer is not configured"

// Ready says before anything is recorded whether what the connector wants said of the
// user can be: CREDENTIAL_MISSING where it wants that and this broker has no issuer.
func (m *Minter) Ready(c *connector.Connector) error {
	if !c.States() || m.o.Issuer != "" {
		return nil
	}
	return fault.New(fault.CredentialMissing, "connector "+c.Name+": "+noIssuer, nil).With("connector", c.Name)
}

// Assertion is one signed statement, for one attempt of one call. It is unprintable.
type Assertion struct {
	// ID is the jti: what the trail names it by.
	ID string
	// Header are further headers of the request, which bind it to its body; none secret.
	Header http.Header
	attach func(to egress.Attachment) error
}

// Mint makes and signs the assertion that the bound call's connector asks for. It demands
// the Intent of the call: nothing is said of a user without a decision and a record. shown
// is the certificate that the call's connection will show, the zero one for none: the
// assertion is bound to it, and cannot be added to what shows another.
func (m *Minter) Mint(_ context.Context, intent audit.Intent, caller *task.Caller, bound *connector.Bound, shown egress.Certificate) (Assertion, error) {
	if err := intent.Check(); err != nil {
		return Assertion{}, err
	}
	if err := m.Ready(bound.Connector); err != nil {
		return Assertion{}, err
	}
	if bound.Connector.Assertion == nil || intent.Workspace() != bound.Connector.Workspace || intent.Workspace() != caller.Task.Workspace {
		return Assertion{}, internal(errors.New("assertion, intent and caller do not belong together"))
	}
	jti := make([]byte, 16)
	if _, err := io.ReadFull(m.o.Rand, jti); err != nil {
		return Assertion{}, internal(err)
	}
	c := m.build(attempt{intent.InvocationID(), base64.RawURLEncoding.EncodeToString(jti), m.o.Now()}, caller, bound, shown.Thumbprint())
	want := bound.Connector.Assertion
	token, err := m.sign(typ(want.Profile), &c)
	if err != nil {
		return Assertion{}, internal(err)
	}
	return Assertion{ID: c.ID, Header: c.header(), attach: attachment(want, token, shown.Thumbprint())}, nil
}

// sign writes a JWS in its compact form (RFC 7515, 7.1) with the active key.
func (m *Minter) sign(typ string, claims any) (string, error) {
	kid, sign, err := m.o.Keys.AssertionKey()
	if err != nil {
		return "", err
	}
	header, err := json.Marshal(head{Algorithm: "ES256", KeyID: kid, Type: typ})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64(header) + "." + b64(payload)
	signature, err := sign([]byte(input))
	if err != nil {
		return "", fmt.Errorf("sign with assertion key %s: %w", kid, err)
	}
	return input + "." + b64(signature), nil
}

// attachment sets the header, and has the signature scrubbed from the answer: without it
// nobody can show the token again. The claims before it are about the caller itself and
// no secret, and to search for them too would cost ten times the signing.
func attachment(want *connector.Assertion, token, thumbprint string) func(egress.Attachment) error {
	return func(to egress.Attachment) error {
		if want.Profile == connector.RequestBound && to.Certificate().Thumbprint() != thumbprint {
			return errors.New("it is bound to another certificate than the connection's")
		}
		if err := to.SetHeader(want.Header, token); err != nil {
			return err
		}
		signature := token[strings.LastIndexByte(token, '.')+1:]
		return to.Use(egress.NewScrubber([]byte(signature)))
	}
}

// AddTo gives what is attached already and the assertion besides; to stays as it is.
func (a Assertion) AddTo(to egress.Attachment) (egress.Attachment, error) {
	if a.attach == nil {
		return egress.Attachment{}, internal(errors.New("the zero Assertion attaches nothing"))
	}
	both := to.Copy()
	if err := a.attach(both); err != nil {
		return egress.Attachment{}, internal(err)
	}
	return both, nil
}

// Format keeps the token out of every verb.
func (a Assertion) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[assertion "+a.ID+"]") }

func internal(err error) error {
	return fault.New(fault.Internal, "internal error", fmt.Errorf("assertion: %w", err))
}
