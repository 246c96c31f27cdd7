package api

import (
	"context"
	"time"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/task"
)

// mostSums is how many sums one answer has.
const mostSums = 1000

type usageServer struct {
	onedoorv1.UnimplementedUsageServer
	s Services
}

func (u *usageServer) Summarize(ctx context.Context, in *onedoorv1.UsageSummarizeRequest) (*onedoorv1.UsageSummarizeResponse, error) {
	q := audit.UsageQuery{
		Workspace: callOf(ctx).who.Workspace, Until: u.s.Now().Add(time.Microsecond),
		UserID: in.GetUserId(), UserSubject: in.GetUser(), UserIssuer: in.GetIssuer(), Agent: in.GetAgent(), TaskID: in.GetTaskId(),
		Connector: in.GetConnector(), Model: in.GetModel(), By: groups(in.GetGroupBy()), Limit: mostSums + 1,
	}
	if in.GetSince() != nil {
		q.From = in.GetSince().AsTime()
	}
	if in.GetUntil() != nil {
		q.Until = in.GetUntil().AsTime()
	}
	switch {
	case !q.From.Before(q.Until):
		return nil, fault.Invalid("until", "must be after since")
	case q.UserSubject == "" && q.UserIssuer != "":
		return nil, fault.Invalid("issuer", "belongs to a user")
	case q.UserIssuer == "":
		q.UserIssuer = task.LocalIssuer
	}
	sums, err := u.s.Usage.Usage(ctx, q)
	if err != nil {
		return nil, storeFault("the ledger cannot be read now; try again", err)
	}
	out := &onedoorv1.UsageSummarizeResponse{More: len(sums) > mostSums}
	for i := range sums[:min(len(sums), mostSums)] {
		out.Sums = append(out.Sums, sumMessage(&sums[i]))
	}
	return out, nil
}

func groups(list []onedoorv1.UsageGroup) (by audit.UsageGroups) {
	for _, g := range list {
		switch g {
		case onedoorv1.UsageGroup_USAGE_GROUP_USER:
			by.User = true
		case onedoorv1.UsageGroup_USAGE_GROUP_AGENT:
			by.Agent = true
		case onedoorv1.UsageGroup_USAGE_GROUP_TASK:
			by.Task = true
		case onedoorv1.UsageGroup_USAGE_GROUP_MODEL:
			by.Model = true
		case onedoorv1.UsageGroup_USAGE_GROUP_CONNECTOR:
			by.Connector = true
		case onedoorv1.UsageGroup_USAGE_GROUP_DAY:
			by.Day = true
		case onedoorv1.UsageGroup_USAGE_GROUP_UNSPECIFIED:
		}
	}
	return by
}

func sumMessage(s *audit.UsageSum) *onedoorv1.UsageSum {
	return &onedoorv1.UsageSum{
		UserId: s.UserID, UserSubject: s.UserSubject, UserIssuer: s.UserIssuer, Agent: s.Agent, TaskId: s.TaskID,
		Model: s.Model, Connector: s.Connector, Day: s.Day,
		Calls: s.Calls, EstimatedCalls: s.Estimated, UnpricedCalls: s.Unpriced,
		InputTokens: s.Input, CachedTokens: s.CachedInput, CacheWriteTokens: s.CacheWrite, OutputTokens: s.Output, MicroUsd: s.MicroUSD,
	}
}
