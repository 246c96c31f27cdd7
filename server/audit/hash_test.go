package audit_test

import (
	"encoding/hex"
	"reflect"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/grant"
)

func hexOf(b []byte) string { return hex.EncodeToString(b) }

// unhashed are the fields that the hash does not cover: itself, and what signs it.
var unhashed = map[string]bool{"Hash": true, "Signature": true}

// FuzzEventSum: changing any one field changes the sum, and no text can pass for the
// end of the field before it. A field that is added to Event and not to Sum is found.
func FuzzEventSum(f *testing.F) {
	f.Add("", "", int64(0), uint8(0))
	f.Add("contacts.get", "contact:42", int64(42), uint8(3))
	f.Add("\x00\x00\x00\x01", "a\x00\x00\x00\x00", int64(-1), uint8(200))
	f.Fuzz(func(t *testing.T, text, other string, number int64, at uint8) {
		e := filled(text, number)
		sum := e.Sum()
		v := reflect.ValueOf(&e).Elem()
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			changed := filled(text, number)
			change(t, name, reflect.ValueOf(&changed).Elem().Field(i))
			require.Equal(t, unhashed[name], string(changed.Sum()) == string(sum), name)
		}
		// The same letters, cut elsewhere between two neighbours.
		all := text + other
		cut := 0
		if len(all) > 0 {
			cut = int(at) % len(all)
		}
		if cut == len(text) {
			return
		}
		neighbours := map[string][2]audit.Event{
			"fields": {{InvocationID: text, TaskID: other}, {InvocationID: all[:cut], TaskID: all[cut:]}},
			"list":   {{Resources: []string{text, other}}, {Resources: []string{all[:cut], all[cut:]}}},
			"joined": {{Resources: []string{text, other}}, {Resources: []string{all}}},
			"list against hash": {
				{Resources: []string{text}, PrevHash: []byte(other)}, {Resources: []string{all[:cut]}, PrevHash: []byte(all[cut:])},
			},
		}
		for name, pair := range neighbours {
			require.NotEqual(t, pair[0].Sum(), pair[1].Sum(), name)
		}
	})
}

// filled has something in every field.
func filled(text string, number int64) audit.Event {
	var e audit.Event
	v := reflect.ValueOf(&e).Elem()
	for i := range v.NumField() {
		switch field := v.Field(i); field.Interface().(type) {
		case time.Time:
			field.Set(reflect.ValueOf(time.UnixMicro(number % 1_000_000_000)))
		case []string:
			field.Set(reflect.ValueOf([]string{text, "contact:1"}))
		case []byte:
			field.SetBytes([]byte(text))
		case time.Duration:
			field.SetInt(number / 1000 * 1000)
		default:
			if field.CanInt() {
				field.SetInt(number)
			} else {
				field.SetString(text)
			}
		}
	}
	return e
}

func change(t *testing.T, name string, field reflect.Value) {
	t.Helper()
	switch old := field.Interface().(type) {
	case time.Time:
		field.Set(reflect.ValueOf(old.Add(time.Microsecond)))
	case []string:
		field.Set(reflect.ValueOf(old[:1]))
	case []byte:
		field.SetBytes(append([]byte{1}, old...))
	case time.Duration:
		// Two durations must not meet in one number of microseconds.
		field.SetInt(int64(old) ^ 1<<40)
	default:
		switch {
		case field.CanInt():
			field.SetInt(field.Int() ^ 1)
		case field.Kind() == reflect.String:
			field.SetString(field.String() + "x")
		default:
			t.Fatalf("field %s is of a kind that this test does not know", name)
		}
	}
}

// Were the length of the list left out, its one empty text could pass for the half of
// a number, and the other half of the last number for the length of the hash.
func TestEventSumCountsTheList(t *testing.T) {
	one := audit.Event{Resources: []string{""}, Count: 4}
	none := audit.Event{PrevHash: make([]byte, 4)}
	require.NotEqual(t, one.Sum(), none.Sum())
}

// The encoding is for ever: rows that are stored must still verify.
func TestEventSumIsFixed(t *testing.T) {
	e := audit.Event{
		ChainID: "chain", Seq: 7, Workspace: "default", BrokerID: "broker", Time: time.Date(2026, 11, 23, 12, 0, 0, 1000, time.UTC),
		Kind: audit.OutcomeRow, InvocationID: "i", Tool: "contacts.get", Resources: []string{"contact:42"}, Severity: grant.Read,
		Outcome: audit.OK, UpstreamStatus: 200, Duration: time.Millisecond, Count: 1, PrevHash: []byte{1, 2, 3},
	}
	require.Equal(t, "9b91d641f5e9bf7e13f2f60e0858097a76136c87b453b84566fc618c70cf784e", hexOf(e.Sum()))
}

func TestEventBecomesWhatTheStoreGivesBack(t *testing.T) {
	cases := map[string]struct{ in, out string }{
		"plain":                 {"contacts.get", "contacts.get"},
		"umlauts":               {"é中", "é中"},
		"NUL":                   {"a\x00b", "a\uFFFDb"},
		"invalid UTF-8":         {"a\xff\xfeb", "a\uFFFDb"},
		"cut rune":              {"a\xe4\xb8", "a\uFFFD"},
		"NUL inside a bad rune": {"\xe4\x00\xb8", "\uFFFD\uFFFD\uFFFD"},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			var in audit.Event
			v := reflect.ValueOf(&in).Elem()
			for i := range v.NumField() {
				if f := v.Field(i); f.Kind() == reflect.String {
					f.SetString(k.in)
				}
			}
			in.Workspace, in.Resources = workspace, []string{k.in}
			require.NoError(t, b.Refuse(t.Context(), in))
			require.Equal(t, []string{k.in}, in.Resources, "the caller's list is the caller's")
			got := b.trail(t)[1] // its hash holds, too
			require.Equal(t, k.out, got.Tool)
			require.Equal(t, k.out, got.InvocationID)
			require.Equal(t, []string{k.out}, got.Resources)
			require.EqualValues(t, 1, got.Count)
		})
	}
}

func TestNormalIsFixedPoint(t *testing.T) {
	at := time.Date(2026, 11, 23, 13, 0, 0, 1999, time.FixedZone("x", 3600))
	e := audit.Normal(audit.Event{Time: at, Duration: 1999, Agent: "\xff", Count: 0})
	require.Equal(t, time.Date(2026, 11, 23, 12, 0, 0, 1000, time.UTC), e.Time)
	require.Equal(t, time.Microsecond, e.Duration)
	require.EqualValues(t, 1, e.Count)
	require.True(t, utf8.ValidString(e.Agent))
	require.Equal(t, e, audit.Normal(e))
}
