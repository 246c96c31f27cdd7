package grant

import "fmt"

// Severity orders tools by the harm that they can do. The zero value is refused
// wherever it is met.
type Severity int

// The severities, in order.
const (
	Unspecified Severity = iota
	Read
	Write
	Destructive
	Admin
)

var severityNames = [...]string{"UNSPECIFIED", "READ", "WRITE", "DESTRUCTIVE", "ADMIN"}

// ParseSeverity reads READ, WRITE, DESTRUCTIVE or ADMIN.
func ParseSeverity(s string) (Severity, error) {
	for v := Read; v <= Admin; v++ {
		if severityNames[v] == s {
			return v, nil
		}
	}
	return Unspecified, fmt.Errorf("severity %q: want READ, WRITE, DESTRUCTIVE or ADMIN", short(s))
}

// Valid reports whether s is one of the four.
func (s Severity) Valid() bool { return s >= Read && s <= Admin }

// String gives the name; UNSPECIFIED for all that is not one of the four.
func (s Severity) String() string {
	if s < 0 || int(s) >= len(severityNames) {
		return severityNames[Unspecified]
	}
	return severityNames[s]
}
