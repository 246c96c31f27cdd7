package vault

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/signature"
	tinked25519 "github.com/tink-crypto/tink-go/v2/signature/ed25519"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// masterTimeout bounds one call to the master key, which may be a service far away.
const masterTimeout = 10 * time.Second

// purposes lists what the keyring knows keys for.
func purposes() []Purpose { return []Purpose{KEK, Pepper, Audit, Assertion} }

// needed lists what it must have an active key for.
func (k *Keyring) needed() []Purpose {
	if k.opts.Assertions.on() {
		return purposes()
	}
	return []Purpose{KEK, Pepper, Audit}
}

// key is one loaded key: its row, and the primitive of its purpose. It never changes.
type key struct {
	row WrappedKey

	aead     tink.AEAD         // KEK
	pepper   *pepper           // Pepper
	signer   tink.Signer       // Audit, Assertion
	verifier tink.Verifier     // Audit
	public   ed25519.PublicKey // Audit
	point    [2][]byte         // Assertion: x and y, 32 bytes each
}

// template says what a key of the purpose is. None has an output prefix, since the
// row's id says already which key it was; so a signature is plain Ed25519.
func template(p Purpose) (*tinkpb.KeyTemplate, error) {
	switch p {
	case KEK:
		// A KEK wraps any number of data keys under random nonces: it needs long ones.
		return aead.XAES256GCM192BitNonceNoPrefixKeyTemplate(), nil
	case Pepper:
		return prf.HMACSHA256PRFKeyTemplate(), nil
	case Audit:
		return signature.ED25519KeyWithoutPrefixTemplate(), nil
	}
	return nil, fmt.Errorf("vault: unknown key purpose %q", p)
}

// keyData binds a wrapped key to its row.
func keyData(p Purpose, id string) []byte { return associated(keyDomain, string(p), id) }

// newKeyset makes the material of a new key and its id.
func (k *Keyring) newKeyset(p Purpose) (handle *keyset.Handle, id string, err error) {
	if p == Assertion {
		return newAssertionKeyset()
	}
	t, err := template(p)
	if err != nil {
		return nil, "", err
	}
	handle, err = keyset.NewHandle(t)
	if err != nil {
		return nil, "", fmt.Errorf("vault: make %s key: %w", p, err)
	}
	return handle, k.opts.NewID(), nil
}

// wrap wraps the material of a new key with the master key.
func (k *Keyring) wrap(ctx context.Context, p Purpose, id string, handle *keyset.Handle) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, masterTimeout)
	defer cancel()
	var out bytes.Buffer
	err := handle.WriteWithContext(ctx, keyset.NewBinaryWriter(&out), k.master, keyData(p, id))
	if err != nil {
		return nil, fmt.Errorf("vault: wrap %s key %s with the master key: %w", p, id, err)
	}
	return out.Bytes(), nil
}

// unwrap gives the keyset of a row.
func (k *Keyring) unwrap(ctx context.Context, row WrappedKey) (*keyset.Handle, error) {
	ctx, cancel := context.WithTimeout(ctx, masterTimeout)
	defer cancel()
	reader := keyset.NewBinaryReader(bytes.NewReader(row.Wrapped))
	handle, err := keyset.ReadWithContext(ctx, reader, k.master, keyData(row.Purpose, row.ID))
	if err != nil {
		return nil, fmt.Errorf("vault: unwrap %s key %s with the master key: %w", row.Purpose, row.ID, err)
	}
	return handle, nil
}

// loadKey unwraps a row and makes the primitive of its purpose.
func (k *Keyring) loadKey(ctx context.Context, row WrappedKey) (*key, error) {
	handle, err := k.unwrap(ctx, row)
	if err != nil {
		return nil, err
	}
	loaded := &key{row: row}
	switch row.Purpose {
	case KEK:
		loaded.aead, err = aead.New(handle)
	case Pepper:
		loaded.pepper, err = newPepper(handle)
	case Audit:
		err = loaded.useSigner(handle)
	case Assertion:
		err = loaded.useAssertion(handle)
	default:
		err = errors.New("unknown purpose")
	}
	if err != nil {
		return nil, fmt.Errorf("vault: %s key %s is not usable: %w", row.Purpose, row.ID, err)
	}
	return loaded, nil
}

func (k *key) useSigner(handle *keyset.Handle) error {
	var err error
	if k.signer, err = signature.NewSigner(handle); err != nil {
		return err
	}
	public, err := handle.Public()
	if err != nil {
		return err
	}
	if k.verifier, err = signature.NewVerifier(public); err != nil {
		return err
	}
	entry, err := public.Primary()
	if err != nil {
		return err
	}
	edKey, ok := entry.Key().(*tinked25519.PublicKey)
	if !ok {
		return fmt.Errorf("want an Ed25519 key, have %T", entry.Key())
	}
	k.public = edKey.KeyBytes()
	return nil
}

// plainMaster lets a master key that knows no context, such as a local file, stand
// where Tink asks for one.
type plainMaster struct{ tink.AEAD }

// EncryptWithContext calls Encrypt.
func (m plainMaster) EncryptWithContext(_ context.Context, plaintext, data []byte) ([]byte, error) {
	return m.Encrypt(plaintext, data)
}

// DecryptWithContext calls Decrypt.
func (m plainMaster) DecryptWithContext(_ context.Context, ciphertext, data []byte) ([]byte, error) {
	return m.Decrypt(ciphertext, data)
}

func withContext(master tink.AEAD) tink.AEADWithContext {
	if m, ok := master.(tink.AEADWithContext); ok {
		return m
	}
	return plainMaster{master}
}
