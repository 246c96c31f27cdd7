package api

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/vault"
)

type tasksServer struct {
	onedoorv1.UnimplementedTasksServer
	s Services
}

func (t *tasksServer) Create(ctx context.Context, in *onedoorv1.TasksCreateRequest) (*onedoorv1.TasksCreateResponse, error) {
	created, err := t.s.Mint.Create(ctx, callOf(ctx).who, mint.Request{
		Agent: in.GetAgent(), User: in.GetUser(), Sandbox: in.GetSandbox(), Grants: in.GetGrants(),
		TTL: in.GetTtl().AsDuration(), Delegates: in.GetDelegates(),
		IDToken: vault.NewSecret([]byte(in.GetIdToken())), Nonce: in.GetIdTokenNonce(),
	})
	if err != nil {
		return nil, err
	}
	callOf(ctx).result = actDetail{
		TaskID: created.Task.ID, UserID: created.Task.User.ID, UserIssuer: created.Task.User.Issuer, User: created.Task.User.Subject,
	}
	return &onedoorv1.TasksCreateResponse{
		TaskKey: created.Key.Reveal(), TaskId: created.Task.ID, KeyId: created.Task.KeyID,
		ExpiresAt: timestamppb.New(created.Task.ExpiresAt), Task: taskMessage(created.Task, created.Grants, t.s.Now()),
	}, nil
}

func (t *tasksServer) Get(ctx context.Context, in *onedoorv1.TasksGetRequest) (*onedoorv1.TasksGetResponse, error) {
	found, grants, err := t.s.Mint.Get(ctx, callOf(ctx).who, in.GetTaskId())
	if err != nil {
		return nil, err
	}
	return &onedoorv1.TasksGetResponse{Task: taskMessage(found, grants, t.s.Now())}, nil
}

func (t *tasksServer) List(ctx context.Context, in *onedoorv1.TasksListRequest) (*onedoorv1.TasksListResponse, error) {
	after, err := readPage(in.GetPageToken())
	if err != nil {
		return nil, err
	}
	limit := pageSize(in.GetPageSize())
	list, err := t.s.Mint.List(ctx, callOf(ctx).who, mint.Listing{
		RootID: in.GetRootId(), ActiveOnly: in.GetActiveOnly(), Limit: limit, AfterTime: after.Time, AfterID: after.ID,
	})
	if err != nil {
		return nil, err
	}
	out := &onedoorv1.TasksListResponse{}
	for _, l := range list {
		out.Tasks = append(out.Tasks, taskMessage(l.Task, l.Grants, t.s.Now()))
	}
	if len(list) == limit {
		last := list[len(list)-1].Task
		out.NextPageToken = page{Time: last.CreatedAt, ID: last.ID}.token()
	}
	return out, nil
}

func (t *tasksServer) Revoke(ctx context.Context, in *onedoorv1.TasksRevokeRequest) (*onedoorv1.TasksRevokeResponse, error) {
	ended, grants, err := t.s.Mint.Revoke(ctx, callOf(ctx).who, in.GetTaskId())
	if err != nil {
		return nil, err
	}
	return &onedoorv1.TasksRevokeResponse{Task: taskMessage(ended, grants, t.s.Now())}, nil
}
