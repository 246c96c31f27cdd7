package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"regexp"
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
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	var typed *yaml.TypeError
	err := dec.Decode(c)
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("  the file is empty")
	case errors.As(err, &typed):
		return nil, list(plain(typed.Errors))
	case err != nil:
		return nil, list([]string{err.Error()})
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

// moved are fields that stand elsewhere than they did.
var moved = map[string]string{
	"calls_per_second": "limits.task.calls_per_second", "call_burst": "limits.task.call_burst", "concurrent": "limits.task.concurrent",
}

var unknownField = regexp.MustCompile(`^(line \d+: )field (\S+) not found in type config\.(\w+)$`)

// plain says in the configuration's own words what yaml says in those of Go's types.
func plain(faults []string) []string {
	said := make([]string, len(faults))
	for i, text := range faults {
		said[i] = text
		m := unknownField.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		said[i] = m[1] + `unknown field "` + m[2] + `"`
		if to := moved[m[2]]; to != "" && m[3] == "Limits" {
			said[i] += "; it is " + to + " now"
		}
	}
	return said
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
