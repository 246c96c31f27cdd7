package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/onedoor/onedoor/client/internal/brokertest"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

func TestUsageOfModels(t *testing.T) {
	answer := &onedoorv1.UsageSummarizeResponse{More: true, Sums: []*onedoorv1.UsageSum{
		{UserId: "u1", UserSubject: "alice", Model: "gpt-5", Calls: 3, InputTokens: 1200, CachedTokens: 200, OutputTokens: 90, MicroUsd: 2_500_001, EstimatedCalls: 1},
		{UserId: "u2", Model: "llama\x1b[2J", Calls: 1, InputTokens: 5, UnpricedCalls: 1},
	}}
	for name, k := range map[string]struct {
		args   []string
		sent   *onedoorv1.UsageSummarizeRequest
		since  time.Duration
		stdout string
	}{
		"by user and model": {
			[]string{"usage", "--by", "user,model", "--since", "1h", "--user", "alice", "--task", "t1"},
			&onedoorv1.UsageSummarizeRequest{
				GroupBy: []onedoorv1.UsageGroup{onedoorv1.UsageGroup_USAGE_GROUP_USER, onedoorv1.UsageGroup_USAGE_GROUP_MODEL}, User: "alice", TaskId: "t1",
			}, time.Hour,
			"USER   MODEL      CALLS  INPUT  CACHED  OUTPUT  USD       EST  UNPRICED\n" +
				"alice  gpt-5      3      1200   200     90      2.500001  1    -\n" +
				"u2     llama\uFFFD[2J  1      5      -       -       -         -    1\n" +
				"There is more. Narrow the question.\n",
		},
		"all of a day": {
			[]string{"--workspace-name", "w", "usage", "--agent", "a", "--connector", "c", "--model", "m", "--user-id", "u", "--issuer", "i"},
			&onedoorv1.UsageSummarizeRequest{Workspace: "w", Agent: "a", Connector: "c", Model: "m", UserId: "u", Issuer: "i"}, 24 * time.Hour,
			"CALLS  INPUT  CACHED  OUTPUT  USD       EST  UNPRICED\n3      1200   200     90      2.500001  1    -\n" +
				"1      5      -       -       -         -    1\nThere is more. Narrow the question.\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			broker := &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) { return answer, nil }}
			stage(t, broker)
			code, stdout, stderr := onedoor(t, "", k.args...)
			require.Zero(t, code, stderr)
			require.Equal(t, k.stdout, stdout)
			sent := broker.Calls()[0].Request.(*onedoorv1.UsageSummarizeRequest)
			require.WithinDuration(t, time.Now().Add(-k.since), sent.GetSince().AsTime(), 10*time.Minute)
			sent.Since = nil
			require.True(t, proto.Equal(k.sent, sent), "%v", sent)
		})
	}
	for name, args := range map[string][]string{
		"unknown group": {"usage", "--by", "user,colour"},
		"no group":      {"usage", "--by", "unspecified"},
		"no time":       {"usage", "--since", "0s"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, _ := onedoor(t, "", args...)
			require.Equal(t, exitUsage, code)
		})
	}
}
