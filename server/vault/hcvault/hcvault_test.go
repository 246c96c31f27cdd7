//go:build kms_hcvault || kms_all

package hcvault_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onedoor/onedoor/server/vault/hcvault"
)

// transit speaks the wire format of Vault's transit engine for one key, and checks
// token and associated data as the real one does.
type transit struct {
	key   tink.AEAD
	token string
}

func (s *transit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Vault-Token") != s.token {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"errors":["permission denied"]}`))
		return
	}
	var in struct {
		Plaintext      []byte `json:"plaintext"`
		Ciphertext     string `json:"ciphertext"`
		AssociatedData []byte `json:"associated_data"`
	}
	err := json.NewDecoder(r.Body).Decode(&in)
	out := map[string]string{}
	switch {
	case err != nil:
	case r.URL.Path == "/v1/transit/encrypt/onedoor":
		var sealed []byte
		sealed, err = s.key.Encrypt(in.Plaintext, in.AssociatedData)
		out["ciphertext"] = "vault:v1:" + base64.StdEncoding.EncodeToString(sealed)
	case r.URL.Path == "/v1/transit/decrypt/onedoor":
		var sealed, text []byte
		sealed, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(in.Ciphertext, "vault:v1:"))
		if err == nil {
			text, err = s.key.Decrypt(sealed, in.AssociatedData)
		}
		out["plaintext"] = base64.StdEncoding.EncodeToString(text)
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"errors":["cipher: message authentication failed"]}`))
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": out})
}

// serve starts a transit server and gives the configuration for it.
func serve(t *testing.T, s *transit) hcvault.Config {
	t.Helper()
	key, err := subtle.NewAESGCM(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	s.key = key
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	config := hcvault.Config{
		Host:      strings.TrimPrefix(server.URL, "https://"),
		KeyPath:   "/transit/keys/onedoor",
		TokenFile: filepath.Join(dir, "token"),
		CAFile:    filepath.Join(dir, "ca.pem"),
	}
	require.NoError(t, os.WriteFile(config.CAFile, ca, 0o600))
	require.NoError(t, os.WriteFile(config.TokenFile, []byte(s.token+"\n"), 0o600))
	return config
}

func open(t *testing.T, config hcvault.Config) tink.AEAD {
	t.Helper()
	m, err := hcvault.New(context.Background(), config)
	require.NoError(t, err)
	return m
}

func TestWrapAndUnwrap(t *testing.T) {
	s := &transit{token: "first"}
	config := serve(t, s)
	m := open(t, config)
	wrapped, err := m.Encrypt([]byte("text"), []byte("data"))
	require.NoError(t, err)
	text, err := m.Decrypt(wrapped, []byte("data"))
	require.NoError(t, err)
	require.Equal(t, "text", string(text))
	_, err = m.Decrypt(wrapped, []byte("other data"))
	require.Error(t, err)

	t.Run("with a token that was renewed", func(t *testing.T) {
		s.token = "second"
		_, err := m.Decrypt(wrapped, []byte("data"))
		require.ErrorContains(t, err, "permission denied")
		require.NotContains(t, err.Error(), "first")
		require.NoError(t, os.WriteFile(config.TokenFile, []byte("second"), 0o600))
		_, err = m.Decrypt(wrapped, []byte("data"))
		require.NoError(t, err)
	})
	t.Run("without a token", func(t *testing.T) {
		for name, content := range map[string]string{"empty": " \n", "two lines": "a\nb"} {
			require.NoError(t, os.WriteFile(config.TokenFile, []byte(content), 0o600))
			_, err := m.Encrypt([]byte("text"), nil)
			require.ErrorContains(t, err, "does not hold one token", name)
		}
		require.NoError(t, os.Remove(config.TokenFile))
		_, err := m.Encrypt([]byte("text"), nil)
		require.ErrorContains(t, err, "token file")
	})
}

func TestTheEnvironmentOpensNothing(t *testing.T) {
	config := serve(t, &transit{token: "first"})
	t.Setenv("VAULT_SKIP_VERIFY", "true")
	t.Setenv("VAULT_TOKEN", "first")
	t.Setenv("VAULT_ADDR", "http://127.0.0.1:1")
	t.Setenv("VAULT_AGENT_ADDR", "http://127.0.0.1:1")
	t.Run("its address is not used", func(t *testing.T) {
		_, err := open(t, config).Encrypt([]byte("text"), nil)
		require.NoError(t, err)
	})
	t.Run("it does not turn verification off", func(t *testing.T) {
		untrusted := config
		untrusted.CAFile = ""
		_, err := open(t, untrusted).Encrypt([]byte("text"), nil)
		require.ErrorContains(t, err, "certificate")
	})
	t.Run("its token is not used", func(t *testing.T) {
		require.NoError(t, os.WriteFile(config.TokenFile, []byte("wrong"), 0o600))
		_, err := open(t, config).Encrypt([]byte("text"), nil)
		require.ErrorContains(t, err, "permission denied")
	})
}

func TestNewRefuses(t *testing.T) {
	good := hcvault.Config{Host: "vault.example", KeyPath: "/transit/keys/k", TokenFile: "token"}
	for name, change := range map[string]func(*hcvault.Config){
		"no host":          func(c *hcvault.Config) { c.Host = "" },
		"no token file":    func(c *hcvault.Config) { c.TokenFile = "" },
		"no key":           func(c *hcvault.Config) { c.KeyPath = "/transit" },
		"not a key":        func(c *hcvault.Config) { c.KeyPath = "/transit/encrypt/k" },
		"a CA file absent": func(c *hcvault.Config) { c.CAFile = "absent.pem" },
	} {
		t.Run(name, func(t *testing.T) {
			config := good
			change(&config)
			_, err := hcvault.New(context.Background(), config)
			require.ErrorContains(t, err, "HashiCorp Vault")
		})
	}
	open(t, good)
}
