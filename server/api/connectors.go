package api

import (
	"context"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/connector/openapi"
)

type connectorsServer struct {
	onedoorv1.UnimplementedConnectorsServer
	s Services
	// imports lets one import run at a time: a large document takes a few hundred MiB.
	imports chan struct{}
}

func (c *connectorsServer) Apply(ctx context.Context, in *onedoorv1.ConnectorsApplyRequest) (*onedoorv1.ConnectorsApplyResponse, error) {
	at := callOf(ctx)
	r, changed, err := c.s.Connectors.Apply(ctx, at.who.Workspace, in.GetManifest(), at.peer.ID.String(), c.s.Now())
	if err != nil {
		return nil, err
	}
	message, err := c.message(ctx, r)
	if err != nil {
		return nil, err
	}
	return &onedoorv1.ConnectorsApplyResponse{Connector: message, Changed: changed}, nil
}

func (c *connectorsServer) Import(ctx context.Context, in *onedoorv1.ConnectorsImportRequest) (*onedoorv1.ConnectorsImportResponse, error) {
	select {
	case c.imports <- struct{}{}:
		defer func() { <-c.imports }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r, err := openapi.Import(ctx, in.GetDocument(), openapi.Options{
		Name: in.GetName(), Origin: in.GetOrigin(), Include: in.GetInclude(), Exclude: in.GetExclude(),
	})
	if err != nil {
		return nil, err
	}
	out := &onedoorv1.ConnectorsImportResponse{
		Manifest:   r.Manifest,
		Operations: int32(r.Operations), //nolint:gosec // the importer bounds them
		Tools:      int32(r.Tools),      //nolint:gosec // at most as many
	}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, &onedoorv1.ImportFinding{
			Kind: findingKind(f.Kind), Where: f.Where, What: f.What, Why: f.Why,
		})
	}
	return out, nil
}

func findingKind(k openapi.Kind) onedoorv1.ImportFinding_Kind {
	switch k {
	case openapi.NotMapped:
		return onedoorv1.ImportFinding_KIND_NOT_MAPPED
	case openapi.Changed:
		return onedoorv1.ImportFinding_KIND_CHANGED
	case openapi.Review:
		return onedoorv1.ImportFinding_KIND_REVIEW
	}
	return onedoorv1.ImportFinding_KIND_UNSPECIFIED
}

func (c *connectorsServer) Get(ctx context.Context, in *onedoorv1.ConnectorsGetRequest) (*onedoorv1.ConnectorsGetResponse, error) {
	r, err := c.s.Connectors.Revision(ctx, callOf(ctx).who.Workspace, in.GetName(), in.GetRevision())
	if err != nil {
		return nil, err
	}
	message, err := c.message(ctx, r)
	if err != nil {
		return nil, err
	}
	return &onedoorv1.ConnectorsGetResponse{Connector: message, Manifest: r.Manifest}, nil
}

func (c *connectorsServer) List(ctx context.Context, _ *onedoorv1.ConnectorsListRequest) (*onedoorv1.ConnectorsListResponse, error) {
	revisions, err := c.s.Connectors.List(ctx, callOf(ctx).who.Workspace)
	if err != nil {
		return nil, err
	}
	out := &onedoorv1.ConnectorsListResponse{}
	for _, r := range revisions {
		message, err := c.message(ctx, r)
		if err != nil {
			return nil, err
		}
		out.Connectors = append(out.Connectors, message)
	}
	return out, nil
}

func (c *connectorsServer) Delete(ctx context.Context, in *onedoorv1.ConnectorsDeleteRequest) (*onedoorv1.ConnectorsDeleteResponse, error) {
	if err := c.s.Connectors.Withdraw(ctx, callOf(ctx).who.Workspace, in.GetName(), in.GetRevision(), c.s.Now()); err != nil {
		return nil, err
	}
	return &onedoorv1.ConnectorsDeleteResponse{}, nil
}

func (c *connectorsServer) message(ctx context.Context, r connector.Revision) (*onedoorv1.Connector, error) {
	parsed, err := c.s.Connectors.Parsed(ctx, r)
	if err != nil {
		return nil, err
	}
	return revisionMessage(r, parsed), nil
}
