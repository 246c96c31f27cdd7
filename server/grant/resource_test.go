package grant_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/grant"
)

func TestParseResource(t *testing.T) {
	tests := []struct {
		name, in  string
		resource  bool
		pattern   bool
		errSaying string
	}{
		{name: "an id", in: "contact:42", resource: true, pattern: true},
		{name: "the whole type", in: "contact:*", resource: true, pattern: true},
		{name: "an id with colons", in: "repo:acme:site", resource: true, pattern: true},
		{name: "letters beyond ASCII in NFC", in: "file:ré", resource: true, pattern: true},
		{name: "a beginning of ids is a pattern alone", in: "contact:eu-*", pattern: true, errSaying: "may not hold *"},
		{name: "an id that ends in a colon and a star", in: "contact:a:*", pattern: true, errSaying: "may not hold *"},
		{name: "bare star", in: "*", errSaying: "want type:*"},
		{name: "star for the type", in: "*:42", errSaying: "the type is"},
		{name: "star in the middle", in: "contact:a*b", errSaying: "* only at the end"},
		{name: "two stars", in: "contact:**", errSaying: "* only at the end"},
		{name: "empty", in: "", errSaying: "want type:id"},
		{name: "no id", in: "contact:", errSaying: "want type:id"},
		{name: "no type", in: ":42", errSaying: "want type:id"},
		{name: "no colon", in: "contact", errSaying: "want type:id"},
		{name: "capital type", in: "Contact:42", errSaying: "the type is"},
		{name: "digit first in the type", in: "4contact:42", errSaying: "the type is"},
		{name: "space", in: "contact:4 2", errSaying: "no spaces"},
		{name: "comma", in: "contact:4,5", errSaying: "no spaces"},
		{name: "newline", in: "contact:4\n", errSaying: "no spaces"},
		{name: "NUL", in: "contact:4\x00", errSaying: "no spaces"},
		{name: "zero-width space", in: "contact:4\u200b", errSaying: "no spaces"},
		{name: "right-to-left override", in: "contact:\u202e24", errSaying: "no spaces"},
		{name: "not NFC", in: "file:re\u0301", errSaying: "normal form C"},
		{name: "not UTF-8", in: "file:\xff", errSaying: "normal form C"},
		{name: "longest", in: "file:" + strings.Repeat("x", 1019), resource: true, pattern: true},
		{name: "too long", in: "file:" + strings.Repeat("x", 1020), errSaying: "longer than 1024 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := grant.ParseResource(tt.in)
			if tt.resource {
				require.NoError(t, err)
				require.Equal(t, tt.in, r.String())
			} else {
				require.ErrorContains(t, err, tt.errSaying)
				require.Zero(t, r)
			}
			p, err := grant.ParsePattern(tt.in)
			if tt.pattern {
				require.NoError(t, err)
				require.Equal(t, tt.in, p.String())
			} else {
				require.ErrorContains(t, err, tt.errSaying)
				require.Zero(t, p)
			}
		})
	}
}

func TestPatternCovers(t *testing.T) {
	tests := []struct {
		name, pattern, resource string
		want                    bool
	}{
		{"the same id", "contact:42", "contact:42", true},
		{"another id", "contact:42", "contact:43", false},
		{"an id that begins alike", "contact:4", "contact:42", false},
		{"a beginning", "contact:eu-*", "contact:eu-7", true},
		{"the beginning itself", "contact:eu-*", "contact:eu-", true},
		{"another beginning", "contact:eu-*", "contact:us-7", false},
		{"capitals differ", "contact:eu-*", "contact:EU-7", false},
		{"the type covers an id", "contact:*", "contact:42", true},
		{"the type covers the whole type", "contact:*", "contact:*", true},
		{"a beginning does not cover the whole type", "contact:eu-*", "contact:*", false},
		{"an id does not cover the whole type", "contact:42", "contact:*", false},
		{"a type that begins alike", "contact:*", "contacts:42", false},
		{"another type", "contact:*", "account:42", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, pattern(t, tt.pattern).Covers(resource(t, tt.resource)))
		})
	}
	var noPattern grant.Pattern
	var noResource grant.Resource
	require.False(t, noPattern.Covers(noResource), "zero covers zero")
	require.False(t, noPattern.Covers(resource(t, "contact:42")), "zero covers an id")
	require.False(t, pattern(t, "contact:*").Covers(noResource), "zero is covered")
	require.False(t, noPattern.Contains(noPattern), "zero contains zero")
	require.False(t, pattern(t, "contact:*").Contains(noPattern), "zero is contained")
}

func TestPatternJSON(t *testing.T) {
	text, err := json.Marshal([]grant.Pattern{pattern(t, "contact:eu-*")})
	require.NoError(t, err)
	require.JSONEq(t, `["contact:eu-*"]`, string(text))

	var back []grant.Pattern
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, []grant.Pattern{pattern(t, "contact:eu-*")}, back)
	require.ErrorContains(t, json.Unmarshal([]byte(`["*"]`), &back), "bare *", "JSON is no way round the parser")
}

func TestSeverity(t *testing.T) {
	for _, name := range []string{"READ", "WRITE", "DESTRUCTIVE", "ADMIN"} {
		s, err := grant.ParseSeverity(name)
		require.NoError(t, err)
		require.True(t, s.Valid())
		require.Equal(t, name, s.String())
	}
	require.True(t, grant.Read < grant.Write && grant.Write < grant.Destructive && grant.Destructive < grant.Admin)
	for _, name := range []string{"", "UNSPECIFIED", "read", "READ ", "4"} {
		s, err := grant.ParseSeverity(name)
		require.Error(t, err, name)
		require.False(t, s.Valid())
	}
	for _, s := range []grant.Severity{-1, 0, 5} {
		require.False(t, s.Valid())
		require.Equal(t, "UNSPECIFIED", s.String())
	}
}
