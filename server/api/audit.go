package api

import (
	"context"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/audit"
)

type auditServer struct {
	onedoorv1.UnimplementedAuditServer
	s Services
}

func (a *auditServer) List(ctx context.Context, in *onedoorv1.AuditListRequest) (*onedoorv1.AuditListResponse, error) {
	f := audit.Filter{
		Workspace: callOf(ctx).who.Workspace, TaskID: in.GetTaskId(), InvocationID: in.GetInvocationId(),
		Limit: pageSize(in.GetPageSize()),
	}
	if in.GetSystem() {
		f.Workspace = audit.SystemWorkspace
	}
	after, err := readPage(in.GetPageToken())
	if err != nil {
		return nil, err
	}
	if after.ID != "" {
		f.After = &audit.Cursor{Time: after.Time, ChainID: after.ID, Seq: after.Seq}
	}
	events, err := a.s.Events.Events(ctx, f)
	if err != nil {
		return nil, storeFault("the audit trail cannot be read now; try again", err)
	}
	out := &onedoorv1.AuditListResponse{}
	for i := range events {
		out.Events = append(out.Events, eventMessage(&events[i]))
	}
	if len(events) == f.Limit {
		last := events[len(events)-1]
		out.NextPageToken = page{Time: last.Time, ID: last.ChainID, Seq: last.Seq}.token()
	}
	return out, nil
}
