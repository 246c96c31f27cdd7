package connector

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/fault"
)

// violation turns a failed validation into the fault of its first field. It tells
// what the schema wants, never what the caller gave.
func violation(err error) *fault.Error {
	leaf := firstLeaf(err)
	if leaf == nil {
		return fault.New(fault.ArgumentInvalid, "the arguments cannot be validated", err)
	}
	at, reason := describe(leaf)
	field := fieldName(at)
	if field == "" {
		field = "arguments"
	}
	return fault.Invalid(field, reason)
}

// firstLeaf finds the fault to tell: of all that have no finer cause, the one whose
// location comes first, so that the same arguments always get the same answer. The
// branches of a choice are no faults by themselves.
func firstLeaf(err error) *jsonschema.ValidationError {
	var top *jsonschema.ValidationError
	if !errors.As(err, &top) {
		return nil
	}
	var first *jsonschema.ValidationError
	var visit func(*jsonschema.ValidationError)
	visit = func(e *jsonschema.ValidationError) {
		switch e.ErrorKind.(type) {
		case *kind.AnyOf, *kind.OneOf, *kind.Not, *kind.Contains, *kind.MinContains:
		default:
			if len(e.Causes) > 0 {
				for _, cause := range e.Causes {
					visit(cause)
				}
				return
			}
		}
		if first == nil || slices.Compare(e.InstanceLocation, first.InstanceLocation) < 0 {
			first = e
		}
	}
	visit(top)
	return first
}

// describe gives the field at fault and the reason.
func describe(e *jsonschema.ValidationError) (at []string, reason string) {
	at = e.InstanceLocation
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		return append(slices.Clone(at), k.Missing[0]), "is missing"
	case *kind.AdditionalProperties:
		return append(slices.Clone(at), slices.Min(k.Properties)), "is no argument of this tool"
	case *kind.Type:
		return at, "want " + strings.Join(k.Want, " or ")
	case *kind.Enum, *kind.Const:
		return at, "is none of the values allowed"
	case *kind.Format:
		return at, "is no " + clip(k.Want)
	case *kind.Pattern:
		return at, "does not match the pattern " + clip(k.Want)
	case *kind.MinLength:
		return at, fmt.Sprintf("want at least %d characters", k.Want)
	case *kind.MaxLength:
		return at, fmt.Sprintf("want at most %d characters", k.Want)
	case *kind.MinItems:
		return at, fmt.Sprintf("want at least %d items", k.Want)
	case *kind.MaxItems:
		return at, fmt.Sprintf("want at most %d items", k.Want)
	case *kind.UniqueItems:
		return at, fmt.Sprintf("items %d and %d are equal", k.Duplicates[0], k.Duplicates[1])
	case *kind.Minimum:
		return at, "want at least " + clip(k.Want.RatString())
	case *kind.Maximum:
		return at, "want at most " + clip(k.Want.RatString())
	case *kind.ExclusiveMinimum:
		return at, "want more than " + clip(k.Want.RatString())
	case *kind.ExclusiveMaximum:
		return at, "want less than " + clip(k.Want.RatString())
	case *kind.MultipleOf:
		return at, "want a multiple of " + clip(k.Want.RatString())
	}
	if e.ErrorKind == nil || len(e.ErrorKind.KeywordPath()) == 0 {
		return at, "is not allowed by the schema"
	}
	return at, "is not allowed by the schema's " + e.ErrorKind.KeywordPath()[0]
}

// fieldName joins a location with dots; odd names come in quotes, long ones short.
func fieldName(at []string) string {
	parts := make([]string, len(at))
	for i, p := range at {
		if parts[i] = p; len(p) > maxEcho || !isPathText(p, "") {
			parts[i] = quote(p)
		}
	}
	return strings.Join(parts, ".")
}

func clip(s string) string {
	if len(s) > maxEcho {
		return strings.ToValidUTF8(s[:maxEcho], "") + "…"
	}
	return s
}

// schemaFault finds the place in a manifest that a schema's own fault is about.
func schemaFault(n *yaml.Node, err error) (*yaml.Node, string) {
	var invalid *jsonschema.SchemaValidationError
	if !errors.As(err, &invalid) {
		return n, clipReason(err)
	}
	leaf := firstLeaf(invalid.Err)
	if leaf == nil {
		return n, clipReason(err)
	}
	at, reason := describe(leaf)
	for _, step := range leaf.InstanceLocation {
		n = child(n, step)
	}
	return n, fieldName(at) + ": " + reason
}

// child steps down; n itself where there is no such step.
func child(n *yaml.Node, step string) *yaml.Node {
	for key, value := range pairs(n) {
		if key.Value == step {
			return value
		}
	}
	if i, err := strconv.Atoi(step); err == nil && n.Kind == yaml.SequenceNode && i >= 0 && i < len(n.Content) {
		return n.Content[i]
	}
	return n
}

// clipReason keeps a library's words short.
func clipReason(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", " ")
	if len(text) > 4*maxEcho {
		return strings.ToValidUTF8(text[:4*maxEcho], "") + "…"
	}
	return text
}
