package client

import "errors"

// Reason is the broker's machine-readable reason for a refusal or failure; the
// file proto/onedoor/v1/reason.proto says what each means. A Reason is itself an
// error, to be the target of errors.Is:
//
//	if errors.Is(err, client.GrantMissing) { … }
//
// Reasons that a newer broker adds compare as well, spelled as they are sent.
type Reason string

// The reasons.
const (
	SVIDMissing              Reason = "SVID_MISSING"
	SVIDInvalid              Reason = "SVID_INVALID"
	SVIDExpired              Reason = "SVID_EXPIRED"
	TaskKeyInvalid           Reason = "TASK_KEY_INVALID"
	TaskEnded                Reason = "TASK_ENDED"
	GrantMissing             Reason = "GRANT_MISSING"
	GrantExpired             Reason = "GRANT_EXPIRED"
	SeverityExceeded         Reason = "SEVERITY_EXCEEDED"
	ResourceNotGranted       Reason = "RESOURCE_NOT_GRANTED"
	DelegationWidens         Reason = "DELEGATION_WIDENS"
	ApprovalRequired         Reason = "APPROVAL_REQUIRED"
	CallerNotAllowed         Reason = "CALLER_NOT_ALLOWED"
	EgressDenied             Reason = "EGRESS_DENIED"
	ArgumentInvalid          Reason = "ARGUMENT_INVALID"
	ConnectorUnknown         Reason = "CONNECTOR_UNKNOWN"
	ToolUnknown              Reason = "TOOL_UNKNOWN"
	TaskUnknown              Reason = "TASK_UNKNOWN"
	CredentialUnknown        Reason = "CREDENTIAL_UNKNOWN"
	CredentialMissing        Reason = "CREDENTIAL_MISSING"
	CredentialNeedsReconnect Reason = "CREDENTIAL_NEEDS_RECONNECT"
	ConnectorChanged         Reason = "CONNECTOR_CHANGED"
	LimitReached             Reason = "LIMIT_REACHED"
	Conflict                 Reason = "CONFLICT"
	RateLimited              Reason = "RATE_LIMITED"
	ResponseTooLarge         Reason = "RESPONSE_TOO_LARGE"
	AnswerDropped            Reason = "ANSWER_DROPPED"
	UpstreamTimeout          Reason = "UPSTREAM_TIMEOUT"
	UpstreamUnavailable      Reason = "UPSTREAM_UNAVAILABLE"
	StoreUnavailable         Reason = "STORE_UNAVAILABLE"
	AuditUnavailable         Reason = "AUDIT_UNAVAILABLE"
	IssuerUnavailable        Reason = "ISSUER_UNAVAILABLE"
	OutcomeUnknown           Reason = "OUTCOME_UNKNOWN"
	Internal                 Reason = "INTERNAL"
)

// Error gives the reason's name.
func (r Reason) Error() string { return string(r) }

// ReasonOf gives the reason that err carries, for a switch; empty where err is nil
// or none of the broker's.
func ReasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}
