package openapi

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// maxHops is how many references may follow one another.
const maxHops = 32

// referred follows the $refs of n, which stands at, to what they lead to and where that
// stands. Only this document is ever looked into.
func (d *document) referred(n *node, at string) (*node, string, error) {
	for range maxHops {
		if n == nil || n.kind != object {
			return n, at, nil
		}
		ref := n.get("$ref")
		if ref == nil || ref.kind != text {
			return n, at, nil
		}
		var err error
		if n, at, err = d.target(ref.text); err != nil {
			return nil, at, err
		}
	}
	return nil, at, fmt.Errorf("more than %d references follow one another, or they run in a circle", maxHops)
}

// target finds what a reference names.
func (d *document) target(ref string) (*node, string, error) {
	fragment, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil, "", fmt.Errorf("the $ref %s leads out of the document, and nothing else is read: bundle it into one document first", quoted(ref))
	}
	path, err := url.PathUnescape(fragment)
	if err != nil || path != "" && path[0] != '/' {
		return nil, "", fmt.Errorf("the $ref %s is no JSON pointer", quoted(ref))
	}
	n := d.root
	for _, step := range strings.Split(path, "/")[1:] {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		switch {
		case n == nil:
		case n.kind == list:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(n.items) {
				n = nil
				break
			}
			n = n.items[i]
		default:
			n = n.get(step)
		}
	}
	if n == nil {
		return nil, path, fmt.Errorf("the $ref %s leads nowhere", quoted(ref))
	}
	return n, path, nil
}

// quoted shows a text of the document in a message.
func quoted(s string) string { return strconv.Quote(clean(s, 120)) }
