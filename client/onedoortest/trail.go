package onedoortest

import (
	"testing"
	"time"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// outcomePatience is how long Calls waits for outcomes: they are written some moments
// after the answer.
const outcomePatience = 5 * time.Second

// Call is one call of a task's, made or refused, as the audit trail has it.
type Call struct {
	// Connector and Tool are what was called.
	Connector, Tool string
	// Resources are what it acts on, for instance "contact:42".
	Resources []string
	// TaskID and InvocationID name it in the trail. TaskID is empty where the caller proved
	// no task, by a wrong key for instance.
	TaskID, InvocationID string
	// Outcome is how a call that was made ended: OK, UPSTREAM_ERROR, NOT_SENT, FAILED or
	// UNKNOWN. It is empty for a refused one, and for one that runs still.
	Outcome string
	// Status is the upstream's HTTP status, where it answered.
	Status int
	// Reason is why a call was refused or failed; empty for one that went well.
	Reason client.Reason
	// Count is 1, or how many like refusals the trail has counted together.
	Count int
}

// Calls gives the calls of all tasks so far, the oldest first. It waits some seconds for
// the outcomes of those that were made.
func (b *Broker) Calls(t testing.TB) []Call {
	t.Helper()
	for end := time.Now().Add(outcomePatience); ; time.Sleep(10 * time.Millisecond) {
		calls, open := callsOf(b.Audit(t))
		if !open || time.Now().After(end) {
			return calls
		}
	}
}

// callsOf joins intents with their outcomes. open says that one is missing.
func callsOf(events []*onedoorv1.AuditEvent) (calls []Call, open bool) {
	made := map[string]int{} // by invocation
	for _, e := range events {
		switch e.GetKind() {
		case "INTENT", "REFUSAL":
			if e.GetKind() == "INTENT" {
				made[e.GetInvocationId()] = len(calls)
			}
			calls = append(calls, Call{
				Connector: e.GetConnector(), Tool: e.GetTool(), Resources: e.GetResources(), TaskID: e.GetTaskId(),
				InvocationID: e.GetInvocationId(), Reason: client.Reason(e.GetReason()), Count: int(e.GetCount()),
			})
		case "OUTCOME":
			if i, known := made[e.GetInvocationId()]; known {
				calls[i].Outcome, calls[i].Status = e.GetOutcome(), int(e.GetUpstreamStatus())
				calls[i].Reason = client.Reason(e.GetReason())
				delete(made, e.GetInvocationId())
			}
		}
	}
	return calls, len(made) > 0
}

// Audit gives the whole trail, the oldest event first.
func (b *Broker) Audit(t testing.TB) []*onedoorv1.AuditEvent {
	t.Helper()
	var newest []*onedoorv1.AuditEvent
	request := &onedoorv1.AuditListRequest{PageSize: 500}
	for {
		page, err := b.operator.Audit().List(t.Context(), request)
		must(t, "read the trail", err)
		newest = append(newest, page.GetEvents()...)
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			break
		}
	}
	oldest := make([]*onedoorv1.AuditEvent, len(newest))
	for i, e := range newest {
		oldest[len(newest)-1-i] = e
	}
	return oldest
}
