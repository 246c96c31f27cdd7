package openapi

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/onedoor/onedoor/server/fault"
)

const (
	// maxDocument bounds a document once it is unpacked, in bytes, and maxYAML one that is
	// YAML, whose reader needs much more memory a byte.
	maxDocument = 32 << 20
	maxYAML     = 16 << 20
	// maxNodes and maxLevels bound what it comes to; GitHub's, the largest in wide use,
	// has less than a million.
	maxNodes  = 2_000_000
	maxLevels = 200
)

// document is an OpenAPI document.
type document struct {
	root    *node
	version version
}

// version is the OpenAPI version, as far as it matters.
type version int

const (
	v20 version = iota + 1
	v30
	v31
)

// read takes a document from its bytes.
func read(ctx context.Context, data []byte) (*document, error) {
	data, err := unpacked(data)
	if err != nil {
		return nil, err
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		return nil, fault.Invalid("document", "is not valid UTF-8")
	}
	r := &reader{ctx: ctx}
	var root *node
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		root, err = r.json(data)
	} else {
		root, err = r.yaml(data)
	}
	if err != nil {
		return nil, invalid(err)
	}
	d := &document{root: root}
	return d, d.identify()
}

// invalid makes a fault of what a reader says, which holds no value of the document.
func invalid(err error) error {
	var f *fault.Error
	if errors.As(err, &f) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.Invalid("document", clean(err.Error(), 200))
}

// unpacked undoes gzip, which is known by its first bytes (RFC 1952).
func unpacked(data []byte) ([]byte, error) {
	tooLarge := fault.Invalid("document", fmt.Sprintf("is larger than %d bytes: keep to a part of it", maxDocument))
	if !bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		if len(data) > maxDocument {
			return nil, tooLarge
		}
		return data, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fault.Invalid("document", "begins as gzip does, and is not")
	}
	out, err := io.ReadAll(io.LimitReader(z, maxDocument+1))
	switch {
	case err != nil:
		return nil, fault.Invalid("document", "cannot be unpacked: the gzip stream is broken")
	case len(out) > maxDocument:
		return nil, tooLarge
	}
	return out, nil
}

// identify finds out the version.
func (d *document) identify() error {
	v3, v2 := d.root.str("openapi"), d.root.str("swagger")
	if n := d.root.get("swagger"); n != nil && n.kind == number {
		v2 = n.text
	}
	switch {
	case v2 == "2.0":
		d.version = v20
	case v3 == "3.0" || strings.HasPrefix(v3, "3.0."):
		d.version = v30
	case v3 == "3.1" || strings.HasPrefix(v3, "3.1."), v3 == "3.2" || strings.HasPrefix(v3, "3.2."):
		d.version = v31
	default:
		return fault.Invalid("document", `is no OpenAPI document of a known version: want openapi: 3.0.x or 3.1.x, or swagger: "2.0", at its top`)
	}
	return nil
}

// reader builds a tree within its bounds.
type reader struct {
	ctx   context.Context
	nodes int
	text  int // of YAML, in bytes
}

// one counts a node at a depth.
func (r *reader) one(depth int) error {
	r.nodes++
	switch {
	case r.nodes > maxNodes:
		return fmt.Errorf("holds more than %d values, aliases counted as often as they stand", maxNodes)
	case depth > maxLevels:
		return fmt.Errorf("is deeper than %d levels", maxLevels)
	case r.nodes%4096 == 0:
		return r.ctx.Err()
	}
	return nil
}
