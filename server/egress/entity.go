package egress

import "unicode/utf8"

const maxDigits = 8 // of a numeric reference, leading zeros included

// entity reads an HTML character reference behind its "&" (HTML, 13.2.5.72): by number or
// by name. The semicolon may be missing, as in browsers; a name then must be an old one.
func (c *cursor) entity() (symbol, bool) {
	if !c.take("#") {
		return c.named()
	}
	base := 10
	if c.take("xX") {
		base = 16
	}
	value, ok := c.number(base, 1, maxDigits)
	if ok {
		c.take(";")
	}
	return symbol{value: value, code: true}, ok && utf8.ValidRune(value)
}

func (c *cursor) named() (symbol, bool) {
	var old entity
	end, within := 0, entities[:]
	for n := 0; ; n++ {
		value, width := c.peek()
		if value == ';' && len(within[0].name) == n {
			c.at += width
			return symbol{value: rune(within[0].value)}, true
		}
		if within = goingOn(within, n, value); len(within) == 0 {
			break
		}
		c.at += width
		if e := within[0]; e.old && len(e.name) == n+1 {
			old, end = e, c.at
		}
	}
	if !old.old {
		return symbol{}, false
	}
	c.at = end
	return symbol{value: rune(old.value)}, true
}

// goingOn gives those of the entities whose n-th letter is c.
func goingOn(all []entity, n int, c rune) []entity {
	has := func(e *entity) bool { return n < len(e.name) && rune(e.name[n]) == c }
	for len(all) > 0 && !has(&all[0]) {
		all = all[1:]
	}
	for i := range all {
		if !has(&all[i]) {
			return all[:i]
		}
	}
	return all
}

type entity struct {
	name  string
	value byte
	old   bool // it needs no semicolon
}

// entities are the names of what is ASCII and neither a letter nor a digit, in order.
var entities = [...]entity{
	{"AMP", '&', true}, {"DiacriticalGrave", '`', false}, {"GT", '>', true}, {"Hat", '^', false}, {"LT", '<', true},
	{"NewLine", '\n', false}, {"QUOT", '"', true}, {"Tab", '\t', false}, {"UnderBar", '_', false},
	{"VerticalLine", '|', false}, {"amp", '&', true}, {"apos", '\'', false}, {"ast", '*', false}, {"bsol", '\\', false},
	{"colon", ':', false}, {"comma", ',', false}, {"commat", '@', false}, {"dollar", '$', false},
	{"equals", '=', false}, {"excl", '!', false}, {"grave", '`', false}, {"gt", '>', true}, {"lbrace", '{', false},
	{"lbrack", '[', false}, {"lcub", '{', false}, {"lowbar", '_', false}, {"lpar", '(', false}, {"lsqb", '[', false},
	{"lt", '<', true}, {"midast", '*', false}, {"nbsp", ' ', false}, {"num", '#', false}, {"percnt", '%', false},
	{"period", '.', false}, {"plus", '+', false}, {"quest", '?', false}, {"quot", '"', true}, {"rbrace", '}', false},
	{"rbrack", ']', false}, {"rcub", '}', false}, {"rpar", ')', false}, {"rsqb", ']', false}, {"semi", ';', false},
	{"sol", '/', false}, {"verbar", '|', false}, {"vert", '|', false},
}
