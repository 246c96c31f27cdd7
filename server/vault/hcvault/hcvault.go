//go:build kms_hcvault || kms_all

// Package hcvault gives a master key in the transit engine of a HashiCorp Vault server.
package hcvault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/tink-crypto/tink-go-hcvault/v2/integration/hcvault"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Scheme opens the URI of such a key: hcvault://HOST[:PORT]/MOUNT/keys/NAME.
const Scheme = "hcvault://"

// timeout bounds one request; the library's methods take no context.
const timeout = 10 * time.Second

// Config names the key and how to reach it. The library also honours VAULT_NAMESPACE,
// VAULT_CACERT and its relatives in the environment, but neither VAULT_TOKEN nor
// VAULT_SKIP_VERIFY.
type Config struct {
	// Host is the server's host, with a port where it is not 443. Always TLS.
	Host string
	// KeyPath is /MOUNT/keys/NAME. The key must be of a type with associated data
	// (aes256-gcm96, chacha20-poly1305) and not derived; a server that ignores
	// associated data is found out when the first key is made.
	KeyPath string
	// TokenFile holds the token. It is read before every request, so that an agent can
	// renew it. Its policy must allow update on MOUNT/encrypt/NAME and MOUNT/decrypt/NAME.
	TokenFile string
	// CAFile holds the certificates in PEM to trust instead of the system's; empty means
	// the system's.
	CAFile string
}

// master is the key behind a token that may change.
type master struct {
	key       tink.AEAD
	client    *api.Client
	tokenFile string
}

// New gives the key. It makes no request.
func New(_ context.Context, config Config) (tink.AEAD, error) {
	if config.Host == "" || config.TokenFile == "" {
		return nil, errors.New("HashiCorp Vault: host and token file are required")
	}
	settings := api.DefaultConfig()
	if settings.Error != nil {
		return nil, fmt.Errorf("HashiCorp Vault: %w", settings.Error)
	}
	settings.Address = "https://" + config.Host
	settings.AgentAddress = ""
	settings.Timeout = timeout
	settings.DisableRedirects = true // a redirect would take the token to another host
	if err := trust(settings, config.CAFile); err != nil {
		return nil, err
	}
	client, err := api.NewClient(settings)
	if err != nil {
		return nil, fmt.Errorf("HashiCorp Vault: %w", err)
	}
	client.ClearToken()
	key, err := hcvault.NewAEAD(config.KeyPath, client.Logical())
	if err != nil {
		return nil, fmt.Errorf("HashiCorp Vault: key path %q: want /MOUNT/keys/NAME: %w", config.KeyPath, err)
	}
	return &master{key: key, client: client, tokenFile: config.TokenFile}, nil
}

// trust sets the certificates to trust. Verification cannot be turned off, not even by
// the environment.
func trust(settings *api.Config, caFile string) error {
	if caFile != "" {
		if err := settings.ConfigureTLS(&api.TLSConfig{CACert: caFile}); err != nil {
			return fmt.Errorf("HashiCorp Vault: CA file: %w", err)
		}
	}
	transport, ok := settings.HttpClient.Transport.(*http.Transport)
	if !ok || transport.TLSClientConfig == nil {
		return errors.New("HashiCorp Vault: the client's TLS settings cannot be read")
	}
	transport.TLSClientConfig.InsecureSkipVerify = false
	return nil
}

// Encrypt wraps with the key on the server.
func (m *master) Encrypt(plaintext, data []byte) ([]byte, error) {
	if err := m.login(); err != nil {
		return nil, err
	}
	return m.key.Encrypt(plaintext, data)
}

// Decrypt unwraps with the key on the server.
func (m *master) Decrypt(ciphertext, data []byte) ([]byte, error) {
	if err := m.login(); err != nil {
		return nil, err
	}
	return m.key.Decrypt(ciphertext, data)
}

// login takes the token as it stands in the file now.
func (m *master) login() error {
	token, err := os.ReadFile(m.tokenFile)
	if err != nil {
		return fmt.Errorf("HashiCorp Vault: token file: %w", err)
	}
	token = bytes.TrimSpace(token)
	if len(token) == 0 || strings.ContainsAny(string(token), "\r\n\x00") {
		return fmt.Errorf("HashiCorp Vault: token file %s does not hold one token", m.tokenFile)
	}
	m.client.SetToken(string(token))
	return nil
}
