package vault

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/signature"
	"github.com/tink-crypto/tink-go/v2/signature/ecdsa"
)

// coordinate is the length in bytes of x and of y on P-256.
const coordinate = 32

// AssertionPublicKey is what may be published of one assertion key.
type AssertionPublicKey struct {
	// ID is the key's thumbprint (RFC 7638), base64url: its kid.
	ID    string
	State KeyState
	// X and Y are the point on P-256, big-endian, 32 bytes each.
	X, Y []byte
}

// AssertionKey gives the id of the active assertion key, and a function that signs with
// it: ECDSA P-256 over SHA-256 of the input, as r‖s in 64 bytes (RFC 7518, 3.4).
// ErrKeyUnknown where there is none.
func (k *Keyring) AssertionKey() (id string, sign func(input []byte) ([]byte, error), err error) {
	active, err := k.active(Assertion)
	if err != nil {
		return "", nil, err
	}
	return active.row.ID, active.signer.Sign, nil
}

// AssertionPublicKeys gives the public half of every assertion key, newest first: also
// of those that do not sign yet, and of those that do not sign any more.
func (k *Keyring) AssertionPublicKeys() []AssertionPublicKey {
	var out []AssertionPublicKey
	current := k.current.Load()
	for _, row := range current.rows {
		if row.Purpose == Assertion {
			point := current.keys[row.ID].point
			out = append(out, AssertionPublicKey{ID: row.ID, State: row.State, X: point[0], Y: point[1]})
		}
	}
	return out
}

// newAssertionKeyset makes an ES256 key. Its id follows from its public half.
func newAssertionKeyset() (*keyset.Handle, string, error) {
	parameters, err := ecdsa.NewParameters(ecdsa.NistP256, ecdsa.SHA256, ecdsa.IEEEP1363, ecdsa.VariantNoPrefix)
	if err != nil {
		return nil, "", fmt.Errorf("vault: make assertion key: %w", err)
	}
	manager := keyset.NewManager()
	number, err := manager.AddNewKeyFromParameters(parameters)
	if err != nil {
		return nil, "", fmt.Errorf("vault: make assertion key: %w", err)
	}
	if err := manager.SetPrimary(number); err != nil {
		return nil, "", fmt.Errorf("vault: make assertion key: %w", err)
	}
	handle, err := manager.Handle()
	if err != nil {
		return nil, "", fmt.Errorf("vault: make assertion key: %w", err)
	}
	point, err := publicPoint(handle)
	if err != nil {
		return nil, "", fmt.Errorf("vault: make assertion key: %w", err)
	}
	return handle, thumbprint(point), nil
}

// useAssertion takes the signer and the public half. That the row's id is its thumbprint
// is certain: the key was wrapped for that id and opens under no other.
func (k *key) useAssertion(handle *keyset.Handle) (err error) {
	if k.point, err = publicPoint(handle); err != nil {
		return err
	}
	k.signer, err = signature.NewSigner(handle)
	return err
}

// publicPoint gives x and y of an ES256 key.
func publicPoint(handle *keyset.Handle) (point [2][]byte, err error) {
	public, err := handle.Public()
	if err != nil {
		return point, err
	}
	entry, err := public.Primary()
	if err != nil {
		return point, err
	}
	k, ok := entry.Key().(*ecdsa.PublicKey)
	if !ok {
		return point, fmt.Errorf("want an ECDSA key, have %T", entry.Key())
	}
	want, err := ecdsa.NewParameters(ecdsa.NistP256, ecdsa.SHA256, ecdsa.IEEEP1363, ecdsa.VariantNoPrefix)
	if err != nil {
		return point, err
	}
	if !k.Parameters().Equal(want) {
		return point, errors.New("want an ES256 key, have another kind of ECDSA")
	}
	both := k.PublicPoint()[1:] // after the byte that says "not compressed" (SEC 1, 2.3.3)
	return [2][]byte{both[:coordinate:coordinate], both[coordinate:]}, nil
}

// thumbprint is RFC 7638: SHA-256 of the needed members in the order of their names.
func thumbprint(point [2][]byte) string {
	b64 := base64.RawURLEncoding.EncodeToString
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + b64(point[0]) + `","y":"` + b64(point[1]) + `"}`))
	return b64(sum[:])
}

// Schedule says how long an assertion key stays in each state of its life:
//
//	pending (published, not used) ≥ Lead ▶ active ≈ Active ▶ retired (published, not
//	used) ≥ Retire ▶ deleted
//
// Verifiers keep the published keys for a while, and many do not look again when they
// meet an unknown one: so a key is published long before it signs, and long after. The
// zero Schedule makes no keys.
type Schedule struct{ Lead, Active, Retire time.Duration }

func (s Schedule) on() bool { return s != Schedule{} }
