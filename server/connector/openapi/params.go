package openapi

import (
	"slices"
	"strings"
)

// place puts each parameter of the operation where the manifest can have it. reason
// says why the operation cannot be mapped.
func (im *importer) place(t *tool, c *converter, all []parameter, taken map[string]bool) (reason string, err error) {
	renamed, params := map[string]string{}, map[string]bool{}
	for _, p := range all {
		switch {
		case p.in == "path":
			reason, err = im.inPath(t, c, p, taken, renamed)
		case p.in == "query":
			reason, err = im.inQuery(t, c, p, params, taken)
		case p.in == "header":
			reason = im.inHeader(t, p)
		case p.in == "cookie" && p.required:
			reason = p.label() + ": cookies cannot be sent"
		case p.in == "cookie":
			t.tell(NotMapped, p.at, p.label(), "cookies cannot be sent; the tool does without")
		case p.in == "formData", p.in == "body": // see body
		case p.required:
			reason = p.label() + ": there is no such place"
		default:
			t.tell(NotMapped, p.at, p.label(), "there is no such place; the tool does without")
		}
		if reason != "" || err != nil {
			return reason, err
		}
	}
	return im.pathTemplate(t, renamed), nil
}

func (im *importer) inPath(t *tool, c *converter, p parameter, taken map[string]bool, renamed map[string]string) (string, error) {
	if !strings.Contains(t.operation.path, "{"+p.name+"}") {
		t.tell(NotMapped, p.at, p.label(), "the path has no place for it")
		return "", nil
	}
	style, _ := p.style(im.version)
	types := im.typesOf(p.schema)
	switch {
	case p.get("content") != nil:
		return p.label() + ": a value with a media type of its own", nil
	case style != "simple" && style != "form": // Swagger 2.0 names none of its styles simple
		return p.label() + ": the style " + style + " cannot be written", nil
	case onlyIn(types, "array"):
		s, at, err := im.referred(p.schema, p.schemaAt)
		if err != nil {
			return p.label() + ": " + err.Error(), nil //nolint:nilerr // it is told as what could not be mapped
		}
		t.tell(Changed, p.at, p.label(), "a list in the path: a call names one")
		p.schema, p.schemaAt = s.get("items"), pointer(at, "items")
	}
	s, reason, err := c.scalar(t, p, true)
	if reason != "" || err != nil {
		return prefixed(p, reason), err
	}
	name := argumentName(p, taken)
	renamed[p.name] = name
	t.inPath = append(t.inPath, argument{name: name, schema: s, required: true})
	return "", nil
}

func prefixed(p parameter, reason string) string {
	if reason == "" {
		return ""
	}
	return p.label() + " " + reason
}

// pathTemplate writes the path with the arguments' names.
func (im *importer) pathTemplate(t *tool, renamed map[string]string) (reason string) {
	path := t.operation.path
	var out strings.Builder
	for rest := path; rest != ""; {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			out.WriteString(rest)
			break
		}
		name, after, ok := strings.Cut(rest[open+1:], "}")
		if !ok || renamed[name] == "" {
			return "the path has {" + clean(name, 60) + "}, which no parameter describes"
		}
		out.WriteString(rest[:open] + "{" + renamed[name] + "}")
		rest = after
	}
	for part := range strings.SplitSeq(out.String(), "/") {
		if strings.Count(part, "{") > 1 {
			return "two arguments in one segment of the path cannot be told apart"
		}
	}
	t.path += out.String()
	t.resource = resource(path, renamed)
	return ""
}

func (im *importer) inQuery(t *tool, c *converter, p parameter, params, taken map[string]bool) (string, error) {
	if im.attached("query", p.name) {
		t.tell(Changed, p.at, p.label(), "is no argument: the credential goes there")
		return "", nil
	}
	if scheme := im.keyPlace(p.name); scheme != "" {
		t.tell(NotMapped, p.at, p.label(), "the credential of the scheme "+scheme+" goes there, which a caller must not bring")
		return "", nil
	}
	arguments, reason, err := im.queryArguments(t, c, p)
	if err != nil {
		return "", err
	}
	if reason == "" {
		t.query, reason = paired(t.query, p, arguments, params, taken)
	}
	switch {
	case reason == "":
	case p.required:
		return prefixed(p, reason), nil
	default:
		t.tell(NotMapped, p.at, p.label(), reason+"; the tool does without")
	}
	return "", nil
}

