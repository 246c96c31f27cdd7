package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/egress"
)

// Load reads and checks a configuration file.
func Load(path string) (*Config, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("configuration %s:\n%w", path, err)
	}
	return c, nil
}

// Parse reads and checks a configuration. Its error lists every fault.
func Parse(text []byte) (*Config, error) {
	c := &Config{}
	var doc yaml.Node
	switch err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, errors.New("  the file is empty")
	case err != nil:
		return nil, list([]string{err.Error()})
	}
	if faults := shapeOf(&doc, reflect.TypeFor[Config]()); len(faults) > 0 {
		return nil, list(faults)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := decode(dec, c); err != nil {
		return nil, err
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, list([]string{"more than one YAML document"})
	}
	c.defaults()
	if faults := c.check(); len(faults) > 0 {
		return nil, list(faults)
	}
	return c, nil
}

// decode reads a document of the right shape: what is refused now stands twice, or holds itself.
func decode(dec *yaml.Decoder, c *Config) error {
	var typed *yaml.TypeError
	err := dec.Decode(c)
	switch {
	case errors.As(err, &typed):
		return list(typed.Errors)
	case err != nil:
		return list([]string{err.Error()})
	}
	return nil
}

func list(faults []string) error {
	return errors.New("  " + strings.Join(faults, "\n  "))
}

// at makes an error that yaml collects instead of stopping at it.
func at(n *yaml.Node, format string, args ...any) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: ", n.Line) + fmt.Sprintf(format, args...)}}
}

// UnmarshalYAML reads Go's notation.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || v < 0 {
		return at(n, "%q is no duration: want for instance 90s, 15m or 1h", n.Value)
	}
	*d = Duration(v)
	return nil
}

// MarshalYAML writes Go's notation.
func (d Duration) MarshalYAML() (any, error) { return time.Duration(d).String(), nil }

// UnmarshalYAML reads spiffe://trust-domain/path.
func (s *SPIFFEID) UnmarshalYAML(n *yaml.Node) error {
	id, err := spiffeid.FromString(n.Value)
	if err != nil {
		return at(n, "%q is no SPIFFE ID: want spiffe://trust-domain/path", n.Value)
	}
	s.ID = id
	return nil
}

// MarshalYAML writes the ID.
func (s SPIFFEID) MarshalYAML() (any, error) { return s.String(), nil }

// UnmarshalYAML reads a range in its one spelling.
func (r *Range) UnmarshalYAML(n *yaml.Node) error {
	p, err := netip.ParsePrefix(n.Value)
	if err != nil || p.Masked().String() != n.Value {
		return at(n, "%q is no range of addresses: want for instance 10.1.0.0/16", n.Value)
	}
	if err := egress.CheckRange(p); err != nil {
		return at(n, "%q: %s", n.Value, err)
	}
	r.Prefix = p
	return nil
}

// MarshalYAML writes the range.
func (r Range) MarshalYAML() (any, error) { return r.String(), nil }

// UnmarshalYAML reads a trust domain's name.
func (t *TrustDomain) UnmarshalYAML(n *yaml.Node) error {
	td, err := spiffeid.TrustDomainFromString(n.Value)
	if err != nil || strings.Contains(n.Value, "/") {
		return at(n, "%q is no trust domain: want a name such as example.org", n.Value)
	}
	t.TrustDomain = td
	return nil
}

// MarshalYAML writes the name.
func (t TrustDomain) MarshalYAML() (any, error) { return t.Name(), nil }
