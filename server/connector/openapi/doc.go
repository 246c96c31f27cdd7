// Package openapi turns an OpenAPI document into a connector's manifest, for an operator
// to review and apply.
//
//	document ─ read ─▶ tree ─▶ operations ─ choose ─▶ tools ─ each tried ─▶ manifest
//	                                          └────────▶ findings: not mapped, changed, to review
//
// The document is untrusted. It is read into a bounded tree by code that opens no file
// and no connection: a $ref that leads out of the document is told and never followed.
// Nothing is dropped silently: what the manifest's language cannot say is a Finding.
// What comes out has been read by [connector.Parse], so Apply takes it as it stands.
package openapi

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/onedoor/onedoor/server/fault"
)

// Options say what to make of a document.
type Options struct {
	// Name of the connector, as the manifest has it.
	Name string
	// Origin, https://HOST[:PORT], stands in the place of the document's servers; with a
	// path, that stands before every path of the document. Empty: the document's own.
	Origin string
	// Include keeps the operations that one of these patterns names, Exclude drops those
	// that one names. "/…" is held against the path, "tag:…" against the tags, anything
	// else against operationId and tool name; * stands for any text.
	Include, Exclude []string
}

// Result is a manifest and what there is to say about it. It is the same for the same
// document and options.
type Result struct {
	Manifest string
	Findings []Finding
	// Operations were chosen in the document; Tools of them are in the manifest.
	Operations, Tools int
}

// Kind says what became of something in the document.
type Kind int

// The kinds, the gravest first.
const (
	NotMapped Kind = iota + 1 // it is not in the manifest
	Changed                   // it is there, narrower or looser than in the document
	Review                    // it is a guess, or must be filled in
)

// Finding is one thing that could not, or not surely, be carried over.
type Finding struct {
	Kind  Kind
	Where string // a JSON pointer into the document (RFC 6901)
	What  string
	Why   string
}

const (
	// maxTools is how many tools a manifest may hold, and maxManifest how many bytes.
	maxTools    = 1000
	maxManifest = 1 << 20
)

// Import makes a manifest of a document: OpenAPI 3.0 or 3.1, or Swagger 2.0, as JSON or
// YAML, or one of these compressed with gzip. It ends early with ctx. The error is a
// *fault.Error, ARGUMENT_INVALID about document, name, origin, include or exclude.
func Import(ctx context.Context, document []byte, o Options) (Result, error) {
	if err := checkName(o.Name); err != nil {
		return Result{}, err
	}
	d, err := read(ctx, document)
	if err != nil {
		return Result{}, err
	}
	im := &importer{document: d, Options: o}
	all := im.operations()
	chosen, err := im.choose(all)
	if err != nil {
		return Result{}, err
	}
	if len(chosen) == 0 {
		return Result{}, fault.Invalid("document", "has no operations under paths: there is nothing to make tools of")
	}
	if err := im.server(); err != nil {
		return Result{}, err
	}
	im.security(chosen)
	im.others()
	tools, err := im.tools(ctx, chosen)
	if err != nil {
		return Result{}, err
	}
	text, err := im.manifest(tools, chosen)
	if err != nil {
		return Result{}, err
	}
	return Result{Manifest: text, Findings: im.sorted(), Operations: len(chosen), Tools: len(tools)}, nil
}

// importer is one import under way.
type importer struct {
	*document
	Options
	origin   string // as the manifest has it
	base     string // before every path; begins with "/" or is empty
	slots    []slot
	findings []Finding
	keys     map[string]string // see keyPlace
}

// maxFindings bounds what one import tells.
const maxFindings = 20_000

// tell keeps a finding, in words that are one line each.
func (im *importer) tell(kind Kind, where, what, why string) {
	if len(where) > 1<<10 {
		where = clean(where, 1<<10)
	}
	switch n := len(im.findings); {
	case n < maxFindings:
		im.findings = append(im.findings, Finding{kind, where, clean(what, 300), clean(why, 600)})
	case n == maxFindings:
		im.findings = append(im.findings, Finding{NotMapped, "", "more", "there is more to tell than fits: choose fewer operations"})
	}
}

// sorted gives the findings, the gravest kind first, else in the order of the document.
func (im *importer) sorted() []Finding {
	var out []Finding
	seen := map[Finding]bool{}
	for _, kind := range []Kind{NotMapped, Changed, Review} {
		for _, f := range im.findings {
			if f.Kind == kind && !seen[f] {
				seen[f] = true
				out = append(out, f)
			}
		}
	}
	return out
}

// namePattern leaves room for tools: models know them as NAME__TOOL, in 64 characters.
var namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

func checkName(name string) error {
	if !namePattern.MatchString(name) {
		return fault.Invalid("name", "want lower-case letters, digits and '-', a letter first, at most 40: models know tools as NAME__TOOL, in 64 characters")
	}
	return nil
}

// reason gives the public words of an error of the manifest's reader, without lines.
func reason(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return "the manifest's reader refuses it"
	}
	text := strings.TrimPrefix(f.Public, "manifest: ")
	first, _, _ := strings.Cut(text, "; line ")
	if rest, ok := strings.CutPrefix(first, "line "); ok {
		if _, after, found := strings.Cut(rest, ": "); found {
			first = after
		}
	}
	return first
}
