package vault

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Secret is an upstream login in the clear. It cannot be printed, logged or encoded by
// accident: the bytes stand in a closure, where neither reflection nor any verb of fmt
// finds them, even when the Secret is an unexported field of something else. The zero
// value holds nothing.
type Secret struct{ reveal func() []byte }

// NewSecret makes a Secret of a copy of b, so that the caller can overwrite b.
func NewSecret(b []byte) Secret { return hold(bytes.Clone(b)) }

// hold makes a Secret of b itself, which nobody else may keep.
func hold(b []byte) Secret {
	b = b[:len(b):len(b)] // an append by a reader must not write behind the secret
	return Secret{reveal: func() []byte { return b }}
}

// Reveal gives the bytes, nil for the zero Secret. They are not a copy, so that a
// secret does not multiply in memory: do not change them, and do not keep them longer
// than the one use they were asked for.
func (s Secret) Reveal() []byte {
	if s.reveal == nil {
		return nil
	}
	return s.reveal()
}

const redacted = "[secret]"

// String is for %s, %v and string concatenation in logs.
func (s Secret) String() string { return redacted }

// GoString is for %#v.
func (s Secret) GoString() string { return redacted }

// Format is for every other verb, %d, %x and %q among them.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue is for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText is for text encoders: YAML, XML and map keys.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON is for JSON.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }
