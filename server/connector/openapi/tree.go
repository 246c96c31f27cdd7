package openapi

import (
	"encoding/json"
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what a node is.
type kind int

const (
	null kind = iota
	boolean
	number
	text
	list
	object
)

// node is a value of the document, or of what is made of it. Objects keep the order of
// their keys, so that the same document always makes the same manifest. Its methods
// take a nil node for one that holds nothing.
type node struct {
	kind  kind
	text  string // of a scalar, as JSON means it: true, 1.50, the text itself
	keys  []string
	items []*node        // beside keys, or the elements of a list
	index map[string]int // of keys, where there are many
}

const manyKeys = 16

func textNode(s string) *node { return &node{kind: text, text: s} }
func boolNode(b bool) *node {
	return &node{kind: boolean, text: map[bool]string{true: "true", false: "false"}[b]}
}
func listOf(items ...*node) *node { return &node{kind: list, items: items} }
func numberNode(s string) *node   { return &node{kind: number, text: s} }

func textList(words []string) *node {
	out := listOf()
	for _, w := range words {
		out.items = append(out.items, textNode(w))
	}
	return out
}

// get gives the value of a key of an object, or nil.
func (n *node) get(key string) *node {
	if i := n.find(key); i >= 0 {
		return n.items[i]
	}
	return nil
}

func (n *node) find(key string) int {
	if n == nil || n.kind != object {
		return -1
	}
	if n.index != nil {
		if i, ok := n.index[key]; ok {
			return i
		}
		return -1
	}
	for i, k := range n.keys {
		if k == key {
			return i
		}
	}
	return -1
}

// set puts a key into an object, in its old place or at the end.
func (n *node) set(key string, value *node) *node {
	if i := n.find(key); i >= 0 {
		n.items[i] = value
		return n
	}
	n.kind = object
	if n.index != nil {
		n.index[key] = len(n.keys)
	}
	n.keys, n.items = append(n.keys, key), append(n.items, value)
	if n.index == nil && len(n.keys) > manyKeys {
		n.index = make(map[string]int, len(n.keys))
		for i, k := range n.keys {
			n.index[k] = i
		}
	}
	return n
}

// pairs goes through an object in its order.
func (n *node) pairs() iter.Seq2[string, *node] {
	return func(yield func(string, *node) bool) {
		if n == nil || n.kind != object {
			return
		}
		for i, k := range n.keys {
			if !yield(k, n.items[i]) {
				return
			}
		}
	}
}

// elements gives those of a list.
func (n *node) elements() []*node {
	if n == nil || n.kind != list {
		return nil
	}
	return n.items
}

// str gives the text at a way down; empty where there is none.
func (n *node) str(way ...string) string {
	for _, key := range way {
		n = n.get(key)
	}
	if n == nil || n.kind != text {
		return ""
	}
	return n.text
}

func (n *node) isTrue(key string) bool {
	v := n.get(key)
	return v != nil && v.kind == boolean && v.text == "true"
}

func (n *node) isObject() bool { return n != nil && n.kind == object }

// size is about how many bytes n has as JSON.
func (n *node) size() int {
	if n == nil {
		return 0
	}
	total := 2
	for i, item := range n.items {
		total += item.size() + 1
		if n.kind == object {
			total += len(n.keys[i]) + 3
		}
	}
	if n.kind == text {
		quoted, _ := json.Marshal(n.text) // a string always has its JSON
		return len(quoted)
	}
	return total + len(n.text)
}

// pointerEscapes are those of a step of a JSON pointer.
var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// pointer adds a step to a JSON pointer (RFC 6901).
func pointer(at string, steps ...string) string {
	for _, s := range steps {
		at += "/" + pointerEscapes.Replace(s)
	}
	return at
}

// clean makes one short line of text that the document's author wrote.
func clean(s string, limit int) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if len(s) <= limit {
		return s
	}
	s = s[:limit-len("…")]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return strings.TrimRight(s, " ") + "…"
}
