package openapi

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
)

// maxFunction bounds NAME__TOOL, by which models know a tool.
const maxFunction = 64

// toolName is an operation's name as a tool: its operationId, else its method and path,
// in the characters that a tool's name may have. A name that is too long ends in a
// digest of method and path, so that it stays the same whatever else the document has.
func (im *importer) toolName(o *operation) string {
	name := plainName(o.id)
	if name == "" {
		name = plainName(strings.ToLower(o.method) + "." + o.path)
	}
	if room := maxFunction - len(im.Name) - len("__"); len(name) > room {
		return withDigest(name, o, room)
	}
	return name
}

// plainName keeps letters, digits and "_-"; everything else separates words with a dot.
func plainName(s string) string {
	var b strings.Builder
	dot := false
	for _, c := range s {
		switch {
		case c < 0x80 && (unicode.IsLetter(c) || unicode.IsDigit(c)) || c == '_' || c == '-':
			if dot && b.Len() > 0 {
				b.WriteByte('.')
			}
			dot = false
			b.WriteRune(c)
		default:
			dot = true
		}
	}
	return b.String()
}

func withDigest(name string, o *operation, room int) string {
	sum := sha256.Sum256([]byte(o.method + " " + o.path))
	end := "-" + hex.EncodeToString(sum[:])[:8]
	return strings.TrimRight(name[:min(len(name), room-len(end))], ".-_") + end
}

// uniqueNames names the operations. Of two that models would know by one name, both get
// their digest.
func (im *importer) uniqueNames(all []*operation) map[*operation]string {
	names := map[*operation]string{}
	for range 2 { // a digest might hit upon another name
		count := map[string]int{}
		for _, o := range all {
			if names[o] == "" {
				names[o] = im.toolName(o)
			}
			count[function(names[o])]++
		}
		for _, o := range all {
			if count[function(names[o])] > 1 {
				names[o] = withDigest(im.toolName(o), o, maxFunction-len(im.Name)-len("__"))
			}
		}
	}
	return names
}

// function is what of a tool's name must be unique.
func function(name string) string { return strings.ReplaceAll(name, ".", "_") }

// words splits a name at what is no letter, and where a capital follows a small one.
func words(s string) []string {
	var out []string
	var word strings.Builder
	flush := func() {
		if word.Len() > 0 {
			out = append(out, strings.ToLower(word.String()))
			word.Reset()
		}
	}
	var before rune
	for _, c := range s {
		switch {
		case !unicode.IsLetter(c) && !unicode.IsDigit(c):
			flush()
		case unicode.IsUpper(c) && unicode.IsLower(before):
			flush()
			word.WriteRune(c)
		default:
			word.WriteRune(c)
		}
		before = c
	}
	flush()
	return out
}

// literals are the words of a path's fixed segments, in their order.
func literals(path string) []string {
	var out []string
	for part := range strings.SplitSeq(path, "/") {
		if part != "" && !strings.Contains(part, "{") {
			out = append(out, part)
		}
	}
	return out
}
