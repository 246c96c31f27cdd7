// Package config reads the configuration: strict YAML into typed structs. Unknown
// fields, wrong types and values out of range are refused, all of them at once, each
// with its line or its path and how to mend it. Secrets are named by file only.
package config
