package connector

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/grant"
)

const (
	maxToolName     = 128
	maxFunctionName = 64

	defaultTimeout = 30 * time.Second
	defaultFirst   = 15 * time.Second
	defaultIdle    = 30 * time.Second
	maxTimeout     = 10 * time.Minute
	defaultBytes   = 10 << 20
	maxBytes       = 64 << 20
)

// draft is a tool while it is read: what its parts are and where they stand, until
// they can be judged together.
type draft struct {
	tool  *Tool
	line  int
	at    *yaml.Node // its name
	slots map[string]Slot
	model bool // of a connector of KindModel

	query, form, body, resources, path *yaml.Node
	schema                             *schema
	placed                             map[string]bool
}

// also gives the characters that the path takes in a slot beside the unreserved ones.
func (d *draft) also(slot int) string {
	for _, s := range d.tool.path {
		if s.arg != "" && s.slot == slot {
			return s.also
		}
	}
	return ""
}

func (r *reader) tools(n *yaml.Node, c *Connector) {
	list := r.list(n, "tools")
	if len(list) > maxTools {
		r.fail(n, "tools: more than %d", maxTools)
		return
	}
	var drafts []*draft
	for _, item := range list {
		drafts = append(drafts, r.tool(item, c))
	}
	r.collisions(drafts)
	r.overlaps(drafts)
	c.byName = make(map[string]*Tool, len(drafts))
	for _, d := range drafts {
		c.Tools = append(c.Tools, d.tool)
		c.byName[d.tool.Name] = d.tool
	}
	slices.SortFunc(c.Tools, func(a, b *Tool) int { return strings.Compare(a.Name, b.Name) })
}

func (r *reader) tool(n *yaml.Node, c *Connector) *draft {
	t := &Tool{Timeout: defaultTimeout, MaxResponseBytes: defaultBytes}
	d := &draft{tool: t, line: n.Line, at: n, slots: c.Slots, model: c.Kind == KindModel, placed: map[string]bool{}}
	var idempotent, method, arguments, first, idle *yaml.Node
	r.fields(n, "tool",
		// Letters, digits and `_.-`, at most 128. Models know it as CONNECTOR`__`TOOL with dots as
		// underscores, which must be unique and at most 64 long.
		field{"name", true, func(n *yaml.Node) { d.at, t.Name = n, r.toolName(n) }},
		// What it does, for people and models.
		field{"description", false, func(n *yaml.Node) { t.Description = r.text(n, "description", maxDescription) }},
		// `READ`, `WRITE`, `DESTRUCTIVE` or `ADMIN`; see Severities.
		field{"severity", true, func(n *yaml.Node) { t.Severity = r.severity(n) }},
		// Repeating the call does no further harm. Then a time-out is UPSTREAM_TIMEOUT, which invites a
		// repeat, instead of OUTCOME_UNKNOWN. Default: `true` for READ, but for a POST of `kind: model`,
		// which costs again; else `false`.
		field{"idempotent", false, func(n *yaml.Node) { idempotent = n }},
		// `GET`, `HEAD`, `POST`, `PUT`, `PATCH` or `DELETE`.
		field{"method", true, func(n *yaml.Node) { method, t.method = n, r.method(n) }},
		// Begins with `/`; `{argument}` stands for one, at most one a segment.
		field{"path", true, func(n *yaml.Node) { d.path = n }},
		// What arguments in the path may hold besides letters, digits and `-._~`: `"@"`, `":"` or `"@:"`,
		// for e-mail addresses and the like. Nothing else can be let in: no other character has one
		// spelling for every server. Where an upstream has verbs behind a colon, as Google's APIs do
		// (`/jobs/{id}:cancel`), `":"` lets a caller name them: leave it out there, or declare every
		// verb as a tool of its own. Default: none.
		field{"path_characters", false, func(n *yaml.Node) { t.also = r.pathCharacters(n) }},
		// Parameter: argument; or parameter: `{argument: NAME, list: comma}` for an array that is one
		// parameter, `ids=1,2,3`. Its elements hold no comma and are not empty.
		field{"query", false, func(n *yaml.Node) { d.query = n }},
		// The same for a body of `application/x-www-form-urlencoded`, in the place of `body`;
		// `"metadata[order]": order` is a parameter like any other. Not with `kind: model`.
		field{"form", false, func(n *yaml.Node) { d.form = n }},
		// Header: fixed text. Not one that carries the credential, frames the message or says who sends
		// it.
		field{"headers", false, func(n *yaml.Node) { t.header = r.headers(n, c) }},
		// A list of the arguments that make up the JSON body, or `all` for every one that goes nowhere
		// else.
		field{"body", false, func(n *yaml.Node) { d.body = n }},
		// JSON Schema; see Arguments. Default: an empty object.
		field{"arguments", false, func(n *yaml.Node) { arguments = n }},
		// What the call acts on; see Resources.
		field{"resources", true, func(n *yaml.Node) { d.resources = n }},
		// What of the answer may be passed on.
		field{"response", false, func(n *yaml.Node) { r.response(n, t) }},
		// For everything from the name's resolution to the last byte, at most `10m`. Default `30s`.
		field{"timeout", false, func(n *yaml.Node) { t.Timeout = r.timeout(n, "timeout", maxTimeout) }},
		// From the request's last byte to the answer's first, at most `timeout`. Default `15s`; with
		// `kind: model`, `timeout`.
		field{"first_byte", false, func(n *yaml.Node) { first = n }},
		// The longest pause within an answer, at most `timeout`. Default `30s`; with `kind: model`,
		// `timeout`.
		field{"idle", false, func(n *yaml.Node) { idle = n }},
	)
	r.times(d, first, idle)
	r.functionName(d, c.Name)
	r.effect(d, method, idempotent)
	if d.schema = r.schema(arguments, n.Line); d.schema != nil {
		t.Schema = d.schema.text
		r.placement(d)
	}
	return d
}

