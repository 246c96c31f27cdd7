package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

type auditCmd struct {
	List auditListCmd `cmd:"" help:"List events, newest first."`
}

type auditListCmd struct {
	Task       string `placeholder:"ID" help:"Only events of this task."`
	Invocation string `placeholder:"ID" help:"Only events of this invocation."`
	System     bool   `help:"Refusals before a task was known."`
	Limit      int    `default:"50" placeholder:"N" help:"At most so many events; 50 unless given."`
}

func (auditListCmd) Help() string {
	return `A call is an INTENT, written before it leaves, and an OUTCOME, written after; a call that was not allowed
is a REFUSAL. -o json has every field of every row.

  onedoor audit list --task 0198c5a2-7a3e-7c10-9d5e-2f6a1b3c4d5e`
}

// Run implements the command.
func (c *auditListCmd) Run(s *session) error {
	if c.Limit < 1 {
		return usageError{"--limit wants a number above 0"}
	}
	return s.call(adminTimeout, func(ctx context.Context, cl *client.Client) error {
		all := &onedoorv1.AuditListResponse{}
		request := &onedoorv1.AuditListRequest{Workspace: s.workspace, TaskId: c.Task, InvocationId: c.Invocation, System: c.System}
		for {
			request.PageSize = int32(min(c.Limit-len(all.Events), wholePages)) //nolint:gosec // a page is some hundred rows
			page, err := cl.Audit().List(ctx, request)
			if err != nil {
				return err
			}
			all.Events = append(all.Events, page.GetEvents()...)
			all.NextPageToken, request.PageToken = page.GetNextPageToken(), page.GetNextPageToken()
			if request.PageToken == "" || len(all.Events) >= c.Limit {
				break
			}
		}
		return s.show(all, func(t *table) { auditRows(t, all.GetEvents()) })
	})
}

// auditRows shows what fits a terminal; -o json has every field.
func auditRows(t *table, events []*onedoorv1.AuditEvent) {
	t.row("TIME", "KIND", "WHO", "CALL", "RESOURCES", "RESULT", "STATUS", "INVOCATION")
	for _, e := range events {
		who := strings.TrimPrefix(e.GetSpiffeId(), "spiffe://")
		if e.GetAgent() != "" {
			who = actors(e) + " @ " + who
		}
		call := strings.TrimSpace(e.GetConnector() + " " + e.GetTool())
		t.row(moment(e.GetTime()), e.GetKind(), who, call, shortened(strings.Join(e.GetResources(), ", ")),
			auditResult(e), number(int64(e.GetUpstreamStatus())), e.GetInvocationId())
	}
}

// widest is how many characters of a list a table shows.
const widest = 48

func shortened(text string) string {
	letters := []rune(text)
	if len(letters) <= widest {
		return text
	}
	return string(letters[:widest-1]) + "…"
}

// auditResult puts what became of it in one cell.
func auditResult(e *onedoorv1.AuditEvent) string {
	parts := []string{e.GetOutcome(), e.GetReason()}
	if e.GetOutcome() == "" {
		parts[0] = e.GetDecision()
	}
	if e.GetCount() > 1 {
		parts = append(parts, "×"+strconv.FormatInt(e.GetCount(), 10))
	}
	return strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
}

// number shows n; zero is empty.
func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
