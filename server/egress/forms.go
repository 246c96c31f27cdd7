package egress

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// minEncoded is the shortest secret, in bytes, that is searched in other forms than
	// its own. The base64 of fewer is so short that it would match by chance.
	minEncoded = 6
	// minFolded is the shortest form, in letters and digits, that is searched without
	// regard to case and to what stands between: 36^8 is 2.8e12.
	minFolded = 8
	// minDigits is minFolded for a secret of digits alone: it looks like a number.
	minDigits = 12
)

// folded is how the second automaton reads: letters in lower case, digits, and nothing
// else. 0 stands for what is passed over.
var folded = func() (t [256]byte) {
	for c := byte('0'); c <= '9'; c++ {
		t[c] = c
	}
	for c := byte('a'); c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = c, c
	}
	return t
}()

func fold(text []byte) []byte {
	var out []byte
	for _, c := range text {
		if f := folded[c]; f != 0 {
			out = append(out, f)
		}
	}
	return out
}

// forms are what a secret is searched as. Escapes of single bytes are not among them:
// those are undone as the text is read.
type forms struct {
	exact  [][]byte // as they stand
	folded [][]byte // folded, in folded text
}

func (f *forms) add(secret []byte) {
	if len(secret) == 0 {
		return
	}
	f.exact = append(f.exact, bytes.Clone(secret))
	if bytes.IndexByte(secret, ' ') >= 0 { // as in a form
		f.exact = append(f.exact, bytes.ReplaceAll(secret, []byte(" "), []byte("+")))
	}
	plain := fold(secret)
	letters := bytes.ContainsFunc(plain, func(r rune) bool { return r >= 'a' })
	long := len(plain) >= minDigits || letters && len(plain) >= minFolded
	if long {
		f.folded = append(f.folded, plain)
	}
	if len(secret) < minEncoded {
		return
	}
	if !long || !isASCII(secret) { // else the zero bytes of UTF-16 are passed over
		f.exact = append(f.exact, charsets(secret)...)
	}
	decimal := make([]byte, 0, 3*len(secret))
	for _, c := range secret {
		decimal = strconv.AppendUint(decimal, uint64(c), 10)
	}
	f.encoded([]byte(hex.EncodeToString(secret)))
	f.encoded(decimal) // a list of bytes, whatever stands between
	for shift := range 3 {
		f.encoded(aligned(base64.RawStdEncoding, 6, secret, shift), aligned(base64.RawURLEncoding, 6, secret, shift))
	}
	for shift := range 5 {
		f.encoded(aligned(base32.StdEncoding.WithPadding(base32.NoPadding), 5, secret, shift))
	}
}

// encoded adds the spellings of one encoding: folded, in which they are one, where that
// is long enough.
func (f *forms) encoded(spellings ...[]byte) {
	if plain := fold(spellings[0]); len(plain) >= minFolded {
		f.folded = append(f.folded, plain)
		return
	}
	f.exact = append(f.exact, spellings...)
}

type encoding interface{ EncodeToString([]byte) string }

// aligned gives an encoding of so many bits a character of secret where it begins shift
// bytes into a group, without the characters that depend on its neighbours.
func aligned(enc encoding, bits int, secret []byte, shift int) []byte {
	text := enc.EncodeToString(append(make([]byte, shift), secret...))
	whole := (shift + len(secret)) * 8 / bits
	first := (shift*8 + bits - 1) / bits
	return []byte(text[first:whole])
}

func isASCII(text []byte) bool {
	return !bytes.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}

// charsets gives the secret in UTF-16. One that is no ASCII is given in Latin-1 as well,
// and as its bytes look when they were read as Latin-1 and written as UTF-8, which is
// what several HTTP servers make of a header.
func charsets(secret []byte) [][]byte {
	if isASCII(secret) {
		return [][]byte{bytes.Join(bytes.Split(secret, nil), []byte{0})} // of either endianness
	}
	var list [4][]byte
	for _, c := range secret {
		list[0] = utf8.AppendRune(list[0], rune(c))
	}
	if !utf8.Valid(secret) {
		return list[:1]
	}
	latin := true
	for _, r := range string(secret) {
		latin = latin && r <= 0xff
		list[3] = append(list[3], byte(r)) //nolint:gosec // used only where it fits
		for _, unit := range utf16.AppendRune(nil, r) {
			list[1] = binary.LittleEndian.AppendUint16(list[1], unit)
			list[2] = binary.BigEndian.AppendUint16(list[2], unit)
		}
	}
	if !latin {
		return list[:3]
	}
	return list[:]
}