// paired adds the arguments of one parameter to those of a query or form, all of them or
// none. params are the names that stand there, in lower case, taken those of arguments.
func paired(to []argument, p parameter, made []argument, params, taken map[string]bool) (all []argument, reason string) {
	own := map[string]bool{}
	for _, a := range made {
		name := strings.ToLower(a.param)
		switch {
		case !isQueryName(a.param):
			return to, "has a name that cannot be written"
		case params[name] || own[name]:
			return to, "has the name of another, or one that differs only in case"
		}
		own[name] = true
	}
	for _, a := range made {
		params[strings.ToLower(a.param)] = true
		a.name = argumentName(parameter{node: p.node, name: a.param, in: p.in}, taken)
		to = append(to, a)
	}
	return to, ""
}

// isQueryName takes what a manifest takes: visible ASCII without what separates
// parameters.
func isQueryName(s string) bool {
	return s != "" && len(s) <= 128 &&
		!strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`&=;#%+"<>\`, c) })
}

// queryArguments makes the arguments of one parameter: one, or one for each property of
// an object that is written as several parameters.
func (im *importer) queryArguments(t *tool, c *converter, p parameter) (made []argument, reason string, err error) {
	if p.get("content") != nil {
		return nil, "is a value with a media type of its own", nil
	}
	style, explode := p.style(im.version)
	types := im.typesOf(p.schema)
	switch {
	case style == "deepObject", onlyIn(types, "object") && style == "form" && explode:
		return im.properties(t, c, p, style)
	case slices.Contains(types, "array") && onlyIn(types, "array"):
		return im.listArgument(t, c, p, style, explode)
	case slices.Contains(types, "array"), slices.Contains(types, "object"):
		if p, reason = im.plainBranches(t, p); reason != "" {
			return nil, reason, nil
		}
	}
	s, reason, err := c.scalar(t, p, false)
	if reason != "" || err != nil {
		return nil, reason, err
	}
	return []argument{{param: p.name, schema: s, required: p.required}}, "", nil
}

// listArgument makes an argument that repeats its parameter, or writes its values into one
// with commas; or, where the upstream separates them by something else, takes one alone.
func (im *importer) listArgument(t *tool, c *converter, p parameter, style string, explode bool) ([]argument, string, error) {
	s, at, err := im.referred(p.schema, p.schemaAt)
	if err != nil {
		return nil, err.Error(), nil //nolint:nilerr // it is told as what could not be mapped
	}
	items := parameter{node: p.node, at: p.at, name: p.name, in: p.in, schema: s.get("items"), schemaAt: pointer(at, "items")}
	if items.schema == nil { // a choice of lists, or one that does not say of what
		items.schema = (&node{kind: object}).set("type", textNode("string"))
	}
	item, reason, err := c.scalar(t, items, false)
	if reason != "" || err != nil {
		return nil, "is a list of what " + reason, err
	}
	item.drop("description")
	made := (&node{kind: object}).set("type", textNode("array")).set("items", item)
	for _, bound := range []string{"minItems", "maxItems", "uniqueItems"} {
		if b := s.get(bound); b != nil {
			made.set(bound, b)
		}
	}
	comma := style == "form" && !explode
	if style != "form" {
		if least := s.get("minItems"); least != nil && least.text != "0" && least.text != "1" {
			return nil, "is a list in one parameter, which takes several at least", nil
		}
		made.set("maxItems", numberNode("1"))
		t.tell(Changed, p.at, p.label(), "is a list within one parameter whose values no comma separates, which a manifest cannot write: a call names one")
	}
	return []argument{{param: p.name, schema: described(c, p, made), required: p.required, comma: comma}}, "", nil
}

// properties makes an argument of each property of an object.
func (im *importer) properties(t *tool, c *converter, p parameter, style string) (made []argument, reason string, err error) {
	s, at, err := im.referred(p.schema, p.schemaAt)
	if err != nil {
		return nil, err.Error(), nil
	}
	for i, branch := range slices.Concat(s.get("anyOf").elements(), s.get("oneOf").elements()) {
		if b, branchAt, err := im.referred(branch, pointer(at, "anyOf", itoa(i))); err == nil && b.get("properties") != nil && s.get("properties") == nil {
			t.tell(Changed, p.at, p.label(), "of several forms the object is taken")
			s, at = b, branchAt
		}
	}
	if p.in == inForm && isComposed(s) {
		return nil, "is an object that is put together of several", nil
	}
	skip := map[string]bool{}
	if p.in == inForm {
		skip = c.readOnly(s)
	}
	for name, property := range s.get("properties").pairs() {
		if skip[name] {
			continue
		}
		q := parameter{
			node: &node{kind: object}, at: pointer(at, "properties", name), name: name, in: p.in,
			schema: property, schemaAt: pointer(at, "properties", name),
		}
		if style == "deepObject" {
			q.name = p.name + "[" + name + "]"
		}
		wanted := slices.ContainsFunc(s.get("required").elements(), func(n *node) bool { return n.text == name })
		needed := p.required && wanted
		value, reason, err := c.scalar(t, q, false)
		switch {
		case err != nil:
			return nil, "", err
		case reason != "" && (needed || wanted && p.in == inForm):
			return nil, "its property " + name + " " + reason, nil
		case reason != "":
			t.tell(NotMapped, q.at, q.label(), reason+"; the tool does without")
			continue
		}
		made = append(made, argument{param: q.name, schema: value, required: needed, wanted: wanted})
	}
	if len(made) == 0 {
		return nil, "is an object without properties that could be written", nil
	}
	if p.in == inForm && isOpen(s) {
		t.tell(Changed, p.at, p.label(), "members that the document does not name cannot be sent")
	}
	return made, "", nil
}

// plainBranches keeps those forms of a choice that are one text.
func (im *importer) plainBranches(t *tool, p parameter) (parameter, string) {
	s, at, err := im.referred(p.schema, p.schemaAt)
	if err != nil {
		return p, err.Error()
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		kept := listOf()
		for _, branch := range s.get(key).elements() {
			if onlyIn(im.typesOf(branch), "string", "integer", "boolean", "number") {
				kept.items = append(kept.items, branch)
			}
		}
		if len(kept.items) > 0 {
			t.tell(Changed, p.at, p.label(), "of several forms those of one value are taken")
			p.schema, p.schemaAt = (&node{kind: object}).set("anyOf", kept), pointer(at, key)
			return p, ""
		}
	}
	return p, "is no text, number, true or false, nor a list of them"
}

// inHeader fixes a header whose only value the document gives: a caller sets none.
func (im *importer) inHeader(t *tool, p parameter) (reason string) {
	switch strings.ToLower(p.name) {
	case "accept", "content-type", "authorization":
		return "" // OpenAPI 3.1, 4.8.12: such a definition is ignored
	}
	if im.attached("header", p.name) {
		return ""
	}
	if value := im.onlyValue(p.schema); value != "" {
		t.headers.set(p.name, textNode(value))
		t.tell(Changed, p.at, p.label(), "is fixed to "+quoted(value)+": a caller sets no header")
		return ""
	}
	why := "a caller sets no header, and the document gives no single value to fix"
	if p.required {
		return p.label() + ": " + why
	}
	t.tell(NotMapped, p.at, p.label(), why+"; the tool does without")
	return ""
}

// onlyValue is the one value that a schema allows; empty where there are several, or
// none that is text.
func (im *importer) onlyValue(s *node) string {
	s, _, err := im.referred(s, "")
	if err != nil {
		return ""
	}
	value := s.get("const")
	if enum := s.get("enum").elements(); len(enum) == 1 {
		value = enum[0]
	}
	if value == nil || value.kind != text && value.kind != number && value.kind != boolean {
		return ""
	}
	return value.text
}
