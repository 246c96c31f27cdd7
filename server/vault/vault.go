package vault

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
)

// dekSize is the length of a data key in bytes: AES-256.
const dekSize = 32

// Errors of the vault. None repeats what was sealed or any part of a ciphertext.
var (
	// ErrSealed says that a sealed secret does not open: it was changed, it stands in
	// another row than it was sealed for, or its credential was changed around it.
	ErrSealed = errors.New("vault: sealed secret does not open under its binding")
	// ErrEmpty says that there is nothing to seal.
	ErrEmpty = errors.New("vault: secret is empty")
)

// Vault seals and opens secrets with the keys of a Keyring. It is safe for concurrent use.
type Vault struct {
	keys *Keyring
}

// New makes a Vault. Its keyring must have been loaded before the first use.
func New(keys *Keyring) *Vault { return &Vault{keys: keys} }

// Seal encrypts s under a fresh data key and wraps that with the active KEK, both bound
// to b. Every field of b must be set and s must hold something; else an error. It makes
// no remote call, so ctx is there for the sake of the pair with Open.
func (v *Vault) Seal(_ context.Context, b Binding, s Secret) (Sealed, error) {
	if err := b.check(); err != nil {
		return Sealed{}, err
	}
	if len(s.Reveal()) == 0 {
		return Sealed{}, ErrEmpty
	}
	kek, err := v.keys.active(KEK)
	if err != nil {
		return Sealed{}, err
	}
	dek := make([]byte, dekSize)
	defer clear(dek)
	if _, err := io.ReadFull(v.keys.opts.Rand, dek); err != nil {
		return Sealed{}, fmt.Errorf("vault: data key: %w", err)
	}
	wrapped, err := kek.aead.Encrypt(dek, b.dekData(kek.row.ID))
	if err != nil {
		return Sealed{}, fmt.Errorf("vault: wrap data key: %w", err)
	}
	payload, err := subtle.NewAESGCM(dek)
	if err != nil {
		return Sealed{}, fmt.Errorf("vault: data key: %w", err)
	}
	ciphertext, err := payload.Encrypt(s.Reveal(), b.secretData())
	if err != nil {
		return Sealed{}, fmt.Errorf("vault: seal: %w", err)
	}
	return Sealed{KEKID: kek.row.ID, WrappedDEK: wrapped, Ciphertext: ciphertext}, nil
}

// Open decrypts what Seal made for exactly this binding. Where the KEK is not loaded
// the keyring is read once more, for another broker may have made it just now. Errors:
// ErrSealed, ErrKeyUnknown, or the store's where the keyring could not be read.
func (v *Vault) Open(ctx context.Context, b Binding, s Sealed) (Secret, error) {
	kek, err := v.keys.kek(ctx, s.KEKID)
	if err != nil {
		return Secret{}, err
	}
	dek, err := unwrapDEK(kek, b, s)
	if err != nil {
		return Secret{}, err
	}
	defer clear(dek)
	payload, err := subtle.NewAESGCM(dek)
	if err != nil {
		return Secret{}, sealedError("data key has the wrong size", b)
	}
	clearText, err := payload.Decrypt(s.Ciphertext, b.secretData())
	if err != nil {
		return Secret{}, sealedError("payload refused", b)
	}
	return hold(clearText), nil
}

// Rewrap wraps the data key anew, with the active KEK; the payload stays as it is. What
// stands under the active KEK already is returned unchanged. Errors are those of Open.
func (v *Vault) Rewrap(ctx context.Context, b Binding, s Sealed) (Sealed, error) {
	to, err := v.keys.active(KEK)
	if err != nil {
		return Sealed{}, err
	}
	if s.KEKID == to.row.ID {
		return s, nil
	}
	from, err := v.keys.kek(ctx, s.KEKID)
	if err != nil {
		return Sealed{}, err
	}
	dek, err := unwrapDEK(from, b, s)
	if err != nil {
		return Sealed{}, err
	}
	defer clear(dek)
	wrapped, err := to.aead.Encrypt(dek, b.dekData(to.row.ID))
	if err != nil {
		return Sealed{}, fmt.Errorf("vault: wrap data key: %w", err)
	}
	return Sealed{KEKID: to.row.ID, WrappedDEK: wrapped, Ciphertext: s.Ciphertext}, nil
}

// unwrapDEK gives the data key in the clear; the caller overwrites it.
func unwrapDEK(kek *key, b Binding, s Sealed) ([]byte, error) {
	dek, err := kek.aead.Decrypt(s.WrappedDEK, b.dekData(kek.row.ID))
	if err != nil {
		return nil, sealedError("data key refused", b)
	}
	return dek, nil
}

// sealedError names the row and the stage. The cipher's own error is left out: it says
// no more, and it may quote sizes.
func sealedError(stage string, b Binding) error {
	return fmt.Errorf("%w: %s (workspace %q, credential %q, version %d)",
		ErrSealed, stage, b.Workspace, b.CredentialID, b.Version)
}
