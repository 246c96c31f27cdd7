package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

type usageCmd struct {
	By        []string      `placeholder:"WHAT" help:"What gets sums of its own: user, agent, task, model, connector, day; several with commas."`
	Since     time.Duration `default:"24h" placeholder:"DURATION" help:"Calls from so long ago until now, in h, m and s; 24h unless given."`
	User      string        `placeholder:"U" help:"Only calls for this user, as the issuer names them."`
	Issuer    string        `placeholder:"URL" help:"Who names the user; \"local\" unless given."`
	UserID    string        `name:"user-id" placeholder:"ID" help:"Only calls for this user, by the id that providers are told."`
	Agent     string        `placeholder:"A" help:"Only calls of this agent."`
	Task      string        `placeholder:"ID" help:"Only calls of this task."`
	Connector string        `placeholder:"C" help:"Only calls of this connector."`
	Model     string        `placeholder:"M" help:"Only calls that this model answered."`
}

func (usageCmd) Help() string {
	return `Tokens and money of the calls that went to model APIs, as the providers counted them. EST says how many of the
calls are counted by their estimate, since their provider did not say what they used, or not to the end. Calls whose
model has no price in its connector's manifest are not in USD; UNPRICED says how many.

  onedoor usage --by user,model
  onedoor usage --since 720h --by day --user alice`
}

// Run implements the command.
func (c *usageCmd) Run(s *session) error {
	request := &onedoorv1.UsageSummarizeRequest{
		Workspace: s.workspace, User: c.User, Issuer: c.Issuer, UserId: c.UserID, Agent: c.Agent, TaskId: c.Task, Connector: c.Connector, Model: c.Model,
	}
	if c.Since <= 0 {
		return usageError{"--since wants a time above 0, for instance 24h"}
	}
	request.Since = timestamppb.New(time.Now().Add(-c.Since))
	for _, name := range c.By {
		group, ok := onedoorv1.UsageGroup_value["USAGE_GROUP_"+strings.ToUpper(name)]
		if !ok || group == 0 {
			return usageError{"--by wants user, agent, task, model, connector or day, not " + strconv.Quote(name)}
		}
		request.GroupBy = append(request.GroupBy, onedoorv1.UsageGroup(group))
	}
	return s.call(adminTimeout, func(ctx context.Context, cl *client.Client) error {
		answer, err := cl.Usage().Summarize(ctx, request)
		if err != nil {
			return err
		}
		return s.show(answer, func(t *table) { usageRows(t, request.GetGroupBy(), answer) })
	})
}

func usageRows(t *table, by []onedoorv1.UsageGroup, answer *onedoorv1.UsageSummarizeResponse) {
	var head []string
	for _, g := range by {
		head = append(head, enum(g, "USAGE_GROUP_"))
	}
	t.row(append(head, "CALLS", "INPUT", "CACHED", "OUTPUT", "USD", "EST", "UNPRICED")...)
	for _, sum := range answer.GetSums() {
		var cells []string
		for _, g := range by {
			cells = append(cells, usageCell(g, sum))
		}
		t.row(append(cells, number(sum.GetCalls()), number(sum.GetInputTokens()), number(sum.GetCachedTokens()), number(sum.GetOutputTokens()),
			dollars(sum.GetMicroUsd()), number(sum.GetEstimatedCalls()), number(sum.GetUnpricedCalls()))...)
	}
	if answer.GetMore() {
		t.line("There is more. Narrow the question.")
	}
}

func usageCell(g onedoorv1.UsageGroup, sum *onedoorv1.UsageSum) string {
	switch g {
	case onedoorv1.UsageGroup_USAGE_GROUP_USER:
		if sum.GetUserSubject() == "" {
			return sum.GetUserId()
		}
		return sum.GetUserSubject()
	case onedoorv1.UsageGroup_USAGE_GROUP_AGENT:
		return sum.GetAgent()
	case onedoorv1.UsageGroup_USAGE_GROUP_TASK:
		return sum.GetTaskId()
	case onedoorv1.UsageGroup_USAGE_GROUP_MODEL:
		return sum.GetModel()
	case onedoorv1.UsageGroup_USAGE_GROUP_CONNECTOR:
		return sum.GetConnector()
	case onedoorv1.UsageGroup_USAGE_GROUP_DAY:
		return sum.GetDay()
	case onedoorv1.UsageGroup_USAGE_GROUP_UNSPECIFIED:
	}
	return ""
}

// dollars shows millionths of a dollar; zero is empty.
func dollars(micro int64) string {
	const one = 1_000_000
	if micro == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%06d", micro/one, micro%one)
}
