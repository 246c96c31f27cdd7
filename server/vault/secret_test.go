package vault_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/vault"
)

// holder has a Secret where methods are not called for: fmt does not look for a
// Formatter behind an unexported field.
type holder struct {
	name   string
	secret vault.Secret
}

type exporter struct {
	Name   string
	Secret vault.Secret
	Ptr    *vault.Secret
}

func requireNoCanary(t *testing.T, out string) {
	t.Helper()
	var decimal []string
	for _, b := range []byte(canary) {
		decimal = append(decimal, strconv.Itoa(int(b)))
	}
	lower := strings.ToLower(out)
	require.NotContains(t, lower, canary)
	require.NotContains(t, lower, fmt.Sprintf("%x", canary))
	require.NotContains(t, lower, strings.Join(decimal, " "))
	require.NotContains(t, lower, strings.Join(decimal, ","))
	require.NotContains(t, out, "Y2FuYXJ5") // base64 of its beginning
}

func TestSecretIsNeverFormatted(t *testing.T) {
	s := vault.NewSecret([]byte(canary))
	values := map[string]any{
		"value":             s,
		"pointer":           &s,
		"unexported field":  holder{name: "n", secret: s},
		"pointer to holder": &holder{name: "n", secret: s},
		"exported field":    exporter{Name: "n", Secret: s, Ptr: &s},
		"slice":             []vault.Secret{s},
		"map":               map[string]vault.Secret{"k": s},
		"slice of holders":  []holder{{secret: s}},
		"in an error":       fmt.Errorf("failed with %v", s),
	}
	verbs := []string{"%v", "%+v", "%#v", "%d", "%x", "%X", "%s", "%q", "%c", "%U", "%o", "%b", "%t", "% x", "%10v", "%p", "%T"}
	for name, value := range values {
		for _, verb := range verbs {
			t.Run(name+" "+verb, func(t *testing.T) {
				requireNoCanary(t, fmt.Sprintf(verb, value))
			})
		}
	}
	require.Equal(t, "[secret]", fmt.Sprintf("%d", s), "the placeholder shows under every verb")
	require.Equal(t, "[secret]", s.String())
	require.Equal(t, "[secret]", s.GoString())
}

func TestSecretIsNeverEncoded(t *testing.T) {
	s := vault.NewSecret([]byte(canary))
	value := exporter{Name: "n", Secret: s, Ptr: &s}
	encoders := map[string]func() ([]byte, error){
		"json":     func() ([]byte, error) { return json.Marshal(value) },
		"json map": func() ([]byte, error) { return json.Marshal(map[string]any{"s": s}) },
		"xml":      func() ([]byte, error) { return xml.Marshal(value) },
		"yaml":     func() ([]byte, error) { return yaml.Marshal(value) },
		"text":     s.MarshalText,
		"slog json": func() ([]byte, error) {
			var out bytes.Buffer
			log := slog.New(slog.NewJSONHandler(&out, nil))
			log.Info("m", "s", s, "e", value, "h", holder{secret: s}, slog.Group("g", "s", &s))
			return out.Bytes(), nil
		},
		"slog text": func() ([]byte, error) {
			var out bytes.Buffer
			log := slog.New(slog.NewTextHandler(&out, nil))
			log.Info("m", "s", s, "e", value, "h", holder{secret: s}, slog.Group("g", "s", &s))
			return out.Bytes(), nil
		},
	}
	for name, encode := range encoders {
		t.Run(name, func(t *testing.T) {
			out, err := encode()
			require.NoError(t, err)
			requireNoCanary(t, string(out))
			require.Contains(t, string(out), "[secret]")
		})
	}
}

func TestSecretHolds(t *testing.T) {
	t.Run("a copy", func(t *testing.T) {
		b := []byte(canary)
		s := vault.NewSecret(b)
		clear(b)
		require.Equal(t, canary, string(s.Reveal()))
	})
	t.Run("no room behind it", func(t *testing.T) {
		text := canary + "!" // one more than the allocator's step
		s := vault.NewSecret([]byte(text))
		require.Equal(t, len(text), cap(s.Reveal()))
	})
	t.Run("nothing, as the zero value", func(t *testing.T) {
		var s vault.Secret
		require.Nil(t, s.Reveal())
		require.Equal(t, "[secret]", fmt.Sprint(s))
	})
	t.Run("and is not read back from its placeholder", func(t *testing.T) {
		var s vault.Secret
		require.Error(t, json.Unmarshal([]byte(`"[secret]"`), &s))
		require.Nil(t, s.Reveal())
	})
}
