package connector

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
)

const (
	// maxTarget bounds path and query of one call together, in bytes.
	maxTarget = 16 << 10
	// maxResources bounds the resources of one call.
	maxResources = 256

	// formType is the media type of a form (URL Standard, section 5).
	formType = "application/x-www-form-urlencoded"
)

// binder is how a tool's arguments become a request. It is made by Parse and never
// changed after.
type binder struct {
	method    string
	path      []segment
	also      string // what arguments in the path may hold beside the unreserved characters
	query     []queryParam
	form      []queryParam // nil: no form; there is no body beside one
	header    http.Header
	body      []bodyMember // by slot; nil: no body
	resources []resourceTemplate
	arguments *schema
	// rivals are tools of the same method to which some of these paths belong.
	rivals []*Tool
}

// call is one call's arguments while they are bound.
type call struct {
	*Tool
	object
	slots []member // by slot; raw is empty where the argument was not given
	order []int    // of the slots, as the caller wrote them
}

// Bind makes a call of a tool from the JSON text of its arguments; empty text is {}.
// Nothing is normalised: a value is sent as it came, or refused. The error is a
// *fault.Error: TOOL_UNKNOWN, or ARGUMENT_INVALID naming the field.
func (c *Connector) Bind(toolName string, argumentsJSON []byte) (*Bound, error) {
	t, ok := c.Tool(toolName)
	if !ok {
		return nil, fault.New(fault.ToolUnknown, "the connector "+c.Name+" has no such tool", nil)
	}
	call, err := t.read(argumentsJSON)
	if err != nil {
		return nil, err
	}
	if err := c.foreign(call); err != nil {
		return nil, err
	}
	resources, err := call.resourceList()
	if err != nil {
		return nil, err
	}
	path, err := call.pathText()
	if err != nil {
		return nil, err
	}
	query, err := call.parameters(call.query)
	if err != nil {
		return nil, err
	}
	if err := c.verify(t, path, query); err != nil {
		return nil, err
	}
	header, body, err := call.content()
	if err != nil {
		return nil, err
	}
	return &Bound{
		Connector: c, Tool: t,
		Severity: t.Severity, Resources: resources,
		Method: t.method, Origin: c.Origin, Path: path, Query: query,
		Header: header, Body: body,
	}, nil
}

// read parses the arguments once and holds them against the schema. Every later step
// works on this one reading.
func (t *Tool) read(argumentsJSON []byte) (*call, error) {
	text := string(argumentsJSON)
	if text == "" {
		text = "{}"
	}
	o, err := parseObject("arguments", text)
	if err != nil {
		return nil, err
	}
	c := &call{
		Tool: t, object: o,
		slots: make([]member, len(t.arguments.names)),
		order: make([]int, 0, len(o.names)),
	}
	for i, name := range o.names {
		slot, ok := t.arguments.slots[name]
		if !ok {
			return nil, fault.Invalid(fieldName([]string{name}), "is no argument of this tool")
		}
		c.slots[slot] = o.members[i]
		c.order = append(c.order, slot)
	}
	if err := t.arguments.compiled.Validate(o.values); err != nil {
		return nil, violation(err)
	}
	return c, nil
}

// field names the argument in a slot, for errors.
func (c *call) field(slot int) string { return fieldName([]string{c.arguments.names[slot]}) }

func (c *call) pathText() (string, error) {
	path := make([]byte, 0, 128)
	for _, s := range c.path {
		path = append(path, '/')
		path = append(path, s.prefix...)
		if s.arg != "" {
			value, ok := identifier(c.slots[s.slot].value)
			if !ok || !isPathValue(value, s.also) {
				return "", fault.Invalid(c.field(s.slot), fmt.Sprintf(
					"want 1 to %d of the characters A-Z a-z 0-9 . _ ~ - %s, neither '.' nor '..', or an integer in plain decimal", maxValue, s.also))
			}
			path = append(path, value...)
		}
		path = append(path, s.suffix...)
	}
	return string(path), nil
}

// identifier gives a string, or an integer in plain decimal, as text.
func identifier(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return string(v), isPlainInteger(string(v))
	}
	return "", false
}

// isPlainInteger takes a JSON number and refuses the spellings 1.0, 1e0 and -0.
func isPlainInteger(s string) bool {
	return s != "-0" && !strings.ContainsAny(s, ".eE")
}

