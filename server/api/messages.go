package api

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/broker"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

// timestamp leaves a zero time unset.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func severityMessage(s grant.Severity) onedoorv1.Severity {
	return onedoorv1.Severity(s) //nolint:gosec // five values; a test holds the two enums equal
}

func taskMessage(t task.Task, grants []grant.Grant, now time.Time) *onedoorv1.Task {
	m := &onedoorv1.Task{
		Id: t.ID, Workspace: t.Workspace, Agent: t.Agent, UserId: t.User.ID, UserSubject: t.User.Subject, UserIssuer: t.User.Issuer,
		Sandbox: t.Sandbox.String(), State: onedoorv1.TaskState(onedoorv1.TaskState_value["TASK_STATE_"+string(t.StateAt(now))]),
		CreatedAt: timestamp(t.CreatedAt), ExpiresAt: timestamp(t.ExpiresAt), EndedAt: timestamp(t.EndedAt),
		CreatedBy: t.CreatedBy, KeyId: t.KeyID, ParentId: t.ParentID, RootId: t.RootID, Delegates: t.Delegates,
		Depth: int32(t.Depth), //nolint:gosec // the configuration bounds it
	}
	for _, g := range grants {
		m.Grants = append(m.Grants, grantMessage(g))
	}
	return m
}

func grantMessage(g grant.Grant) *onedoorv1.Grant {
	m := &onedoorv1.Grant{
		Id: g.ID, Connector: g.Connector, Revision: g.Revision, Tools: g.Tools,
		MaxSeverity: severityMessage(g.MaxSeverity), ExpiresAt: timestamp(g.ExpiresAt),
	}
	if g.Limits.Any() {
		m.Limits = &onedoorv1.Limits{
			Calls: g.Limits.Calls, Bytes: g.Limits.Bytes, Rows: g.Limits.Rows, Tokens: g.Limits.Tokens, MicroUsd: g.Limits.MicroUSD,
		}
	}
	for _, p := range g.Resources {
		m.Resources = append(m.Resources, p.String())
	}
	return m
}

func toolMessage(t broker.GrantedTool) *onedoorv1.Tool {
	return &onedoorv1.Tool{
		Connector: t.Connector.Name, Name: t.Tool.Name, Description: t.Tool.Description, Severity: severityMessage(t.Tool.Severity),
		ArgumentsSchema: t.Tool.Schema, Resources: t.Tool.Resources, GrantedResources: t.Patterns,
		Idempotent: t.Tool.Idempotent, FunctionName: t.Tool.FunctionName,
	}
}

func explanationMessage(x broker.Explanation) *onedoorv1.ExplainResponse {
	m := &onedoorv1.ExplainResponse{Allowed: x.Err == nil && x.Decision.Allowed, Severity: severityMessage(x.Severity)}
	if x.Decision.Grant != nil {
		m.GrantId = x.Decision.Grant.ID
	}
	if x.Err != nil {
		f := fault.From(x.Err)
		m.Reason, m.Explanation = string(f.Reason), f.Public
	}
	for _, r := range x.Resources {
		m.Resources = append(m.Resources, r.String())
	}
	return m
}

func revisionMessage(r connector.Revision, c *connector.Connector) *onedoorv1.Connector {
	m := &onedoorv1.Connector{
		Name: r.Name, Revision: r.Number, Sha256: r.SHA256, Description: c.Description, Kind: c.Kind,
		Origins: []string{c.Origin.String()}, AppliedAt: timestamp(r.AppliedAt), AppliedBy: r.AppliedBy, Withdrawn: r.Withdrawn,
	}
	for _, t := range c.Tools {
		m.Tools = append(m.Tools, t.Name)
	}
	return m
}

func credentialMessage(r credential.Record) *onedoorv1.Credential {
	m := &onedoorv1.Credential{
		Id: r.ID, Connector: r.Connector, Slot: r.Slot, UserId: r.UserID, UserSubject: r.UserSubject, Kind: r.Kind,
		Version: r.Version, CreatedAt: timestamp(r.CreatedAt), CreatedBy: r.CreatedBy, Origins: r.Origins,
		UserIssuer: r.UserIssuer, State: onedoorv1.CredentialState_CREDENTIAL_STATE_CONNECTED,
	}
	if r.Dead {
		m.State, m.StateReason = onedoorv1.CredentialState_CREDENTIAL_STATE_NEEDS_RECONNECT, r.Reason
	}
	return m
}

func keyMessage(k vault.WrappedKey) *onedoorv1.Key {
	m := &onedoorv1.Key{Id: k.ID, CreatedAt: timestamp(k.CreatedAt), ActivatedAt: timestamp(k.ActivatedAt)}
	switch k.Purpose {
	case vault.KEK:
		m.Purpose = onedoorv1.KeyPurpose_KEY_PURPOSE_KEK
	case vault.Pepper:
		m.Purpose = onedoorv1.KeyPurpose_KEY_PURPOSE_PEPPER
	case vault.Audit:
		m.Purpose = onedoorv1.KeyPurpose_KEY_PURPOSE_AUDIT
	case vault.Assertion:
		m.Purpose = onedoorv1.KeyPurpose_KEY_PURPOSE_ASSERTION
	}
	switch k.State {
	case vault.KeyPending:
		m.State = onedoorv1.KeyState_KEY_STATE_PENDING
	case vault.KeyActive:
		m.State = onedoorv1.KeyState_KEY_STATE_ACTIVE
	case vault.KeyRetired:
		m.State = onedoorv1.KeyState_KEY_STATE_RETIRED
	}
	return m
}

func eventMessage(e *audit.Event) *onedoorv1.AuditEvent {
	return &onedoorv1.AuditEvent{
		ChainId: e.ChainID, Seq: e.Seq, Time: timestamp(e.Time), Kind: string(e.Kind), BrokerId: e.BrokerID,
		InvocationId: e.InvocationID, SpiffeId: e.SPIFFEID, AuthMethod: e.AuthMethod, Peer: e.Peer,
		TaskId: e.TaskID, KeyId: e.KeyID, UserId: e.UserID, Agent: e.Agent,
		Connector: e.Connector, Revision: e.Revision, Tool: e.Tool, Resources: e.Resources, Severity: severityMessage(e.Severity),
		GrantId: e.GrantID, CredentialId: e.CredentialID, CredentialVersion: e.CredentialVersion,
		Decision: e.Decision, Reason: e.Reason, Outcome: string(e.Outcome), UpstreamStatus: int32(e.UpstreamStatus), //nolint:gosec // three digits
		RequestBytes: e.RequestBytes, ResponseBytes: e.ResponseBytes, DurationUs: e.Duration.Microseconds(),
		Count: e.Count, Hash: e.Hash, PrevHash: e.PrevHash, Detail: e.Detail,
	}
}
