package connector

import (
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/onedoor/onedoor/server/fault"
)

// Request is a call in the upstream's own form: what its client or SDK sends, but for
// the headers, none of which goes any further.
type Request struct {
	Method string
	// Path is as it stood on the wire, escaped, and begins with "/".
	Path string
	// Query is as it stood on the wire, without "?".
	Query       string
	ContentType string
	Body        []byte
}

// Match finds the tool of which r is a call, and takes its arguments out of path, query
// and body, as JSON text for Bind. There is no second way to make a request: what is
// sent is what Bind makes of these arguments, and what has no exact counterpart in them
// is refused. The error is a *fault.Error: TOOL_UNKNOWN, or ARGUMENT_INVALID naming the
// part. The tool's name is given beside an error too, where it was found.
func (c *Connector) Match(r Request) (tool string, arguments []byte, err error) {
	t, err := c.route(r.Method, r.Path)
	if err != nil {
		return "", nil, err
	}
	raw := make([]string, len(t.arguments.names))
	if err := t.takePath(t.plainPath(r.Path), raw); err != nil {
		return t.Name, nil, err
	}
	if err := (parameters{Tool: t, what: "query", declared: t.query}).take(r.Query, raw); err != nil {
		return t.Name, nil, err
	}
	body, err := t.takeBody(r, raw)
	if err != nil {
		return t.Name, nil, err
	}
	return t.Name, t.join(raw, body), nil
}

// route finds the one tool whose request has this method and path. Where the paths of
// two tools overlap, it is the one of which Bind would make this path; see overlaps.
func (c *Connector) route(method, path string) (*Tool, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, fault.Invalid("path", "must begin with /")
	}
	var found *Tool
	contested := false
	for _, t := range c.Tools {
		plain := t.plainPath(path)
		switch {
		case t.method != method || !pathMatches(t.path, plain):
		case slices.ContainsFunc(t.rivals, func(rival *Tool) bool { return pathMatches(rival.path, plain) }):
			contested = true
		default:
			found = t
		}
	}
	if found != nil {
		return found, nil
	}
	if contested {
		return nil, fault.Invalid("path", "could belong to two tools")
	}
	if reason := oddPath(escapes.Replace(path)); reason != "" {
		return nil, fault.Invalid("path", reason)
	}
	reason := "the connector " + c.Name + " has no tool with this method and path"
	if method == http.MethodHead || method == http.MethodOptions {
		reason += ": " + method + " is asked by itself, and comes with no other method"
	}
	return nil, fault.New(fault.ToolUnknown, reason, nil)
}

// escapes are those that a tool may take in its path; elsewhere such a path is unknown.
var escapes = strings.NewReplacer("%40", "@", "%3A", ":", "%3a", ":")

// plainPath is the path as Bind would make it: "@" and ":", which many clients escape,
// stand for themselves where the tool takes them. Nothing else is unescaped.
func (t *Tool) plainPath(path string) string {
	if strings.Contains(t.also, "@") {
		path = strings.ReplaceAll(path, "%40", "@")
	}
	if strings.Contains(t.also, ":") {
		path = strings.ReplaceAll(strings.ReplaceAll(path, "%3A", ":"), "%3a", ":")
	}
	return path
}

// oddPath says what keeps a path from being any tool's; "" where it is only unknown.
func oddPath(path string) string {
	for part := range strings.SplitSeq(path[1:], "/") {
		switch {
		case part == "" && path != "/":
			return "holds // or ends with /"
		case part == "." || part == "..":
			return "'.' and '..' lead elsewhere"
		case strings.Contains(part, "%"):
			return "percent-encoding is not taken here"
		case !isPathLiteral(part):
			return "holds a character that no tool's path has"
		}
	}
	return ""
}

// takePath takes the arguments out of a path that the tool's template matches.
func (t *Tool) takePath(path string, raw []string) error {
	rest := path[1:]
	for _, s := range t.path {
		text, after, _ := strings.Cut(rest, "/")
		rest = after
		if s.arg == "" {
			continue
		}
		value, reason := t.arguments.forms[s.slot].literal(text[len(s.prefix) : len(text)-len(s.suffix)])
		if reason != "" {
			return fault.Invalid(fieldName([]string{s.arg}), reason)
		}
		raw[s.slot] = value
	}
	return nil
}

// takeBody reads the body, whose every member must be an argument that goes there. Those
// of a form go into raw.
func (t *Tool) takeBody(r Request, raw []string) (object, error) {
	if t.form != nil {
		return object{}, t.takeForm(r, raw)
	}
	if t.body == nil {
		if len(r.Body) > 0 {
			return object{}, fault.Invalid("body", "this call takes none")
		}
		return object{}, nil
	}
	if want := t.contentType(); !isMedia(r.ContentType, want) {
		return object{}, fault.Invalid("content-type", "must be "+want+", with a JSON object as the body")
	}
	o, err := parseObject("body", string(r.Body))
	if err != nil {
		return object{}, err
	}
	for _, name := range o.names {
		if slot, ok := t.arguments.slots[name]; !ok || t.body[slot] == "" {
			return object{}, fault.Invalid(fieldName([]string{name}), "is no member of this call's body")
		}
	}
	return o, nil
}

// takeForm reads a form into raw. An empty one needs no type.
func (t *Tool) takeForm(r Request, raw []string) error {
	if len(r.Body) > maxArguments {
		return fault.Invalid("body", fmt.Sprintf("longer than %d bytes", maxArguments))
	}
	if !isMedia(r.ContentType, formType) && (r.ContentType != "" || len(r.Body) > 0) {
		return fault.Invalid("content-type", "must be "+formType)
	}
	return parameters{Tool: t, what: "form", declared: t.form}.take(string(r.Body), raw)
}

// contentType is the media type under which a body of JSON goes upstream.
func (t *Tool) contentType() string {
	if fixed := t.header.Get("Content-Type"); fixed != "" {
		return fixed
	}
	return "application/json"
}

// isMedia takes the one media type, in UTF-8 where it says what in.
func isMedia(contentType, want string) bool {
	media, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || media != want {
		return false
	}
	for name, value := range parameters {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}

// join makes one JSON object of the arguments in raw, by slot, and of the body's
// members, byte for byte. No name comes twice: an argument goes to one place.
func (t *Tool) join(raw []string, body object) []byte {
	text := []byte{'{'}
	add := func(name, value string) {
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = append(append(text, newBodyMember(name)...), value...)
	}
	for slot, value := range raw {
		if value != "" {
			add(t.arguments.names[slot], value)
		}
	}
	for i, name := range body.names {
		add(name, body.members[i].raw)
	}
	return append(text, '}')
}
