package connector

import (
	"encoding/hex"
	"strings"

	"github.com/onedoor/onedoor/server/fault"
)

// parameters are those of a query or a form, as a request has them.
type parameters struct {
	*Tool
	what     string // "query" or "form", for errors
	declared []queryParam
	found    map[int][]string // literals by slot
}

// take takes the arguments out of a query or a form. Each parameter is one that the
// tool declares, written NAME=VALUE, and only that of a list comes more than once.
func (p parameters) take(text string, raw []string) error {
	if text == "" {
		return nil
	}
	p.found = map[int][]string{}
	for pair := range strings.SplitSeq(text, "&") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return fault.Invalid(p.what, "want NAME=VALUE between every two &")
		}
		if err := p.one(name, value); err != nil {
			return err
		}
	}
	for _, d := range p.declared {
		switch list := p.found[d.slot]; {
		case list == nil:
		case p.arguments.forms[d.slot].list && (d.comma || len(list) > 1 || !p.arguments.forms[d.slot].one):
			raw[d.slot] = "[" + strings.Join(list, ",") + "]"
		default:
			raw[d.slot] = list[0]
		}
	}
	return nil
}

// one takes one parameter.
func (p parameters) one(escapedName, escapedValue string) error {
	d, field, err := p.parameter(escapedName)
	if err != nil {
		return err
	}
	text, ok := unescaped(escapedValue)
	if !ok {
		return fault.Invalid(field, "percent-encode all but letters, digits and -._~")
	}
	f := p.arguments.forms[d.slot]
	if p.found[d.slot] != nil && (d.comma || !f.list) {
		return fault.Invalid(field, "is given more than once")
	}
	texts := []string{text}
	if d.comma {
		texts = strings.Split(text, ",")
	}
	for _, one := range texts {
		literal, reason := f.literal(one)
		if reason != "" {
			return fault.Invalid(field, reason)
		}
		p.found[d.slot] = append(p.found[d.slot], literal)
	}
	return nil
}

// parameter finds what is declared of a parameter. field names it in errors.
func (p parameters) parameter(escaped string) (d queryParam, field string, err error) {
	name, ok := unescaped(escaped)
	if !ok {
		return queryParam{}, "", fault.Invalid(p.what, "a parameter's name is malformed")
	}
	field = fieldName([]string{name})
	canonical := string(appendEscaped(nil, name))
	for _, d := range p.declared {
		if d.name == canonical {
			return d, field, nil
		}
	}
	return queryParam{}, "", fault.Invalid(field, "is no "+p.what+" parameter of this call")
}

// unescaped decodes percent-encoding, and '+', which is a space in queries as in forms
// (URL Standard, section 5.1): most clients write it so, and those that mean a plus write
// %2B. Bind sends %20, which nobody reads otherwise. It takes no character that
// separates ('=', ';').
func unescaped(s string) (string, bool) {
	text := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isUnreserved(c) || strings.IndexByte("!$'()*,:@/?[]", c) >= 0:
			text = append(text, c)
		case c == '+':
			text = append(text, ' ')
		case c == '%' && i+2 < len(s):
			b, err := hex.DecodeString(s[i+1 : i+3])
			if err != nil {
				return "", false
			}
			text = append(text, b[0])
			i += 2
		default:
			return "", false
		}
	}
	return string(text), true
}
