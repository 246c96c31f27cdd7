package demo

import (
	_ "embed"
	"strings"
)

//go:embed crm.yaml
var crmManifest string

//go:embed model.yaml
var modelManifest string

//go:embed payroll.yaml
var payrollManifest string

// Manifests are the connectors of the upstreams as they run now, by name.
func (u *Upstreams) Manifests() map[string]string {
	fill := func(text, origin string) string {
		var ca strings.Builder
		for line := range strings.Lines(string(u.CA)) {
			ca.WriteString("    " + line)
		}
		return strings.NewReplacer("{{origin}}", origin, "    {{ca}}\n", ca.String()).Replace(text)
	}
	return map[string]string{
		"crm":     fill(crmManifest, u.CRM),
		"model":   fill(modelManifest, u.Model),
		"payroll": fill(payrollManifest, u.Payroll),
	}
}