// functionName gives the tool the name by which models know it.
func (r *reader) functionName(d *draft, connector string) {
	t := d.tool
	t.FunctionName = connector + "__" + strings.ReplaceAll(t.Name, ".", "_")
	if t.Name != "" && len(t.FunctionName) > maxFunctionName {
		r.fail(d.at, "tool %s: its function name %s is longer than %d bytes", t.Name, t.FunctionName, maxFunctionName)
	}
}

// effect settles whether the call may be repeated, and that its method does not belie its severity.
func (r *reader) effect(d *draft, method, idempotent *yaml.Node) {
	t := d.tool
	// To ask a model changes nothing, but is paid for each time.
	t.Idempotent = t.Severity == grant.Read && (!d.model || t.method != http.MethodPost)
	if idempotent != nil {
		t.Idempotent = r.boolean(idempotent, "idempotent")
	}
	if t.Severity == grant.Read && (t.method == http.MethodPut || t.method == http.MethodPatch || t.method == http.MethodDelete) {
		r.fail(method, "tool %s: %s is no READ", t.Name, t.method)
	}
}

func (r *reader) toolName(n *yaml.Node) string {
	s := r.text(n, "name", maxToolName)
	for _, c := range []byte(s) {
		if !isUnreserved(c) || c == '~' {
			r.fail(n, "tool %s: want letters, digits and _.-", quote(s))
			return ""
		}
	}
	return s
}

func (r *reader) severity(n *yaml.Node) grant.Severity {
	severity, err := grant.ParseSeverity(r.text(n, "severity", maxName))
	if err != nil {
		r.fail(n, "severity: want READ, WRITE, DESTRUCTIVE or ADMIN")
	}
	return severity
}

func (r *reader) method(n *yaml.Node) string {
	switch s := r.text(n, "method", maxName); s {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return s
	}
	r.fail(n, "method: want GET, HEAD, POST, PUT, PATCH or DELETE")
	return ""
}

func (r *reader) response(n *yaml.Node, t *Tool) {
	r.fields(n, "response",
		// Headers of the answer that the sandbox may see. Default: none.
		field{"headers", false, func(n *yaml.Node) { t.ResponseHeaders = r.responseHeaders(n) }},
		// The largest answer, decoded: `65536`, `64KiB`, `1MiB`, at most `64MiB`. Default `10MiB`.
		field{"max_bytes", false, func(n *yaml.Node) { t.MaxResponseBytes = r.bytes(n) }},
		// JSON pointer to the array whose elements count as rows, for grants with `rows=`. Without it
		// such a grant is refused when the task is minted.
		field{"rows", false, func(n *yaml.Node) {
			t.RowsCounted = true
			if t.Rows = n.Value; n.ShortTag() != "!!str" || len(t.Rows) > maxPathTemplate || !isPointer(t.Rows) {
				r.fail(n, "rows: want a JSON pointer")
			}
		}},
	)
}

