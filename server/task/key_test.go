package task_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/task"
)

// scanner is the expression published for secret scanners, docs/task-key.gitleaks.toml.
var scanner = regexp.MustCompile(`\bod1t_[0-9A-Za-z]{49}\b`)

// zeroKey is the key of 32 zero bytes: keys are stored as a hash of their text, so the
// form must not change by accident.
const zeroKey = "od1t_00000000000000000000000000000000000000000003Qa47R"

func newKey(t *testing.T, fill byte) task.Key {
	t.Helper()
	k, err := task.NewKey(bytes.NewReader(bytes.Repeat([]byte{fill}, 32)))
	require.NoError(t, err)
	return k
}

func TestNewKeyForm(t *testing.T) {
	require.Equal(t, zeroKey, newKey(t, 0).Reveal())
	seen := map[string]bool{}
	for fill := range 256 {
		text := newKey(t, byte(fill)).Reveal()
		require.Len(t, text, 54)
		require.Equal(t, text, scanner.FindString("key="+text+"\n"))
		require.False(t, seen[text])
		seen[text] = true

		back, err := task.ParseKey(text)
		require.NoError(t, err)
		require.Equal(t, text, back.Reveal())
	}
}

func TestTheScannerRuleIsTheOneTested(t *testing.T) {
	rule, err := os.ReadFile("../../docs/task-key.gitleaks.toml")
	require.NoError(t, err)
	require.Contains(t, string(rule), "regex = '''"+scanner.String()+"'''")
}

func TestNewKeyNeedsAllItsRandomness(t *testing.T) {
	for name, random := range map[string]*bytes.Reader{
		"none": bytes.NewReader(nil), "a byte short": bytes.NewReader(make([]byte, 31)),
	} {
		k, err := task.NewKey(random)
		require.Error(t, err, name)
		require.Empty(t, k.Reveal(), name)
	}
	_, err := task.NewKey(iotest.ErrReader(iotest.ErrTimeout))
	require.ErrorIs(t, err, iotest.ErrTimeout)
	// A reader that gives one byte at a time still fills the key.
	k, err := task.NewKey(iotest.OneByteReader(bytes.NewReader(make([]byte, 32))))
	require.NoError(t, err)
	require.Equal(t, zeroKey, k.Reveal())
}

func TestParseKeyRefuses(t *testing.T) {
	good := newKey(t, 0xa7).Reveal()
	tests := []struct{ name, text string }{
		{"empty", ""},
		{"the prefix alone", task.KeyPrefix},
		{"another prefix", "od2t_" + good[5:]},
		{"another prefix, with the checksum that fits it", fitting("od2t_" + good[5:48])},
		{"capital prefix", "OD1T_" + good[5:]},
		{"no prefix", good[5:]},
		{"a character short", good[:len(good)-1]},
		{"a character more", good + "0"},
		{"space before", " " + good},
		{"space after", good + " "},
		{"newline after", good + "\n"},
		{"Bearer before", "Bearer " + good},
		{"small letters", strings.ToLower(good)},
		{"another key's checksum", good[:48] + zeroKey[48:]},
		{"not base62, with the checksum that fits it", fitting("od1t_" + strings.Repeat("-", 43))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.NotEqual(t, good, tt.text)
			k, err := task.ParseKey(tt.text)
			require.ErrorIs(t, err, task.ErrKeyFormat)
			require.Empty(t, k.Reveal())
			if len(tt.text) > 10 {
				require.NotContains(t, err.Error(), tt.text, "the error repeats what may be a key")
			}
		})
	}
}

// fitting adds the checksum, written once more here: base62 of the CRC-32.
func fitting(body string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	rest, out := crc32.ChecksumIEEE([]byte(body)), ""
	for range 6 {
		out = string(digits[rest%62]) + out
		rest /= 62
	}
	return body + out
}

// CRC-32 finds every error within one byte, whatever the byte becomes.
func TestParseKeyRefusesEveryChangeOfOneCharacter(t *testing.T) {
	good := newKey(t, 0x5c).Reveal()
	for i := range good {
		for c := range 256 {
			changed := []byte(good)
			if changed[i] == byte(c) {
				continue
			}
			changed[i] = byte(c)
			_, err := task.ParseKey(string(changed))
			require.ErrorIs(t, err, task.ErrKeyFormat, "byte %d as %#x", i, c)
		}
	}
}

func TestKeyCannotBePrinted(t *testing.T) {
	k := newKey(t, 0x42)
	text := k.Reveal()
	type holder struct {
		Open   task.Key
		hidden task.Key
		any    any
		list   []task.Key
		by     map[string]task.Key
	}
	h := holder{k, k, k, []task.Key{k}, map[string]task.Key{"k": k}}

	var printed strings.Builder
	for _, verb := range "vsqxXdbocUteEfFgG" {
		require.Equal(t, "[task key]", fmt.Sprintf("%"+string(verb), k))
		require.Equal(t, "[task key]", fmt.Sprintf("%+#"+string(verb), &k))
		for _, flag := range []string{"", "+", "#", " ", "0", "-9.2"} {
			for _, arg := range []any{k, &k, h, &h, h.list, h.by, fmt.Errorf("wrapped %v", k), struct{ hidden any }{k}} {
				fmt.Fprintf(&printed, "%"+flag+string(verb)+"\n", arg)
			}
		}
	}
	for _, handler := range []slog.Handler{
		slog.NewTextHandler(&printed, nil), slog.NewJSONHandler(&printed, nil),
	} {
		slog.New(handler).With("with", k).Info("message", "key", k, "pointer", &k, "holder", h, "group", slog.GroupValue(slog.Any("key", k)))
	}
	for _, arg := range []any{k, &k, h, h.list, map[string]any{"k": k}} {
		out, err := json.Marshal(arg)
		require.NoError(t, err)
		printed.Write(out)
	}
	out, err := json.Marshal(map[task.State]any{"a": k, "b": &k})
	require.NoError(t, err)
	require.JSONEq(t, `{"a": "[task key]", "b": "[task key]"}`, string(out))
	for name, form := range map[string]string{
		"text": text, "random part": text[5:48], "hex": fmt.Sprintf("%x", text), "HEX": fmt.Sprintf("%X", text),
		"decimal bytes": strings.Trim(fmt.Sprint([]byte(text)), "[]"),
	} {
		require.NotContains(t, printed.String(), form, name)
	}
	require.Equal(t, "[task key]", k.String())
	require.Equal(t, "[task key]", k.GoString())
}

func TestZeroKey(t *testing.T) {
	var k task.Key
	require.Empty(t, k.Reveal())
	require.Equal(t, "[task key]", fmt.Sprint(k))
}

func FuzzParseKey(f *testing.F) {
	f.Add(zeroKey)
	f.Add(zeroKey[:53])
	f.Add("od1t_" + strings.Repeat("z", 49))
	f.Add("od1t_" + strings.Repeat("\xff", 49))
	f.Fuzz(func(t *testing.T, text string) {
		k, err := task.ParseKey(text)
		if err != nil {
			require.Equal(t, task.ErrKeyFormat, err)
			require.Empty(t, k.Reveal())
			return
		}
		require.Equal(t, text, k.Reveal())
		require.Equal(t, text, scanner.FindString(text))
		again, err := task.ParseKey(k.Reveal())
		require.NoError(t, err)
		require.Equal(t, text, again.Reveal())
	})
}
