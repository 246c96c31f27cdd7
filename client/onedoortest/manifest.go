package onedoortest

import (
	"crypto/rand"
	"errors"

	"go.yaml.in/yaml/v3"
)

// manifest is a connector's, as far as it is changed here. Whether it is right the broker
// says.
type manifest struct {
	Connector   string          `yaml:"connector"`
	Credentials map[string]slot `yaml:"credentials"`

	document yaml.Node
}

// slot is one place for a credential.
type slot struct {
	Owner  string    `yaml:"owner"`
	Attach yaml.Node `yaml:"attach"`
	// What a slot has beside these makes its secret one that only buys another.
	Rest map[string]any `yaml:",inline"`
}

func readManifest(text string) (*manifest, error) {
	m := &manifest{}
	if err := yaml.Unmarshal([]byte(text), &m.document); err != nil {
		return nil, err
	}
	if len(m.document.Content) == 0 || m.document.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("it is no YAML mapping")
	}
	return m, m.document.Decode(m)
}

// point sets where the upstream is, and how it is known there.
func (m *manifest) point(origin, ca string) error {
	for key, value := range map[string]any{
		"origin":  origin,
		"network": map[string]any{"allow": []string{"127.0.0.0/8", "::1/128"}},
		"tls":     map[string]string{"ca": ca},
	} {
		var node yaml.Node
		if err := node.Encode(value); err != nil {
			return err
		}
		m.set(key, &node)
	}
	return nil
}

// set replaces or adds a field.
func (m *manifest) set(key string, value *yaml.Node) {
	fields := m.document.Content[0]
	for i := 0; i+1 < len(fields.Content); i += 2 {
		if fields.Content[i].Value == key {
			fields.Content[i+1] = value
			return
		}
	}
	fields.Content = append(fields.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, value)
}

func (m *manifest) text() (string, error) {
	text, err := yaml.Marshal(&m.document)
	return string(text), err
}

// secret makes one that is sent as it is put; "" where the slot takes another kind.
func (s slot) secret() string {
	switch {
	case len(s.Rest) > 0 || s.Attach.Value == "certificate":
		return ""
	case s.Attach.Value == "basic":
		return "user:" + rand.Text()
	default:
		return "secret-" + rand.Text()
	}
}
