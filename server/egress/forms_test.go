package egress_test

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/onedoor/onedoor/server/egress"
)

// escapings write every byte of an ASCII text in one language's escape.
var escapings = map[string]string{
	"percent": "%%%02x", "percent upper": "%%%02X", "escape()": "%%u%04X", "quoted-printable": "=%02X",
	"JSON": `\u%04x`, "JSON upper": `\u%04X`, "braces": `\u{%x}`, "Python": `\U%08x`, "x": `\x%02x`, "x upper": `\x%02X`, "Perl": `\x{%x}`,
	"octal": `\%03o`, "decimal": "&#%d;", "decimal, zeros": "&#%08d;", "decimal, open": "&#%d", "hex": "&#x%x;", "hex, zeros": "&#X%06X;", "hex, open": "&#x%02x",
}

// encoded writes a text whole, so that no part of the outcome stands for one of its bytes alone.
func encoded(secret string) map[string]string {
	text := []byte(secret)
	joined := func(format, between string) string {
		parts := make([]string, len(text))
		for i, c := range text {
			parts[i] = fmt.Sprintf(format, c)
		}
		return strings.Join(parts, between)
	}
	all := map[string]string{
		"hex": hex.EncodeToString(text), "HEX": strings.ToUpper(hex.EncodeToString(text)), "hEX": mixedCase(hex.EncodeToString(text)),
		"hex, spaces": joined("%02x", " "), "hex, colons": joined("%02X", ":"), "hex, dashes": joined("%02X", "-"),
		"hex, 0x": joined("0x%02x", ", "), "hex, 0X": joined("0X%02X", ","), "hex after 0x": "0x" + hex.EncodeToString(text),
		"hex after backslash x": `\x` + hex.EncodeToString(text), "hex, dump": joined("%02x", "  "), "hex, lines": lines(hex.EncodeToString(text), 7, "\n"),
		"bytes": joined("%d", ", "), "bytes of Go": joined("%d", " "), "bytes in lines": joined("%d", ",\n            "),
	}
	for shift := range 5 {
		padded := append([]byte("\xfb\xff\xfb\xff\xfb"[:shift]), text...)
		all[fmt.Sprint("base32 at ", shift)] = base32.StdEncoding.EncodeToString(padded)
		if shift > 2 {
			continue
		}
		for name, enc := range map[string]*base64.Encoding{"base64 ": base64.StdEncoding, "base64url ": base64.URLEncoding} {
			plain := enc.EncodeToString(append(padded, "\xff\xfe"...))
			name = fmt.Sprint(name, shift)
			all[name] = plain
			all[name+" in a query"] = url.QueryEscape(plain)
			all[name+" in JSON"] = strings.ReplaceAll(plain, "/", `\/`)
			for between, text := range map[string]string{
				"LF": "\n", "CRLF": "\r\n", "LF in JSON": `\n`, "CRLF in JSON": `\r\n`, "CRLF in JSON twice": `\\r\\n`, "indented": "\n        ",
				"quoted-printable": "=\r\n", "an event": "\ndata: ", "an event, CRLF": "\r\ndata:", "HTML": "&#10;", "a query": "%0D%0A",
			} {
				all[name+", "+between] = lines(plain, 5, text)
			}
		}
	}
	return all
}

func mixedCase(s string) string {
	out := []byte(s)
	for i := range out {
		if i%3 == 0 {
			out[i] = strings.ToUpper(s)[i]
		}
	}
	return string(out)
}

// lines breaks a text every so many characters.
func lines(s string, every int, between string) string {
	var parts []string
	for ; len(s) > every; s = s[every:] {
		parts = append(parts, s[:every])
	}
	return strings.Join(append(parts, s), between)
}

