package openapi

import (
	"regexp"
	"slices"
	"strings"
)

// resource proposes what a call acts on, from the path alone: a thing by the arguments
// that lead to it, /repos/{owner}/{repo}/issues/{n} as issue:{owner}/{repo}/{n}; a
// collection within a thing as that thing; a collection of its own as the whole type.
// renamed maps the path's parameters to arguments.
func resource(path string, renamed map[string]string) string {
	kind, deepest := "", ""
	var ids []string
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		open, end := strings.IndexByte(part, '{'), strings.IndexByte(part, '}')
		switch {
		case part == "":
		case open < 0 || end < open:
			if t := typeName(part); t != "" && (kind == "" || !slices.Contains(askWords(), t)) {
				kind = t
			}
		default:
			ids = append(ids, "{"+renamed[part[open+1:end]]+"}")
			if kind == "" {
				kind = typeName(part[open+1 : end])
			}
			deepest = kind
		}
	}
	switch {
	case len(ids) > 0:
		return orAny(deepest) + ":" + strings.Join(ids, "/")
	default:
		return orAny(kind) + ":*"
	}
}

func orAny(kind string) string {
	if kind == "" {
		return "resource"
	}
	return kind
}

// versionPart is a segment that says which version of an API it is, and no thing.
var versionPart = regexp.MustCompile(`^(v[0-9.]+[a-z0-9]*|[0-9.-]+|api|rest)$`)

// typeName makes a resource's type of a segment: contacts to contact, user_groups to
// user_group; empty where the segment names no thing.
func typeName(part string) string {
	part = strings.ToLower(part)
	if part, _, _ = strings.Cut(part, ":"); versionPart.MatchString(part) {
		return ""
	}
	part, _ = strings.CutSuffix(part, ".json")
	out := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-' {
			return c
		}
		return '-'
	}, part)
	return singular(strings.TrimRight(strings.TrimLeft(out, "0123456789-_"), "-_"))
}

// singular takes the plural's ending off, as far as English is regular.
func singular(s string) string {
	for _, ending := range []struct{ from, to string }{
		{"ss", "ss"}, {"us", "us"}, {"is", "is"}, {"ies", "y"}, {"sses", "ss"}, {"shes", "sh"}, {"ches", "ch"}, {"xes", "x"}, {"s", ""},
	} {
		if stem, ok := strings.CutSuffix(s, ending.from); ok && len(stem) > 1 {
			return stem + ending.to
		}
	}
	return s
}
