package main

import (
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// maxManifest is the largest manifest that the broker takes, in bytes.
const maxManifest = 1 << 20

type connectorCmd struct {
	Apply  connectorApplyCmd  `cmd:"" help:"Store a manifest as a new revision."`
	Import connectorImportCmd `cmd:"" help:"Make a manifest of an OpenAPI document."`
	List   connectorListCmd   `cmd:"" help:"List the connectors."`
	Get    connectorGetCmd    `cmd:"" help:"Print a connector's manifest."`
	Delete connectorDeleteCmd `cmd:"" help:"Withdraw a connector, or one revision of it."`
}

type connectorApplyCmd struct {
	File string `short:"f" required:"" placeholder:"FILE" help:"The manifest, YAML; - for stdin."`
}

func (connectorApplyCmd) Help() string {
	return `Applying the same manifest again changes nothing. Running tasks stay on the revision that stood
when they were minted. Where a revision changes origins or attachment, credentials must be put again.

  onedoor connector apply -f crm.yaml`
}

// Run implements the command.
func (c *connectorApplyCmd) Run(s *session) error {
	manifest, err := s.readFile(c.File, maxManifest)
	if err != nil {
		return err
	}
	return s.call(adminTimeout, func(ctx context.Context, cl *client.Client) error {
		answer, err := cl.Connectors().Apply(ctx, &onedoorv1.ConnectorsApplyRequest{Workspace: s.workspace, Manifest: string(manifest)})
		if err != nil {
			return err
		}
		return s.show(answer, func(t *table) {
			done := "unchanged"
			if answer.GetChanged() {
				done = "applied"
			}
			t.line("connector %s revision %d %s", answer.GetConnector().GetName(), answer.GetConnector().GetRevision(), done)
		})
	})
}

type connectorListCmd struct{}

func (connectorListCmd) Help() string {
	return `One line a connector, with its current revision and the hosts that it reaches.

  onedoor connector list
  onedoor -o json connector list`
}

// Run implements the command.
func (connectorListCmd) Run(s *session) error {
	return s.call(adminTimeout, func(ctx context.Context, cl *client.Client) error {
		answer, err := cl.Connectors().List(ctx, &onedoorv1.ConnectorsListRequest{Workspace: s.workspace})
		if err != nil {
			return err
		}
		return s.show(answer, func(t *table) {
			t.row("NAME", "REVISION", "KIND", "TOOLS", "ORIGINS", "APPLIED", "DESCRIPTION")
			for _, c := range answer.GetConnectors() {
				t.row(c.GetName(), strconv.FormatInt(c.GetRevision(), 10), c.GetKind(), strconv.Itoa(len(c.GetTools())),
					strings.Join(c.GetOrigins(), ","), moment(c.GetAppliedAt()), c.GetDescription())
			}
		})
	})
}

type connectorGetCmd struct {
	Name     string `arg:"" help:"The connector's name."`
	Revision int64  `placeholder:"N" help:"Which revision; the current one unless given."`
}

func (connectorGetCmd) Help() string {
	return `Prints the manifest byte for byte as it was applied. -o json also tells its revision, digest and who applied it.

  onedoor connector get crm
  onedoor connector get crm --revision 2 > crm.yaml`
}

// Run implements the command.
func (c *connectorGetCmd) Run(s *session) error {
	return s.call(adminTimeout, func(ctx context.Context, cl *client.Client) error {
		answer, err := cl.Connectors().Get(ctx, &onedoorv1.ConnectorsGetRequest{Workspace: s.workspace, Name: c.Name, Revision: c.Revision})
		if err != nil {
			return err
		}
		if s.json {
			return s.show(answer, nil)
		}
		_, err = io.WriteString(s.stdout, answer.GetManifest())
		return err
	})
}

type connectorDeleteCmd struct {
	Name     string `arg:"" help:"The connector's name."`
	Revision int64  `placeholder:"N" help:"Which revision; all of them unless given."`
}

func (connectorDeleteCmd) Help() string {
	return `No new task gets what was withdrawn, and tasks that run on it are refused with CONNECTOR_CHANGED.

  onedoor connector delete crm
  onedoor connector delete crm --revision 2`
}

// Run implements the command.
func (c *connectorDeleteCmd) Run(s *session) error {
	return s.call(adminTimeout, func(ctx context.Context, cl *client.Client) error {
		answer, err := cl.Connectors().Delete(ctx, &onedoorv1.ConnectorsDeleteRequest{Workspace: s.workspace, Name: c.Name, Revision: c.Revision})
		if err != nil {
			return err
		}
		return s.show(answer, func(t *table) { t.line("connector %s withdrawn", c.Name) })
	})
}