// nested are texts that were escaped and then went through another encoder.
func nested(secret string) map[string]string {
	json := jsonText(secret, true)
	unicode := each(secret, `\u%04x`)
	return map[string]string{
		"percent, percent": strings.ReplaceAll(each(secret, "%%%02x"), "%", "%25"), "a query in a query": url.QueryEscape(url.QueryEscape(secret)),
		"JSON in JSON": jsonText(json, true), "JSON in JSON, without HTML": jsonText(jsonText(secret, false), false),
		"JSON in JSON, all": strings.ReplaceAll(unicode, `\`, `\\`), "JSON, slashes, in JSON": strings.ReplaceAll(strings.ReplaceAll(json, "/", `\/`), `\`, `\\`),
		"JSON in JSON in JSON": jsonText(jsonText(json, false), false), "JSON in JSON in a query": url.QueryEscape(jsonText(json, false)),
		"JSON in HTML": html.EscapeString(json), "HTML in JSON": jsonText(html.EscapeString(secret), true), "HTML in HTML": html.EscapeString(html.EscapeString(secret)),
		"percent in JSON": jsonText(url.PathEscape(secret), true), "percent in HTML in JSON": jsonText(html.EscapeString(url.QueryEscape(secret)), true),
		"JSON in quoted-printable": strings.ReplaceAll(json, `\`, "=5C"), "u, percent": url.QueryEscape(unicode),
	}
}

func TestScrubberFindsEveryFormAtEverySplit(t *testing.T) {
	for _, secret := range []string{"sk-live-4f9Qz7", `a/b+C\d"9&e<f=`, "tok:+/=+/Xy", "Zz9 pass word", "q8Rz3w"} {
		s := egress.NewScrubber([]byte(secret))
		all := map[string]string{
			"lower": strings.ToLower(secret), "upper": strings.ToUpper(secret), "title": mixedCase(strings.ToLower(secret)), "a form": strings.ReplaceAll(secret, " ", "+"),
			"a shell": regexp.MustCompile(`[^A-Za-z0-9]`).ReplaceAllString(secret, `\$0`), "UTF-16LE": wide(secret, binary.LittleEndian), "UTF-16BE": wide(secret, binary.BigEndian),
		}
		if secret == "q8Rz3w" || strings.HasPrefix(secret, "tok:") || strings.HasPrefix(secret, "a/b") { // too short to be folded
			delete(all, "lower")
			delete(all, "upper")
			delete(all, "title")
		}
		for name, format := range escapings {
			all["escaped "+name] = each(secret, format)
			all["mixed "+name] = mix(secret, format)
			if strings.HasSuffix(name, "open") { // what follows may be a digit
				delete(all, "mixed "+name)
			}
		}
		for _, more := range []map[string]string{encoded(secret), nested(secret)} {
			for name, text := range more {
				if secret != "q8Rz3w" || !strings.HasPrefix(name, "base64") || !strings.Contains(name, ",") { // 7 characters are not folded
					all[name] = text
				}
			}
		}
		for name, spelled := range all {
			t.Run(secret+" "+name, func(t *testing.T) { requireFound(t, s, spelled) })
		}
	}
}

// A secret that is no ASCII comes back as its bytes, its code points, or what is left of
// it when its bytes were taken for Latin-1.
func TestScrubberFindsWhatIsNoASCII(t *testing.T) {
	for _, secret := range []string{"pässwörd-1", "ключ-😀/тайна", "é€ñ"} {
		s := egress.NewScrubber([]byte(secret))
		all := map[string]string{
			"UTF-8": secret, "percent": url.QueryEscape(secret), "UTF-16LE": wide(secret, binary.LittleEndian), "UTF-16BE": wide(secret, binary.BigEndian),
			"hex": hex.EncodeToString([]byte(secret)), "taken for Latin-1": latin1Read(secret), "and in JSON": units(latin1Read(secret), `\u%04x`),
			"JSON": units(secret, `\u%04x`), "JSON, upper": units(secret, `\u%04X`), "JSON in JSON": units(secret, `\\u%04x`), "escape()": units(secret, "%%u%04X"),
		}
		var decimal, braces strings.Builder
		latin := make([]byte, 0, len(secret))
		for _, r := range secret {
			_, _ = fmt.Fprintf(&decimal, "&#%d;", r)
			_, _ = fmt.Fprintf(&braces, `\u{%x}`, r)
			latin = append(latin, byte(r))
		}
		all["HTML"], all["braces"] = decimal.String(), braces.String()
		if secret == "pässwörd-1" {
			all["Latin-1"] = string(latin)
		}
		for name, spelled := range all {
			t.Run(secret+" "+name, func(t *testing.T) { requireFound(t, s, spelled) })
		}
	}
}

func wide(s string, order binary.ByteOrder) string {
	var out []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		out = order.(binary.AppendByteOrder).AppendUint16(out, unit)
	}
	return string(out)
}

