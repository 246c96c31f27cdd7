package vault

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"
)

// ErrSignature says that a signature is not the one of that key over that message.
var ErrSignature = errors.New("vault: signature is not valid")

// AuditPublicKey is what a verifier of the audit trail needs of one signing key.
type AuditPublicKey struct {
	ID          string
	State       KeyState
	Key         ed25519.PublicKey // 32 bytes; signatures are plain Ed25519 (RFC 8032)
	CreatedAt   time.Time
	ActivatedAt time.Time // zero while pending
}

// SignAudit signs msg with the active audit key: plain Ed25519 over msg itself, 64
// bytes. The caller makes messages of different kinds differ. ErrKeyUnknown where the
// keyring has not been loaded.
func (k *Keyring) SignAudit(msg []byte) (sig []byte, keyID string, err error) {
	active, err := k.active(Audit)
	if err != nil {
		return nil, "", err
	}
	sig, err = active.signer.Sign(msg)
	if err != nil {
		return nil, "", fmt.Errorf("vault: sign with audit key %s: %w", active.row.ID, err)
	}
	return sig, active.row.ID, nil
}

// VerifyAudit checks a signature of SignAudit, also of a pending or retired key.
// Errors: ErrKeyUnknown, ErrSignature.
func (k *Keyring) VerifyAudit(keyID string, msg, sig []byte) error {
	signed, ok := k.current.Load().keys[keyID]
	if !ok || signed.row.Purpose != Audit {
		return fmt.Errorf("%w: audit key %q", ErrKeyUnknown, keyID)
	}
	if err := signed.verifier.Verify(sig, msg); err != nil {
		return fmt.Errorf("%w: audit key %s", ErrSignature, keyID)
	}
	return nil
}

// AuditPublicKeys gives the public half of every audit key, newest first. Keep them as
// long as the trail: a trail without them cannot be verified.
func (k *Keyring) AuditPublicKeys() []AuditPublicKey {
	var out []AuditPublicKey
	current := k.current.Load()
	for _, row := range current.rows {
		if row.Purpose != Audit {
			continue
		}
		out = append(out, AuditPublicKey{
			ID:          row.ID,
			State:       row.State,
			Key:         bytes.Clone(current.keys[row.ID].public),
			CreatedAt:   row.CreatedAt,
			ActivatedAt: row.ActivatedAt,
		})
	}
	return out
}