// parameters encodes a query or a form. Arguments that were not given leave nothing
// behind; an array repeats its parameter, or is one with commas between its elements.
func (c *call) parameters(list []queryParam) (string, error) {
	var text []byte
	for _, p := range list {
		m := c.slots[p.slot]
		if m.raw == "" {
			continue
		}
		values, isList := m.value.([]any)
		if !isList {
			values = []any{m.value}
		}
		for i, value := range values {
			one, reason := parameterText(value, p.comma)
			if reason != "" {
				return "", fault.Invalid(c.field(p.slot), reason)
			}
			if p.comma && i > 0 {
				text = appendEscaped(append(text, ','), one)
				continue
			}
			if text != nil {
				text = append(text, '&')
			}
			text = appendEscaped(append(append(text, p.name...), '='), one)
		}
	}
	return string(text), nil
}

// parameterText gives a value as a parameter has it, or the reason why it has none.
// Between commas nothing stands that could be two elements, or none.
func parameterText(value any, comma bool) (text, reason string) {
	text, ok := identifier(value)
	if b, isBool := value.(bool); isBool {
		text, ok = strconv.FormatBool(b), true
	}
	switch {
	case !ok:
		return "", "want a string, an integer in plain decimal, true or false, or a list of them"
	case comma && (text == "" || strings.Contains(text, ",")):
		return "", "goes between commas: want no comma, and no empty text"
	}
	return text, ""
}

// appendEscaped escapes every byte that is not unreserved, so that no reader can
// split or decode it otherwise.
func appendEscaped(to []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range []byte(s) {
		if isUnreserved(c) {
			to = append(to, c)
			continue
		}
		to = append(to, '%', hex[c>>4], hex[c&15])
	}
	return to
}

// verify reads the target as an upstream would and compares: were a character let
// through that means something in a URL, it would show here.
func (c *Connector) verify(t *Tool, path, query string) error {
	if len(path)+len(query) > maxTarget {
		return fault.Invalid("arguments", fmt.Sprintf("path and query come to more than %d bytes", maxTarget))
	}
	target := c.Origin.String() + path
	if query != "" {
		target += "?" + query
	}
	u, err := url.Parse(target)
	if err != nil || u.String() != target || u.EscapedPath() != path || u.RawQuery != query ||
		"https://"+u.Host != c.Origin.String() || u.User != nil || !pathMatches(t.path, path) {
		return fault.New(fault.Internal, "internal error", fmt.Errorf("connector %s: %s built a path that reads back otherwise", c.Name, t.Name))
	}
	for _, rival := range t.rivals {
		if pathMatches(rival.path, path) {
			return fault.Invalid("arguments", "this is a call of the tool "+rival.Name)
		}
	}
	return nil
}

// content gives the headers and the body: the chosen arguments in the caller's order,
// byte for byte as they came, or the form.
func (c *call) content() (http.Header, []byte, error) {
	header := make(http.Header, len(c.header)+1)
	for name, values := range c.header {
		header[name] = []string{values[0]}
	}
	if c.form != nil {
		header["Content-Type"] = []string{formType}
		text, err := c.parameters(c.form)
		return header, []byte(text), err
	}
	if c.body == nil {
		return header, nil, nil
	}
	if header["Content-Type"] == nil {
		header["Content-Type"] = []string{"application/json"}
	}
	size := 2
	for _, slot := range c.order {
		size += len(c.body[slot]) + len(c.slots[slot].raw) + 1
	}
	body := append(make([]byte, 0, size), '{')
	for _, slot := range c.order {
		if c.body[slot] == "" {
			continue
		}
		if len(body) > 1 {
			body = append(body, ',')
		}
		body = append(append(body, c.body[slot]...), c.slots[slot].raw...)
	}
	return header, append(body, '}'), nil
}

// resourceList fills the templates. Resources that come twice stand once.
func (c *call) resourceList() ([]grant.Resource, error) {
	list := make([]grant.Resource, 0, len(c.resources))
	for _, t := range c.resources {
		if t.fixed != (grant.Resource{}) {
			list = appendOnce(list, t.fixed)
			continue
		}
		var err error
		if list, err = c.fill(list, t); err != nil {
			return nil, err
		}
	}
	return list, nil
}