// units writes all that is no ASCII as UTF-16.
func units(s, format string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(s)) {
		if unit < 0x80 {
			_ = b.WriteByte(byte(unit))
			continue
		}
		_, _ = fmt.Fprintf(&b, format, unit)
	}
	return b.String()
}

func latin1Read(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		_, _ = b.WriteRune(rune(c))
	}
	return b.String()
}

// betweenParts is what no part of an encoded secret is.
var betweenParts = regexp.MustCompile(`data:|%0D|%0A|%3D|%2F|%2B|&#10;|\\+[rn]|\W`)

// requireFound wants one place replaced, whatever the pieces in which the text comes. Where
// it is cut within the first symbols of an encoding, one of them may be out, or three if
// the cut is behind a line's end.
func requireFound(t *testing.T, s *egress.Scrubber, spelled string) {
	t.Helper()
	text := `{"z":"` + spelled + `","z":1}`
	whole, hits := s.String(text)
	require.EqualValues(t, 1, hits, "%q", whole)
	requireLittle(t, whole, spelled, 8) // base64 and base32 share so much with their neighbours
	for at := range len(text) + 1 {
		r := s.Reader(io.MultiReader(strings.NewReader(text[:at]), strings.NewReader(text[at:])))
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.EqualValues(t, 1, r.Redactions())
		if string(got) == whole {
			continue
		}
		if strings.Contains(spelled, "\n") {
			requireLittle(t, string(got), spelled, 8+3+len("data"))
			continue
		}
		requireLittle(t, string(got), spelled, 8+1)
	}
}

// requireLittle wants the frame of a text, and between its parts the marker and little else.
func requireLittle(t *testing.T, got, spelled string, most int) {
	t.Helper()
	left, right, ok := strings.Cut(got, egress.Redacted)
	require.True(t, ok && strings.HasPrefix(left, `{"z":"`) && strings.HasSuffix(right, `","z":1}`), "%q", got)
	rest := betweenParts.ReplaceAllString(left[6:]+right[:len(right)-8], "")
	require.LessOrEqual(t, len(rest), most, "%q of %q", rest, spelled)
}

