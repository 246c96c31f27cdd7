package openapi

import (
	"slices"
	"strings"
)

// content is a request's body as the document has it.
type content struct {
	schema   *node
	at       string
	types    []string    // its media types, in the document's order
	media    *node       // by media type; OpenAPI 3
	name     string      // of these, the one that is taken
	fields   []parameter // of a form; Swagger 2.0
	required bool
}

// bodyOf finds the body of an operation; nil where there is none.
func (im *importer) bodyOf(o *operation, all []parameter) (b *content, reason string) {
	if im.version == v20 {
		return im.oldBody(o, all)
	}
	entry := o.get("requestBody")
	if entry == nil {
		return nil, ""
	}
	n, at, err := im.referred(entry, pointer(o.at, "requestBody"))
	if err != nil {
		return nil, "the body cannot be read: " + err.Error()
	}
	media := n.get("content")
	b = &content{at: at, media: media, required: n.isTrue("required")}
	for name := range media.pairs() {
		b.types = append(b.types, name)
	}
	if len(b.types) == 0 {
		return nil, ""
	}
	return b, ""
}

// oldBody is Swagger 2.0's: a parameter of its own, or form fields, but not both.
func (im *importer) oldBody(o *operation, all []parameter) (b *content, reason string) {
	var fields []parameter
	for _, p := range all {
		switch p.in {
		case "body":
			b = &content{schema: p.schema, at: p.at, required: p.required}
		case "formData":
			p.in = inForm
			fields = append(fields, p)
		}
	}
	if len(fields) > 0 {
		if b != nil {
			return nil, "it has a body and form fields, of which a request carries one"
		}
		b = &content{at: fields[0].at, fields: fields, required: slices.ContainsFunc(fields, func(p parameter) bool { return p.required })}
	}
	if b == nil {
		return nil, ""
	}
	consumes := o.get("consumes")
	if consumes == nil {
		consumes = im.root.get("consumes")
	}
	for _, c := range consumes.elements() {
		b.types = append(b.types, c.text)
	}
	if len(b.types) == 0 && b.fields == nil {
		b.types = []string{"application/json"}
	}
	return b, ""
}

// choose takes the media type under which the body goes: application/json first, then
// what is JSON by another name, then a form, then any at all, as JSON. sent is the
// Content-Type where it is not the usual one.
func (b *content) choose() (sent string, form, ok bool) {
	plain := func(s string) string {
		s, _, _ = strings.Cut(strings.ToLower(s), ";")
		return strings.TrimSpace(s)
	}
	for _, test := range []struct {
		holds func(string) bool
		form  bool
	}{
		{func(s string) bool { return plain(s) == "application/json" || plain(s) == "text/json" }, false},
		{func(s string) bool {
			return strings.HasPrefix(plain(s), "application/") && strings.HasSuffix(plain(s), "+json")
		}, false},
		{isForm, true},
		{func(s string) bool { return plain(s) == "*/*" || plain(s) == "application/*" }, false},
	} {
		// Swagger 2.0 has form fields for a form, and a schema for all else.
		if b.media == nil && test.form != (b.fields != nil) {
			continue
		}
		if i := slices.IndexFunc(b.types, test.holds); i >= 0 {
			b.name = b.types[i]
			if !test.form && strings.HasSuffix(plain(b.name), "+json") {
				sent = plain(b.name)
			}
			return sent, test.form, true
		}
	}
	return "", false, false
}

// unlike says why the body is none that a manifest has.
func (b *content) unlike() string {
	is := clean(strings.Join(b.types, ", "), 100)
	switch {
	case b.media == nil && b.fields == nil && slices.ContainsFunc(b.types, isForm):
		return "the body is a form, whose fields Swagger 2.0 describes by parameters in formData and not by a schema"
	case b.fields != nil && is == "":
		return "the body is a form, and the document does not say of which kind: consumes wants application/x-www-form-urlencoded"
	case b.fields != nil:
		return "the body is a form that goes as " + is + ": of forms only application/x-www-form-urlencoded is mapped"
	}
	return "the body is " + is + ", and only bodies of JSON or of application/x-www-form-urlencoded are mapped"
}

// emptyForms reports whether all that the body may be is forms without fields.
func (im *importer) emptyForms(b *content) bool {
	for name, media := range b.media.pairs() {
		s, _, err := im.referred(media.get("schema"), "")
		if err != nil || isOpen(s) || isComposed(s) || !isForm(name) && name != "multipart/form-data" {
			return false
		}
		if properties := s.get("properties"); properties != nil && len(properties.keys) > 0 {
			return false
		}
	}
	return b.media != nil
}
