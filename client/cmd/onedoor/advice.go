package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/onedoor/onedoor/client"
)

// advise says what to do about err: one line for the likeliest cause, or nothing.
func advise(err error) string {
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return `"onedoor --help" and "onedoor COMMAND --help" show how.`
	case errors.Is(err, client.ErrNotConfigured):
		return "In development: source DIR/env, where DIR is the broker's data folder."
	case errors.Is(err, client.ErrBrokerUntrusted):
		return client.EnvBrokerID + " must be the SPIFFE ID of the broker at " + client.EnvAddr + ", in a trust domain that your bundle knows."
	case errors.Is(err, client.ErrNoIdentity):
		return "Is the SPIFFE agent (or the development broker) running, and " + client.EnvWorkloadSocket + " its socket?"
	}
	var e *client.Error
	if !errors.As(err, &e) {
		return ""
	}
	switch e.Reason {
	case client.CredentialMissing, client.CredentialNeedsReconnect:
		return "An operator can put it: " + putCommand(e.Metadata)
	case client.OutcomeUnknown:
		if e.IdempotencyKey != "" {
			return "To repeat it safely: --idempotency-key " + e.IdempotencyKey + ". CONFLICT then names the first invocation and how it ended."
		}
	case client.Conflict:
		if first := e.Metadata["first_invocation_id"]; first != "" {
			return fmt.Sprintf("The first call's outcome is %s. For operators: onedoor audit list --invocation %s",
				orPlaceholder(e.Metadata["first_outcome"], "not known"), shellWord(first))
		}
		return "Look at how things stand now, then try again."
	}
	return reasonAdvice(e.Reason)
}

// reasonAdvice is the advice that depends on nothing but the reason.
func reasonAdvice(reason client.Reason) string {
	switch reason {
	case client.SVIDMissing, client.SVIDInvalid:
		return "The broker does not trust this process's SVID. Is " + client.EnvWorkloadSocket + " the Workload API of the right trust domain?"
	case client.TaskKeyInvalid:
		return "Is " + client.EnvTaskKey + " set? A key works only with the very SPIFFE ID for which its task was made."
	case client.TaskEnded:
		return "Its key never works again. An orchestrator can mint a new task: onedoor task create"
	case client.CallerNotAllowed:
		return "Is " + client.EnvWorkloadSocket + " that of the right role (operator, orchestrator, sandbox), and --workspace-name right?"
	case client.ConnectorUnknown:
		return `An operator sees all connectors with "onedoor connector list", a sandbox its tools with "onedoor tools".`
	case client.GrantMissing, client.ToolUnknown:
		return `"onedoor tools" lists what this task may call.`
	case client.ResourceNotGranted, client.SeverityExceeded, client.GrantExpired:
		return `"onedoor explain CONNECTOR TOOL --arg …" shows what the call needs.`
	case client.ConnectorChanged:
		return "The revision on which the task runs was withdrawn: mint a new task."
	case client.LimitReached:
		return "The grant is used up: mint a new task, or one with a higher limit."
	case client.RateLimited, client.StoreUnavailable, client.AuditUnavailable, client.UpstreamUnavailable, client.IssuerUnavailable:
		return "Nothing was sent. Try again later."
	case client.OutcomeUnknown:
		return "Find out whether it was made before you repeat it."
	case client.Internal:
		return "The broker's log has the cause under the invocation's id."
	}
	return ""
}

// putCommand spells the command that stores the missing credential, as far as the
// broker has said which it is.
func putCommand(metadata map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "onedoor credential put %s", orPlaceholder(metadata["connector"], "CONNECTOR"))
	switch {
	case metadata["owner"] == "workspace":
		b.WriteString(" --workspace")
	default:
		fmt.Fprintf(&b, " --user %s", orPlaceholder(metadata["user"], "USER"))
	}
	if slot := metadata["slot"]; slot != "" && slot != "main" {
		fmt.Fprintf(&b, " --slot %s", shellWord(slot))
	}
	b.WriteString(" --from-file FILE")
	return b.String()
}

func orPlaceholder(value, placeholder string) string {
	if value == "" {
		return placeholder
	}
	return shellWord(value)
}

// shellWord quotes s where a shell would not take it as one plain word: people paste
// what is printed here.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-@:/+", r)
	}
	if s != "" && s[0] != '-' && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