// What stands before a secret and looks like an escape that reaches into it hides nothing.
func TestScrubberReadsAnEscapeBothWays(t *testing.T) {
	const secret = "41ab/Cd-7Ef+9"
	s := egress.NewScrubber([]byte(secret))
	for _, before := range []string{"%", "%4", "=", `\`, `\x`, `\u00`, `\u0`, "&#", "&#x", "&", "0x", "%25", `\\`, `\\\`, "%u00", "&am"} {
		for name, spelled := range map[string]string{
			"raw": secret, "percent": url.QueryEscape(secret), "JSON": strings.ReplaceAll(secret, "/", `\/`), "hex": hex.EncodeToString([]byte(secret)),
			"base64": base64.RawStdEncoding.EncodeToString([]byte(secret)), "HTML": strings.ReplaceAll(secret, "+", "&plus;"),
			"twice": url.QueryEscape(url.QueryEscape(secret)),
		} {
			out, hits := s.String("key" + before + spelled + ".")
			require.EqualValues(t, 1, hits, "%s before %s: %q", before, name, out)
			require.LessOrEqual(t, len(out), len("key"+before+egress.Redacted+".")+3, "%s before %s: %q", before, name, out)
		}
	}
}

// reference finds a secret by a regular expression: each of its bytes as it stands or
// escaped once, and for the folded search anything but letters and digits between, but "0x".
func reference(secret string) *regexp.Regexp {
	isAlnum := regexp.MustCompile(`[A-Za-z0-9]`).MatchString
	var exact, loose, between []string
	for c := range 256 {
		if !isAlnum(string(rune(c))) {
			between = append(between, fmt.Sprintf(`%02x`, c))
		}
	}
	gap := `(?:[^A-Za-z0-9]|%(?i:` + strings.Join(between, "|") + `)|&#45;|0[xX]|\ndata:){0,32}`
	for _, c := range []byte(secret) {
		escaped := fmt.Sprintf(`%%(?i:%02x)|\\(?:u00|x)(?i:%02x)|&#%d;`, c, c, c)
		exact = append(exact, fmt.Sprintf(`(?:%s|%s)`, regexp.QuoteMeta(string(c)), escaped))
		if isAlnum(string(c)) {
			loose = append(loose, fmt.Sprintf(`(?:(?i:%c)|%s|%s)`, c, escaped, fmt.Sprintf(`%%(?i:%02x)`, c^0x20)))
		}
	}
	return regexp.MustCompile("(?s)" + strings.Join(exact, "") + "|" + strings.Join(loose, gap))
}

func TestScrubberAgreesWithTheReference(t *testing.T) {
	const secret = "aB4-1aB4a"
	s, want := egress.NewScrubber([]byte(secret)), reference(secret)
	part := rapid.OneOf(
		rapid.SampledFrom([]string{"a", "B", "4", "-", "1", "b", "A", "aB4", "-1aB4", "aB4-1aB4", " ", ".", "u00", "x", ";", "0", "&"}),
		rapid.SampledFrom([]string{"%61", "%42", "%34", "%2d", "%31", `\u0061`, `\x42`, `\u0034`, "&#45;", "&#49;", `\x31`, strings.Repeat(" ", 31)}),
	)
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(part, 0, 25).Draw(t, "text"), "")
		out, hits := s.String(text)
		if want.MatchString(text) != (hits > 0) {
			t.Fatalf("%q became %q", text, out)
		}
		if left := want.FindString(strings.ReplaceAll(out, egress.Redacted, "\x00[]")); left != "" && !strings.Contains(left, "\x00") {
			t.Fatalf("%q became %q, and holds %q", text, out, left)
		}
		cut := rapid.SliceOfN(rapid.IntRange(0, len(text)), 0, 3).Draw(t, "cut")
		var pieces []io.Reader
		rest := text
		for _, n := range cut {
			n = min(n, len(rest))
			pieces, rest = append(pieces, strings.NewReader(rest[:n])), rest[n:]
		}
		got, err := io.ReadAll(s.Reader(io.MultiReader(append(pieces, strings.NewReader(rest))...)))
		if left := want.FindString(string(got)); err != nil || left != "" || len(got) > len(out)+3*len(cut) {
			t.Fatalf("%q in pieces %v became %q, whole %q", text, cut, got, out)
		}
	})
}

// Escapes over escapes, cut anywhere: as much is found as in the whole, and little else is out.
func TestScrubberInPieces(t *testing.T) {
	const secret = `aB4/1aB"4a\nQ`
	s := egress.NewScrubber([]byte(secret))
	part := rapid.SampledFrom([]string{
		"a", "B", "4", "/", "1", `"`, `\`, "n", "Q", "aB4", secret, jsonText(secret, true), jsonText(jsonText(secret, true), false), url.QueryEscape(secret),
		hex.EncodeToString([]byte(secret)), lines(base64.StdEncoding.EncodeToString([]byte(secret)), 5, `\n`), `\u0061`, `\\n`, `\\\\u00`, "%", "%25", "%2561",
		"&", "&amp;", "&#", "#x61;", "quot;", "=", "=4", "0x", "\n", "data:", "\ndata: ", " ", `}`, strings.Repeat(" ", 31),
	})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(part, 0, 12).Draw(t, "text"), "")
		whole, hits := s.String(text)
		var pieces []io.Reader
		for rest := text; rest != ""; {
			n := min(rapid.IntRange(1, 12).Draw(t, "piece"), len(rest))
			pieces, rest = append(pieces, strings.NewReader(rest[:n])), rest[n:]
		}
		r := s.Reader(io.MultiReader(pieces...))
		got, err := io.ReadAll(r)
		if err != nil || r.Redactions() != hits || len(got) > len(whole)+3*int(hits)+len("\r\ndata: ")*int(hits) {
			t.Fatalf("%q became %q, in pieces %q: %v", text, whole, got, err)
		}
	})
}
