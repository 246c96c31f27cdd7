package credential

import (
	"fmt"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
)

// What mends a slot, as the metadata `mend` of an error names it: the command of that
// name. It is left out where storing something does not help.
const (
	mendConnect = "connect"
	mendPut     = "put"
)

// missing is for a slot in which nothing is stored that could be used. object is what is
// to be put or connected: it, or it again.
func missing(c *connector.Connector, slot connector.Slot, why, object string) error {
	mend := mendOf(slot)
	return slotFault(fault.CredentialMissing, c, slot, mend, why+": "+mend+" "+object+" (onedoor credential "+mend+")", nil)
}

// unusable is for what is stored and cannot be used; mend may be empty.
func unusable(c *connector.Connector, slot connector.Slot, mend, why string, cause error) error {
	return slotFault(fault.CredentialNeedsReconnect, c, slot, mend, why, cause)
}

func slotFault(reason fault.Reason, c *connector.Connector, slot connector.Slot, mend, why string, cause error) error {
	e := fault.New(reason, fmt.Sprintf("connector %s, slot %s (%s's): %s", c.Name, slot.Name, slot.Owner, why), cause).
		With("connector", c.Name).With("slot", slot.Name).With("owner", string(slot.Owner))
	if mend != "" {
		e = e.With("mend", mend)
	}
	return e
}

// mendOf is how something comes into a slot: users connect accounts, and operators put
// everything else.
func mendOf(slot connector.Slot) string {
	if slot.Stores() == string(connector.AuthorizationCode) {
		return mendConnect
	}
	return mendPut
}
