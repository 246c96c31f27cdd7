package vault

import (
	"encoding/binary"
	"errors"
	"strconv"
)

// The domains of associated data. Each names what is bound and the version of the
// encoding: what one purpose wrote never opens for another.
const (
	keyDomain    = "onedoor-key|v1"
	dekDomain    = "onedoor-dek|v1"
	secretDomain = "onedoor-secret|v1"
)

// associated encodes a domain and its fields as associated data. Each part is preceded
// by its length in eight bytes, so that no two lists of fields have the same encoding.
func associated(domain string, fields ...string) []byte {
	size := 8 + len(domain)
	for _, f := range fields {
		size += 8 + len(f)
	}
	out := appendPart(make([]byte, 0, size), domain)
	for _, f := range fields {
		out = appendPart(out, f)
	}
	return out
}

func appendPart(out []byte, part string) []byte {
	out = binary.BigEndian.AppendUint64(out, uint64(len(part)))
	return append(out, part...)
}

// secretData binds the payload to everything that is known of its row.
func (b Binding) secretData() []byte {
	return associated(secretDomain,
		b.Workspace, b.CredentialID, b.Kind, strconv.FormatInt(b.Version, 10), b.Destination)
}

// dekData binds the wrapped data key to its credential and to the KEK that wraps it.
func (b Binding) dekData(kekID string) []byte {
	return associated(dekDomain, b.Workspace, b.CredentialID, kekID)
}

// errBinding says that a binding leaves something open.
var errBinding = errors.New("vault: binding is incomplete")

// check refuses a binding with an empty part: a secret that is bound to no destination
// could be sent to any.
func (b Binding) check() error {
	if b.Workspace == "" || b.CredentialID == "" || b.Kind == "" || b.Version < 1 || b.Destination == "" {
		return errBinding
	}
	return nil
}
