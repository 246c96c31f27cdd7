package connector

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/onedoor/onedoor/server/fault"
)

// A provider's key is shared by the users of a workspace, and whatever was stored under
// it (a response, a conversation, a file, a cache) the provider gives to whoever names
// its id. So no call of a model connector may name one. New fields that take ids appear
// all the time; therefore every member that looks like an id is refused, but for those
// known to tie parts of this one request together.

// references is what one dialect calls such things.
type references struct {
	// names refer though they do not look like ids. Where what they hold is an object,
	// its members are judged instead.
	names []string
	// links are the names of ids within one request; linked are places of such.
	links, linked []string
	// opaque are places of JSON that is the caller's own: schemas and values of tools.
	opaque []string
}

// referencesOf gives them in folded spelling; "*" in a place stands for one step.
func referencesOf(d Dialect) references {
	switch d {
	case OpenAI:
		return references{
			names: []string{"conversation", "container"},
			links: []string{"callid", "toolcallid"}, linked: []string{"messages.*.toolcalls.*.id"},
			opaque: []string{
				"metadata", "tools.*.parameters", "tools.*.function.parameters", "functions.*.parameters",
				"responseformat.jsonschema.schema", "text.format.schema",
			},
		}
	case Anthropic:
		return references{
			names: []string{"container"},
			links: []string{"tooluseid"}, linked: []string{"messages.*.content.*.id"},
			opaque: []string{"metadata", "tools.*.inputschema", "tools.*.inputexamples", "messages.*.content.*.input", "outputconfig.format.schema"},
		}
	case Gemini:
		return references{
			// The last row is what Vertex AI's tools name: what others have stored, and whose
			// secret or account the provider is to take along to an endpoint.
			names: []string{
				"cachedcontent", "fileuri", "filesearchstorenames", "ragcorpus", "ragcorpora",
				"datastore", "datastores", "engine", "endpoint", "apikeysecret", "apikeysecretversion", "serviceaccount",
			},
			linked: []string{"contents.*.parts.*.functioncall.id", "contents.*.parts.*.functionresponse.id"},
			opaque: []string{
				"contents.*.parts.*.functioncall.args", "contents.*.parts.*.functionresponse.response",
				"tools.*.functiondeclarations.*.parameters", "tools.*.functiondeclarations.*.parametersjsonschema",
				"tools.*.functiondeclarations.*.response", "tools.*.functiondeclarations.*.responsejsonschema",
				"generationconfig.responseschema", "generationconfig.responsejsonschema",
			},
		}
	}
	return references{}
}

// foreign refuses a call of a model connector whose body refers to what is stored at
// the provider.
func (c *Connector) foreign(args *call) error {
	if c.Model == nil {
		return nil
	}
	s := search{references: referencesOf(c.Model.Dialect)}
	for slot, m := range args.slots {
		if m.raw == "" || args.body == nil || args.body[slot] == "" {
			continue
		}
		if s.member(args.arguments.names[slot], m.value); s.found {
			return fault.Invalid(fieldName(s.at), "refers to what is stored at the provider, whose key others share: send the content itself")
		}
	}
	return nil
}

// search looks for references at any depth. It goes by name and stops at the first, so
// that the same arguments always get the same answer, and soon.
type search struct {
	references
	at    []string // the names as written
	place []string // folded
	found bool     // at stands on a reference
}

func (s *search) member(name string, value any) {
	s.at, s.place = append(s.at, name), append(s.place, folded(name))
	if value != nil && !s.standsOn(s.opaque) {
		if s.found = s.refers(name, value); !s.found {
			s.within(value)
		}
	}
	s.back()
}

// back leaves a member, unless it is the one that was looked for.
func (s *search) back() {
	if !s.found {
		s.at, s.place = s.at[:len(s.at)-1], s.place[:len(s.place)-1]
	}
}

func (s *search) within(value any) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if s.member(name, v[name]); s.found {
				return
			}
		}
	case []any:
		for i, value := range v {
			s.at, s.place = append(s.at, strconv.Itoa(i)), append(s.place, "*")
			s.within(value)
			if s.back(); s.found {
				return
			}
		}
	}
}

// refers reports whether the member on which the search stands names what is stored.
func (s *search) refers(name string, value any) bool {
	last := s.place[len(s.place)-1]
	if _, isObject := value.(map[string]any); isObject || slices.Contains(s.links, last) || s.standsOn(s.linked) {
		return false
	}
	return isID(name) || slices.Contains(s.names, last)
}

// standsOn reports whether the search stands on one of these places.
func (s *search) standsOn(places []string) bool {
	return slices.ContainsFunc(places, func(p string) bool {
		for i, step := range s.place {
			name, rest, more := strings.Cut(p, ".")
			if name != step || more != (i < len(s.place)-1) {
				return false
			}
			p = rest
		}
		return true
	})
}

// isID reports whether a member's name says that it holds ids: id, file_id, fileIds.
func isID(name string) bool {
	name = plain.Replace(name)
	lower := strings.ReplaceAll(strings.ToLower(name), "-", "_")
	for _, end := range []string{"id", "ids"} {
		if lower == end || strings.HasSuffix(lower, "_"+end) || strings.HasSuffix(name, "Id"+end[2:]) || strings.HasSuffix(name, "ID"+end[2:]) {
			return true
		}
	}
	return false
}

// folded is a name as any reader might take it: Gemini takes cached_content and
// cachedContent for the same. A member that is called "*" stands in no place.
func folded(name string) string {
	if name == "*" {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' {
			return -1
		}
		return unicode.ToLower(r)
	}, plain.Replace(name))
}

// plain undoes the two letters beyond ASCII that are some ASCII letter in another case
// (Unicode, CaseFolding): a reader that takes names in any case takes them for these.
var plain = strings.NewReplacer("\u017f", "s", "\u212a", "k")
