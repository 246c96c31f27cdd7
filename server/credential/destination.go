package credential

import (
	"encoding/json"
	"fmt"

	"github.com/onedoor/onedoor/server/connector"
)

// destination is for whom a secret may be used, what it may be sent to, and how. It is
// sealed with the secret as associated data, so whoever can edit a manifest, or the
// database, cannot have a stored secret sent to a host of their own, nor used for
// another user.
type destination struct {
	Connector     string   `json:"connector"`
	Slot          string   `json:"slot"`
	UserID        string   `json:"user_id"`
	Origins       []string `json:"origins"`
	TokenEndpoint string   `json:"token_endpoint"`
	Attach        attach   `json:"attach"`
}

type attach struct {
	Kind   string `json:"kind"`
	Param  string `json:"param"`
	Prefix string `json:"prefix"`
}

func destinationOf(c *connector.Connector, slot connector.Slot, place Place) (string, error) {
	text, err := json.Marshal(destination{
		Connector: place.Connector, Slot: place.Slot, UserID: place.UserID,
		Origins: []string{c.Origin.String()},
		Attach:  attach{slot.Kind, slot.Param, slot.Prefix},
	})
	if err != nil {
		return "", fmt.Errorf("destination: %w", err)
	}
	return string(text), nil
}
