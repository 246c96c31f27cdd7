package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// The largest document that the broker takes, in bytes: as it is, and compressed.
const (
	maxSpec       = 32 << 20
	maxSpecPacked = 8_000_000
)

type connectorImportCmd struct {
	Spec    string   `arg:"" help:"The OpenAPI document, a file; - for stdin."`
	Name    string   `required:"" placeholder:"NAME" help:"The connector's name."`
	Origin  string   `placeholder:"URL" help:"https://HOST[:PORT][/PATH] in the place of the document's servers."`
	Include []string `sep:"none" placeholder:"PATTERN" help:"Only these operations; may be repeated."`
	Exclude []string `sep:"none" placeholder:"PATTERN" help:"Not these operations; may be repeated."`
	Write   string   `placeholder:"FILE" help:"Write the manifest to a new file and not to standard output."`
}

func (connectorImportCmd) Help() string {
	return `Makes a manifest of an OpenAPI 3.0, 3.1 or Swagger 2.0 document, JSON or YAML. Nothing is applied, and
nothing is read that the document only refers to. What could not be mapped, what was changed and what
you must review is told on standard error; the exit code is 0 all the same, since the manifest stands.

A PATTERN that begins with / is a path, tag:NAME a tag, any other an operationId or a tool's name;
* stands for any text.

  onedoor connector import crm.json --name crm --include tag:contacts --write crm.yaml
  onedoor connector apply -f crm.yaml`
}

// Run implements the command.
func (c *connectorImportCmd) Run(s *session) error {
	document, err := s.readFile(c.Spec, maxSpec)
	if err != nil {
		return err
	}
	packed, err := compressed(document)
	if err != nil {
		return err
	}
	return s.call(adminTimeout, func(ctx context.Context, cl *client.Client) error {
		answer, err := cl.Connectors().Import(ctx, &onedoorv1.ConnectorsImportRequest{
			Workspace: s.workspace, Document: packed, Name: c.Name, Origin: c.Origin, Include: c.Include, Exclude: c.Exclude,
		})
		if err != nil {
			return err
		}
		return c.show(s, answer)
	})
}

// show gives the manifest where it was asked for, and says the rest on stderr.
func (c *connectorImportCmd) show(s *session, answer *onedoorv1.ConnectorsImportResponse) error {
	if c.Write != "" {
		if err := writeNew(c.Write, answer.GetManifest()); err != nil {
			return err
		}
	}
	switch {
	case s.json:
		return s.show(answer, nil)
	case c.Write == "":
		if _, err := io.WriteString(s.stdout, answer.GetManifest()); err != nil {
			return err
		}
	}
	counts := map[onedoorv1.ImportFinding_Kind]int{}
	for _, f := range answer.GetFindings() {
		counts[f.GetKind()]++
		fmt.Fprintf(s.stderr, "%s: %s: %s [%s]\n", findingWord(f.GetKind()), clean(f.GetWhat()), clean(f.GetWhy()), clean(f.GetWhere()))
	}
	_, err := fmt.Fprintf(s.stderr, "%d of %d operations are tools; not mapped: %d, changed: %d, to review: %d\n",
		answer.GetTools(), answer.GetOperations(), counts[onedoorv1.ImportFinding_KIND_NOT_MAPPED],
		counts[onedoorv1.ImportFinding_KIND_CHANGED], counts[onedoorv1.ImportFinding_KIND_REVIEW])
	return err
}

func findingWord(k onedoorv1.ImportFinding_Kind) string {
	switch k {
	case onedoorv1.ImportFinding_KIND_NOT_MAPPED:
		return "not mapped"
	case onedoorv1.ImportFinding_KIND_CHANGED:
		return "changed"
	case onedoorv1.ImportFinding_KIND_REVIEW, onedoorv1.ImportFinding_KIND_UNSPECIFIED:
	}
	return "review"
}

// compressed packs a document, large ones of which would not fit into one message.
func compressed(document []byte) ([]byte, error) {
	if bytes.HasPrefix(document, []byte{0x1f, 0x8b}) {
		return packed(document)
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(document); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return packed(out.Bytes())
}

func packed(text []byte) ([]byte, error) {
	if len(text) > maxSpecPacked {
		return nil, usageError{fmt.Sprintf("the document is larger than the %d bytes, compressed, that the broker takes", maxSpecPacked)}
	}
	return text, nil
}

// writeNew writes a file that is not there yet: one that is may have been edited.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the user names it
	switch {
	case errors.Is(err, fs.ErrExist):
		return usageError{path + " is there already: name another file, or remove it"}
	case err != nil:
		return usageError{err.Error()}
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
