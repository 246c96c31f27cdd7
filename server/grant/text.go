package grant

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// errForm shows the whole form to whoever has left out a part of it.
var errForm = errors.New("want CONNECTOR: TOOL[,TOOL] SEVERITY RESOURCE[,RESOURCE]" +
	" [calls=N] [bytes=N] [rows=N] [tokens=N] [usd=N] [until=TIME]," +
	" for instance crm: contacts.get READ contact:42 calls=10")

// Parse reads a grant in its text form:
//
//	CONNECTOR: TOOL[,TOOL] SEVERITY RES[,RES] [calls=N] [bytes=N] [rows=N] [tokens=N] [usd=N] [until=T]
//
// `*` stands only at the end of a tool or resource and never alone. bytes takes KiB,
// MiB, GiB and TiB, usd up to six decimal places, until an RFC 3339 time. The text
// knows neither id nor revision: the broker gives both. The error names the part that
// is wrong and shows the right form.
func Parse(text string) (Grant, error) {
	g, err := parse(text)
	if err != nil {
		return Grant{}, fmt.Errorf("grant: %w", err)
	}
	return g, nil
}

func parse(text string) (Grant, error) {
	connector, rest, ok := strings.Cut(text, ":")
	parts := strings.Fields(rest)
	if !ok || len(parts) < 3 {
		return Grant{}, errForm
	}
	severity, err := ParseSeverity(parts[1])
	if err != nil {
		return Grant{}, err
	}
	g := Grant{
		Connector:   strings.TrimSpace(connector),
		Tools:       strings.Split(parts[0], ","),
		MaxSeverity: severity,
	}
	for _, res := range strings.Split(parts[2], ",") {
		p, err := ParsePattern(res)
		if err != nil {
			return Grant{}, err
		}
		g.Resources = append(g.Resources, p)
	}
	if err := g.parseOptions(parts[3:]); err != nil {
		return Grant{}, err
	}
	return g, g.Validate()
}

func (g *Grant) parseOptions(options []string) error {
	seen := map[string]bool{}
	for _, option := range options {
		key, value, ok := strings.Cut(option, "=")
		if !ok {
			return fmt.Errorf("%q: %w", short(option), errForm)
		}
		if seen[key] {
			return fmt.Errorf("%q is given twice", short(key))
		}
		seen[key] = true
		if err := g.setOption(key, value); err != nil {
			return fmt.Errorf("%q: %w", short(option), err)
		}
	}
	return nil
}

func (g *Grant) setOption(key, value string) (err error) {
	switch key {
	case "calls":
		g.Limits.Calls, err = parseCount(value)
	case "bytes":
		g.Limits.Bytes, err = parseBytes(value)
	case "rows":
		g.Limits.Rows, err = parseCount(value)
	case "tokens":
		g.Limits.Tokens, err = parseCount(value)
	case "usd":
		g.Limits.MicroUSD, err = parseUSD(value)
	case "until":
		g.ExpiresAt, err = parseEnd(value)
	default:
		err = errors.New("want calls, bytes, rows, tokens, usd or until")
	}
	return err
}

// rfc3339 is the whole form: time.Parse takes more, for instance a comma for the point.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// parseEnd refuses the zero time, which would stand for "no end of its own".
func parseEnd(value string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, value)
	if err != nil || t.IsZero() || !rfc3339.MatchString(value) {
		return time.Time{}, errors.New("want an RFC 3339 time, for instance until=2030-01-31T18:00:00Z")
	}
	return t.UTC(), nil
}

// String gives the text form, which Parse reads back to the same grant; id and
// revision are not part of it.
func (g Grant) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %s %s", g.Connector,
		strings.Join(g.Tools, ","), g.MaxSeverity, strings.Join(texts(g.Resources), ","))
	for _, o := range []struct {
		key   string
		value int64
		text  func(int64) string
	}{
		{"calls", g.Limits.Calls, formatCount},
		{"bytes", g.Limits.Bytes, formatBytes},
		{"rows", g.Limits.Rows, formatCount},
		{"tokens", g.Limits.Tokens, formatCount},
		{"usd", g.Limits.MicroUSD, formatUSD},
	} {
		if o.value != 0 {
			fmt.Fprintf(&b, " %s=%s", o.key, o.text(o.value))
		}
	}
	if !g.ExpiresAt.IsZero() {
		b.WriteString(" until=" + g.ExpiresAt.UTC().Format(time.RFC3339Nano))
	}
	return b.String()
}
