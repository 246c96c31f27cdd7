package credential

import (
	"encoding/json"
	"fmt"
	"strings"

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
	// What was added later is left out where it is empty: what was sealed before then
	// keeps its text.

	// Signs is what a private key says for whom; a key is never sent itself.
	Signs    []signs   `json:"signs,omitempty"`
	Exchange *exchange `json:"exchange,omitempty"`
	// Installation is that of a GitHub App.
	Installation string `json:"installation,omitempty"`
}

// signs is a connector.Signed without what widens nothing: the key's name, and scopes,
// which stand beside the token endpoint in every grant.
type signs struct {
	Algorithm string `json:"algorithm"`
	Issuer    string `json:"issuer"`
	Subject   string `json:"subject"`
	Audience  string `json:"audience"`
}

// exchange says whose token is given for another, and for whom the broker's own word is.
type exchange struct {
	Subject  string `json:"subject"`
	Type     string `json:"type"`
	Actor    bool   `json:"actor"`
	Audience string `json:"audience"`
}

type attach struct {
	Kind   string `json:"kind"`
	Param  string `json:"param"`
	Prefix string `json:"prefix"`
	// AWS is left out where there is none, so that all others stay as they were sealed.
	AWS *aws `json:"aws,omitempty"`
}

// aws is what a key of AWS signs for. STS stands as the token endpoint.
type aws struct {
	Region  string `json:"region"`
	Service string `json:"service"`
	Role    string `json:"role"`
}

func destinationOf(c *connector.Connector, slot connector.Slot, place Place) (string, error) {
	d := destination{
		Connector: place.Connector, Slot: place.Slot, UserID: place.UserID,
		Origins: []string{c.Origin.String()},
		Attach:  attach{Kind: slot.Kind, Param: slot.Param, Prefix: slot.Prefix},
	}
	if a := slot.AWS; a != nil {
		d.Attach.AWS, d.TokenEndpoint = &aws{a.Region, a.Service, a.Role}, a.STS.String()
	}
	if slot.OAuth != nil {
		d.TokenEndpoint = slot.OAuth.TokenEndpoint.String()
	}
	if slot.Kind == connector.TokenEndpoint {
		d.Origins, d.TokenEndpoint = []string{}, tokenEndpoints(c, slot.Name)
	}
	for _, s := range slot.Signs {
		d.Signs = append(d.Signs, signs{string(s.Algorithm), s.Issuer, s.Subject, s.Audience})
	}
	if slot.OAuth != nil && slot.OAuth.Exchange != nil {
		e := slot.OAuth.Exchange
		d.Exchange = &exchange{string(e.Subject), e.SubjectType, e.Actor, e.Audience}
	}
	if g := slot.GitHubApp; g != nil {
		d.TokenEndpoint, d.Installation = g.API.String(), g.Installation
	}
	text, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("destination: %w", err)
	}
	return string(text), nil
}

// tokenEndpoints are those to which a client's secret goes.
func tokenEndpoints(c *connector.Connector, secretSlot string) string {
	var all []string
	for _, name := range slotNames(c) {
		if o := c.Slots[name].OAuth; o != nil && o.SecretSlot == secretSlot {
			all = append(all, o.TokenEndpoint.String())
		}
	}
	return strings.Join(all, " ")
}

// originsOf are the origins to which what is stored in a slot, or bought with it, goes:
// for people to read.
func originsOf(c *connector.Connector, slot connector.Slot) []string {
	if slot.Kind != connector.TokenEndpoint {
		origins := []string{c.Origin.String()}
		if slot.OAuth != nil {
			origins = append(origins, slot.OAuth.TokenEndpoint.Origin.String())
		}
		if slot.Stores() == connector.AWSRole {
			origins = append(origins, slot.AWS.STS.Origin.String())
		}
		return origins
	}
	var origins []string
	for _, name := range slotNames(c) {
		if o := c.Slots[name].OAuth; o != nil && o.SecretSlot == slot.Name {
			origins = append(origins, o.TokenEndpoint.Origin.String())
		}
	}
	return origins
}
