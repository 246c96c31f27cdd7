package credential

import (
	"encoding/json"
	"fmt"

	"github.com/onedoor/onedoor/server/connector"
)

// destination is what a secret may be sent to and how. It is sealed with the secret
// as associated data, so whoever can edit a manifest, or the database, cannot have a
// stored secret sent to a host of their own.
type destination struct {
	Origins       []string `json:"origins"`
	TokenEndpoint string   `json:"token_endpoint"`
	Attach        attach   `json:"attach"`
}

type attach struct {
	Kind   string `json:"kind"`
	Param  string `json:"param"`
	Prefix string `json:"prefix"`
}

func destinationOf(c *connector.Connector, slot connector.Slot) (string, error) {
	text, err := json.Marshal(destination{
		Origins: []string{c.Origin.String()},
		Attach:  attach{slot.Kind, slot.Param, slot.Prefix},
	})
	if err != nil {
		return "", fmt.Errorf("destination: %w", err)
	}
	return string(text), nil
}
