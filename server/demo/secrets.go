package demo

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Secrets are what the upstreams demand. They are random, made at the first start,
// and lie in the secrets folder alone.
type Secrets struct {
	Model, Payroll Secret
	// CRMAlice is a refresh token, good once, with which alice's account is connected.
	CRMAlice Secret

	// accounts is what all tokens of the accounts begin with, so that they can be looked
	// for where they must not be; accountsKey makes them.
	accounts, accountsKey Secret
}

// Secret is one secret in the clear; it prints as a placeholder.
type Secret struct{ reveal func() string }

// Reveal gives the secret's text.
func (s Secret) Reveal() string { return s.reveal() }

// Format keeps the secret out of anything printed.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[secret]")) }

func openSecrets(dir string) (*Secrets, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("demo secrets: %w", err)
	}
	s := &Secrets{}
	for name, one := range map[string]struct {
		prefix string
		into   *Secret
	}{
		"accounts": {"acc_", &s.accounts}, "accounts-key": {"", &s.accountsKey},
		"model": {"sk-demo-", &s.Model}, "payroll": {"pay_", &s.Payroll},
	} {
		text, err := openSecret(filepath.Join(dir, name), one.prefix)
		if err != nil {
			return nil, err
		}
		*one.into = Secret{func() string { return text }}
	}
	return s, nil
}

func openSecret(path, prefix string) (string, error) {
	text, err := os.ReadFile(path) //nolint:gosec // a folder of ours
	if err == nil && len(text) > 0 {
		return string(text), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("demo secret: %w", err)
	}
	made := prefix + rand.Text()
	if err := os.WriteFile(path, []byte(made), 0o600); err != nil {
		return "", fmt.Errorf("demo secret: %w", err)
	}
	return made, nil
}
