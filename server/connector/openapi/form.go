package openapi

import (
	"mime"
	"slices"
	"strings"
)

// inForm is the place of a form's fields, beside those that OpenAPI names for parameters.
const inForm = "form"

// isForm reports whether a media type is that of a form, in UTF-8 where it says what in.
func isForm(mediaType string) bool {
	media, parameters, err := mime.ParseMediaType(mediaType)
	if err != nil || media != "application/x-www-form-urlencoded" {
		return false
	}
	return len(parameters) == 0 || len(parameters) == 1 && strings.EqualFold(parameters["charset"], "utf-8")
}

// form makes arguments of the fields of a body that is a form. reason says why the
// operation cannot be mapped; then nothing of the body is left in the tool.
func (im *importer) form(t *tool, c *converter, b *content) (reason string, err error) {
	fields := b.fields
	if b.media != nil {
		if fields, reason = im.formFields(t, c, b); reason != "" {
			return reason, nil
		}
	}
	var form []argument
	first := "" // of what cannot be written
	params, taken := map[string]bool{}, map[string]bool{}
	together := &node{kind: object}
	for _, f := range fields {
		made, reason, err := im.field(t, c, f)
		if err != nil {
			return "", err
		}
		if reason == "" {
			form, reason = paired(form, f, made, params, taken)
		}
		switch {
		case reason == "" && !f.required && c.detail != shallow:
			if err := belong(together, form[len(form)-len(made):]); err != nil {
				return "", err
			}
		case reason == "":
		case f.required:
			return prefixed(f, reason), nil
		default:
			t.tell(NotMapped, f.at, f.label(), reason+"; the tool does without")
			if first == "" {
				first = ": " + prefixed(f, reason)
			}
		}
	}
	if len(form) == 0 {
		return "the form has no field that can be written" + first, nil
	}
	t.form = form
	if len(together.keys) > 0 {
		t.rest = (&node{kind: object}).set("dependentRequired", together)
	}
	return "", nil
}

// formFields lists the fields of a form of OpenAPI 3, each with what its Encoding Object
// says (OpenAPI 3.1.2, 4.8.15).
func (im *importer) formFields(t *tool, c *converter, b *content) (fields []parameter, reason string) {
	flat, reason := im.flat(t, b, "form")
	switch {
	case reason != "":
		return nil, reason
	case len(flat.choices) > 0:
		return nil, "the form is one of several (anyOf, oneOf), and a manifest's form is one"
	}
	skip := c.readOnly((&node{kind: object}).set("properties", flat.properties))
	encoding := b.media.get(b.name).get("encoding")
	for name, p := range flat.properties.pairs() {
		if skip[name] {
			continue
		}
		f := parameter{
			node: &node{kind: object}, at: flat.at[name], name: name, in: inForm, required: slices.Contains(flat.required, name),
			schema: p, schemaAt: flat.at[name],
		}
		for _, key := range []string{"style", "explode", "allowReserved", "contentType"} {
			if v := encoding.get(name).get(key); v != nil {
				f.node.set(key, v)
			}
		}
		if s, _, err := im.referred(p, ""); err == nil && s.str("description") != "" {
			f.node.set("description", s.get("description"))
		}
		fields = append(fields, f)
	}
	return fields, ""
}

// field makes the arguments of one field: as of a query parameter, where the document
// says surely enough how the field is written.
func (im *importer) field(t *tool, c *converter, f parameter) (made []argument, reason string, err error) {
	style, explode := f.style(im.version)
	if f.schema, f.schemaAt, err = im.structured(f.schema, f.schemaAt); err != nil {
		return nil, "cannot be read: " + err.Error(), nil //nolint:nilerr // it is told as what could not be mapped
	}
	types := im.typesOf(f.schema)
	_, asQuery := im.says(f, "style", "explode", "allowReserved")
	media, other := im.says(f, "contentType")
	switch {
	case !f.isReadable():
		reason = "has an encoding that cannot be read"
	case !slices.Contains([]string{"form", "spaceDelimited", "pipeDelimited", "deepObject", "ssv", "tsv", "pipes"}, style):
		reason = "has the style " + quoted(style) + ", which cannot be written"
	case other && !asQuery && media != "text/plain":
		reason = "is a value with a media type of its own"
	case style == "deepObject" && !slices.Contains(types, "object"):
		reason = "has the style deepObject, which OpenAPI defines for objects alone"
	case style == "deepObject" && f.get("explode") != nil && !explode:
		reason = "has the style deepObject without explode, which OpenAPI does not define"
	case onlyIn(types, "object") && !asQuery:
		reason = "is an object, and the document does not say how a form has it: its encoding wants style and explode"
	case onlyIn(types, "array") && f.schema.get("items") == nil:
		reason = "is a list, and the document does not say of what"
	}
	if reason != "" {
		return nil, reason, nil
	}
	if made, reason, err = im.queryArguments(t, c, f); reason != "" || err != nil {
		return nil, reason, err
	}
	for _, a := range made {
		// Many servers read query and form as one, so a key here would be one there.
		if scheme := im.keyPlace(a.param); scheme != "" {
			return nil, "has the name under which the credential of the scheme " + scheme + " goes, which a caller must not bring", nil
		}
	}
	return made, "", nil
}

// isReadable reports whether what is said of how a field is written is of the types that
// it must be of: else a default would be taken for it.
func (p parameter) isReadable() bool {
	for key, want := range map[string]kind{"style": text, "collectionFormat": text, "contentType": text, "explode": boolean, "allowReserved": boolean} {
		if v := p.get(key); v != nil && v.kind != want {
			return false
		}
	}
	return true
}

// says gives what an Encoding Object has under one of the keys, and whether it has any.
func (im *importer) says(f parameter, keys ...string) (value string, ok bool) {
	for _, key := range keys {
		if v := f.get(key); v != nil && im.version != v20 {
			return v.text, true
		}
	}
	return "", false
}

// belong notes which arguments of one object come with every other of it.
func belong(together *node, made []argument) error {
	var wanted []string
	for _, a := range made {
		if a.wanted {
			wanted = append(wanted, a.name)
		}
	}
	if len(wanted)*len(made) > maxSchema/4 { // each is a name and what stands around it
		return errTooLarge
	}
	for _, a := range made {
		others := slices.DeleteFunc(slices.Clone(wanted), func(name string) bool { return name == a.name })
		if len(others) > 0 {
			together.set(a.name, textList(others))
		}
	}
	return nil
}
