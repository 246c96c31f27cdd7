package demo

import (
	_ "embed"
	"regexp"
	"strings"
)

//go:embed crm.yaml
var crmManifest string

//go:embed model.yaml
var modelManifest string

//go:embed payroll.yaml
var payrollManifest string

// placeholder is a line that stands for the certificate of the CA, with its indent.
var placeholder = regexp.MustCompile(`(?m)^ *\{\{ca\}\}$`)

// Manifests are the connectors of the upstreams as they run now, by name.
func (u *Upstreams) Manifests() map[string]string {
	fill := func(text, origin string) string {
		text = strings.NewReplacer("{{origin}}", origin, "{{accounts}}", u.Accounts).Replace(text)
		return placeholder.ReplaceAllStringFunc(text, func(line string) string {
			indent, _, _ := strings.Cut(line, "{")
			return indent + strings.ReplaceAll(strings.TrimSpace(string(u.CA)), "\n", "\n"+indent)
		})
	}
	return map[string]string{
		"crm":     fill(crmManifest, u.CRM),
		"model":   fill(modelManifest, u.Model),
		"payroll": fill(payrollManifest, u.Payroll),
	}
}
