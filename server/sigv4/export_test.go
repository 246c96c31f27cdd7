package sigv4

import (
	"maps"
	"time"

	"github.com/onedoor/onedoor/server/egress"
)

// Sign gives the headers that a signer sets.
func Sign(o egress.Outgoing, k Key, s Scope, at time.Time) (map[string]string, error) {
	signed, err := sign(o, k, s, at)
	if err != nil {
		return nil, err
	}
	maps.Copy(signed.secret, signed.plain)
	return signed.secret, nil
}
