package openapi

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/onedoor/onedoor/server/fault"
)

func itoa(i int) string { return strconv.Itoa(i) }

// choose keeps the operations that the options name. A pattern that names none is
// refused: it is misspelt, and what it was to keep out would be in.
func (im *importer) choose(all []*operation) ([]*operation, error) {
	for field, patterns := range map[string][]string{"include": im.Include, "exclude": im.Exclude} {
		for _, p := range patterns {
			if len(all) > 0 && !slices.ContainsFunc(all, func(o *operation) bool { return im.named(p, o) }) {
				return nil, fault.Invalid(field, fmt.Sprintf("%s names no operation; tags are %s", quoted(p), topTags(all)))
			}
		}
	}
	var chosen []*operation
	for _, o := range all {
		names := func(p string) bool { return im.named(p, o) }
		if (len(im.Include) == 0 || slices.ContainsFunc(im.Include, names)) && !slices.ContainsFunc(im.Exclude, names) {
			chosen = append(chosen, o)
		}
	}
	if len(chosen) > maxTools {
		return nil, fault.Invalid("document", fmt.Sprintf("has %d operations, and a manifest holds at most %d tools: choose with include and exclude, for instance %s",
			len(chosen), maxTools, topTags(chosen)))
	}
	if len(chosen) == 0 && len(all) > 0 {
		return nil, fault.Invalid("exclude", "leaves no operation")
	}
	return chosen, nil
}

// named reports whether a pattern names an operation.
func (im *importer) named(pattern string, o *operation) bool {
	if pattern[0] == '/' {
		return matches(pattern, o.path)
	}
	if tag, ok := strings.CutPrefix(pattern, "tag:"); ok {
		return slices.ContainsFunc(o.tags, func(t string) bool { return matches(tag, t) })
	}
	return o.id != "" && matches(pattern, o.id) || matches(pattern, im.toolName(o))
}

// matches reports whether s is what pattern says, in which * stands for any text.
func matches(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(s, parts[0])
	if !ok || len(parts) == 1 {
		return ok && rest == ""
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, parts[last])
}

// topTags lists the tags with the most operations, as patterns.
func topTags(all []*operation) string {
	count := map[string]int{}
	var names []string
	for _, o := range all {
		for _, t := range o.tags {
			if count[t]++; count[t] == 1 {
				names = append(names, t)
			}
		}
	}
	if len(names) == 0 {
		return "none: name paths, like " + all[0].path + "*"
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(count[b], count[a]) })
	var out []string
	for i, name := range names {
		if i == 12 {
			out = append(out, "…")
			break
		}
		out = append(out, fmt.Sprintf("tag:%s (%d)", clean(name, 40), count[name]))
	}
	return strings.Join(out, ", ") + ", or paths, like " + all[0].path + "*"
}
