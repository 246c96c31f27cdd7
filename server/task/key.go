package task

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/big"
	"strings"
)

// Key is a task key in the clear: `od1t_`, 43 base62 digits of 256 random bits, and
// 6 base62 digits of CRC-32 over all before them, so that scanners recognise a
// leaked one without asking anybody. The type prints as a placeholder; Reveal gives
// the text.
type Key struct{ reveal func() string }

// KeyPrefix opens every task key: project, format version, kind (t: task).
const KeyPrefix = "od1t_"

const (
	randomLen = 43
	crcLen    = 6
	keyLen    = len(KeyPrefix) + randomLen + crcLen
	base62    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// ErrKeyFormat says that a text is no task key. It does not repeat the text.
var ErrKeyFormat = errors.New("not a task key: want " + KeyPrefix + " and 49 letters or digits with a valid checksum")

// NewKey makes a key from 32 bytes of random.
func NewKey(random io.Reader) (Key, error) {
	var raw [32]byte
	if _, err := io.ReadFull(random, raw[:]); err != nil {
		return Key{}, fmt.Errorf("task key: %w", err)
	}
	body := KeyPrefix + encode(new(big.Int).SetBytes(raw[:]), randomLen)
	return newKey(body + checksum(body)), nil
}

// ParseKey checks form and checksum; it says nothing about whether the key exists.
func ParseKey(text string) (Key, error) {
	if len(text) != keyLen || !strings.HasPrefix(text, KeyPrefix) {
		return Key{}, ErrKeyFormat
	}
	body := text[:keyLen-crcLen]
	if checksum(body) != text[keyLen-crcLen:] {
		return Key{}, ErrKeyFormat
	}
	for _, c := range body[len(KeyPrefix):] {
		if !strings.ContainsRune(base62, c) {
			return Key{}, ErrKeyFormat
		}
	}
	return newKey(text), nil
}

func newKey(text string) Key { return Key{reveal: func() string { return text }} }

// Reveal gives the key's text: for hashing it, and for showing it once.
func (k Key) Reveal() string {
	if k.reveal == nil {
		return ""
	}
	return k.reveal()
}

const redacted = "[task key]"

// String keeps the key out of anything printed, as the three below do.
func (k Key) String() string { return redacted }

// GoString is for %#v.
func (k Key) GoString() string { return redacted }

// Format is for every verb, %x and %d among them.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText is for encoders and structured logs.
func (k Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

func checksum(s string) string {
	return encode(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(s)))), crcLen)
}

func encode(n *big.Int, width int) string {
	digits := make([]byte, width)
	base, rest := big.NewInt(62), new(big.Int)
	for i := width - 1; i >= 0; i-- {
		n.DivMod(n, base, rest)
		digits[i] = base62[rest.Int64()]
	}
	return string(digits)
}
