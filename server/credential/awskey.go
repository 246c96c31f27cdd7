package credential

import (
	"time"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/sigv4"
)

// awsKey signs each request with a key of AWS: ID:SECRET, with :TOKEN behind where it is
// temporary. The key itself is never sent, but for the token.
type awsKey struct{ now func() time.Time }

func (awsKey) divided() {}

func (awsKey) check(secret string) error {
	_, err := sigv4.ParseKey([]byte(secret))
	return err
}

func (k awsKey) attach(slot connector.Slot, secret string, to *egress.Attachment) error {
	key, err := sigv4.ParseKey([]byte(secret))
	if err != nil {
		return err
	}
	return to.SignWith(sigv4.Signer(key, sigv4.Scope{Region: slot.AWS.Region, Service: slot.AWS.Service}, k.now))
}

func (awsKey) derived(_ connector.Slot, secret string) [][]byte {
	key, err := sigv4.ParseKey([]byte(secret))
	if err != nil { // it was not attached either
		return nil
	}
	return key.Secrets()
}