// isPointer reports whether s is a JSON pointer (RFC 6901); "" is the whole document.
func isPointer(s string) bool {
	rest := strings.NewReplacer("~0", "", "~1", "").Replace(s)
	return (s == "" || s[0] == '/') && !strings.Contains(rest, "~")
}

func (r *reader) timeout(n *yaml.Node, name string, most time.Duration) time.Duration {
	want := fmt.Sprintf("a duration like 10s, at most %s", most)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		r.wrong(n, name, want)
		return 0
	}
	d, err := time.ParseDuration(n.Value)
	if err != nil || d < time.Millisecond || d > most {
		r.fail(n, "%s: want %s", name, want)
	}
	return d
}

// times fills in what an upstream may take for parts of the call. A model thinks before
// it answers, and while it does: it may take all of the time unless the tool says less.
func (r *reader) times(d *draft, first, idle *yaml.Node) {
	t := d.tool
	t.FirstByte, t.Idle = min(defaultFirst, t.Timeout), min(defaultIdle, t.Timeout)
	if d.model {
		t.FirstByte, t.Idle = t.Timeout, t.Timeout
	}
	if first != nil {
		t.FirstByte = r.timeout(first, "first_byte", t.Timeout)
	}
	if idle != nil {
		t.Idle = r.timeout(idle, "idle", t.Timeout)
	}
}

// bytes reads a size: 65536, 64KiB or 1MiB.
func (r *reader) bytes(n *yaml.Node) int64 {
	digits, unit := n.Value, int64(1)
	if s, ok := strings.CutSuffix(digits, "KiB"); ok {
		digits, unit = s, 1<<10
	} else if s, ok := strings.CutSuffix(digits, "MiB"); ok {
		digits, unit = s, 1<<20
	}
	size, err := strconv.ParseInt(digits, 10, 32)
	if n.Kind != yaml.ScalarNode || err != nil || strconv.FormatInt(size, 10) != digits || size <= 0 || size*unit > maxBytes {
		r.fail(n, "max_bytes: want a size like 64KiB or 1MiB, at most 64MiB")
		return 0
	}
	return size * unit
}

// collisions refuses two tools of one name, or of one name for models; nor may a name
// mean one tool to programs and another to models.
func (r *reader) collisions(drafts []*draft) {
	names := map[string]*draft{}
	for _, d := range drafts {
		name := d.tool.FunctionName
		switch other := names[name]; {
		case d.tool.Name == "":
		case other == nil:
			names[name] = d
		case other.tool.Name == d.tool.Name:
			r.fail(d.at, "tool %s stands twice, first on line %d", d.tool.Name, other.at.Line)
		default:
			r.fail(d.at, "tools %s and %s share the function name %s", other.tool.Name, d.tool.Name, name)
		}
	}
	for _, d := range drafts {
		if other := names[d.tool.Name]; other != nil {
			r.fail(d.at, "tool %s has the function name of tool %s", d.tool.Name, other.tool.Name)
		}
	}
}

// overlaps judges the paths of tools of one method. One whose every path an earlier
// tool has is refused. Where a path could belong to two tools, each is told of the
// other: a call of the one must not have the effect of the other, whose severity may
// be higher (GET /users/{id} with the id "export").
func (r *reader) overlaps(drafts []*draft) {
	for i, d := range drafts {
		for _, earlier := range drafts[:i] {
			a, b := earlier.tool, d.tool
			if a.method != b.method || a.path == nil || b.path == nil || !every(a.path, b.path, segment.meets) {
				continue
			}
			if every(a.path, b.path, segment.covers) {
				r.fail(d.path, "tool %s: every %s of its path is one of %s on line %d; the more exact path must stand first",
					b.Name, b.method, a.Name, earlier.path.Line)
				continue
			}
			b.rivals = append(b.rivals, a)
			if !every(b.path, a.path, segment.covers) {
				a.rivals = append(a.rivals, b)
			}
		}
	}
}
