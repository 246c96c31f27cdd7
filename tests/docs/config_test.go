package docs_test

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/config"
)

// fields gives the paths of a configuration's fields: true for those that hold a value,
// false for those that hold other fields.
func fields(of reflect.Type, path string, found map[string]bool) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	isValue := of.Kind() != reflect.Struct || reflect.PointerTo(of).Implements(reflect.TypeFor[yaml.Unmarshaler]())
	if path != "" {
		found[path] = isValue
	}
	if isValue {
		return
	}
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("yaml"), ",")
		fields(of.Field(i).Type, strings.Trim(path+"."+name, "."), found)
	}
}

func TestEveryConfigFieldIsExplained(t *testing.T) {
	known := map[string]bool{}
	fields(reflect.TypeFor[config.Config](), "", known)
	require.Greater(t, len(known), 40)

	_, reference, ok := strings.Cut(read(t, "docs/operations.md"), "### Every field")
	require.True(t, ok)
	reference, _, _ = strings.Cut(reference, "\n## ")
	name := regexp.MustCompile("`([^`]+)`")
	explained := map[string]bool{}
	for _, cells := range rows(reference) {
		for _, m := range name.FindAllStringSubmatch(cells[0], -1) {
			require.Contains(t, known, m[1], "explained, but no field")
			require.False(t, explained[m[1]], "%s is explained twice", m[1])
			explained[m[1]] = true
		}
	}
	for _, path := range slices.Sorted(maps.Keys(known)) {
		if known[path] {
			require.True(t, explained[path], "%s is not explained", path)
		}
	}
}

func TestTheProductionExampleIsOne(t *testing.T) {
	examples := blocks(read(t, "docs/operations.md"), "yaml")
	require.Len(t, examples, 2)
	c, err := config.Parse([]byte(examples[0]))
	require.NoError(t, err)
	require.Equal(t, config.Production, c.Environment)
	_, err = config.Parse([]byte(examples[0] + examples[1])) // which stands beside the others
	require.NoError(t, err)
}
