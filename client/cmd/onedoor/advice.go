package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/onedoor/onedoor/client"
)

// otherType finds that an argument is of another type than the tool's schema wants. It serves
// for advice alone: decisions go by the reason.
var otherType = regexp.MustCompile(`: want (array|boolean|integer|null|number|object)\b`)

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
		return mendAdvice(e.Metadata)
	case client.CallerNotAllowed:
		return identityAdvice(e.Metadata)
	case client.RateLimited:
		if e.RetryAfter > 0 {
			return limitAdvice(e)
		}
	case client.ArgumentInvalid:
		if otherType.MatchString(e.Message) {
			return "Of a call's arguments --arg NAME=TEXT is text whatever the tool expects; --arg NAME:=JSON is a number, a list, true or null."
		}
	case client.ConnectorUnknown:
		if e.Metadata["mend"] == "proxies" {
			return "Which proxies there are, and in which workspace their secrets are put, stands in egress.proxies of the broker's configuration."
		}
	case client.OutcomeUnknown:
		if e.IdempotencyKey != "" {
			return "To repeat it safely: --idempotency-key " + e.IdempotencyKey + ". CONFLICT then names the first invocation and how it ended."
		}
	case client.LimitReached:
		if bound, ok := strings.CutPrefix(e.Metadata["limit"], "delegation."); ok {
			return treeAdvice(bound, e.Metadata["raise"])
		}
		if e.Metadata["left"] != "" {
			return "Make the call smaller, as it says, or mint a task with a higher limit."
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

// limitAdvice says when to come again, and what would let more in.
func limitAdvice(e *client.Error) string {
	advice := fmt.Sprintf("Nothing was sent. Try again later, in %s.", max(e.RetryAfter.Round(100*time.Millisecond), 100*time.Millisecond))
	if raise := e.Metadata["raise"]; raise != "" {
		advice += " An operator raises it with " + raise + " in the broker's configuration."
	}
	return advice
}

// treeAdvice says how a task may delegate again, whose tree has reached a bound.
func treeAdvice(bound, raise string) string {
	advice := "An operator raises it with " + raise + " in the broker's configuration."
	if bound == "depth" {
		return advice
	}
	return `"onedoor task end ID" frees the place of a child that is done. ` + advice
}

// reasonAdvice is the advice that depends on nothing but the reason.
func reasonAdvice(reason client.Reason) string {
	switch reason {
	case client.SVIDMissing, client.SVIDInvalid:
		return "The broker does not trust this process's SVID. Is " + client.EnvWorkloadSocket + " the Workload API of the right trust domain?"
	case client.TaskKeyInvalid:
		return "Is " + client.EnvTaskKey + " the whole key of this sandbox's task? It works only with the very SPIFFE ID for which the task was made."
	case client.TaskEnded:
		return "Its key never works again. An orchestrator can mint a new task: onedoor task create"
	case client.ConnectorUnknown:
		return `An operator sees all connectors with "onedoor connector list", a sandbox its tools with "onedoor tools".`
	case client.GrantMissing, client.ToolUnknown:
		return `"onedoor tools" lists what this task may call.`
	case client.ResourceNotGranted, client.SeverityExceeded, client.GrantExpired:
		return `"onedoor explain CONNECTOR TOOL --arg …" shows what the call needs.`
	case client.DelegationWidens:
		return `"onedoor task get" shows what your own task may do, and to whom it may delegate: a child gets no more.`
	case client.ConnectorChanged:
		return "The revision on which the task runs was withdrawn: mint a new task."
	case client.LimitReached:
		return "The grant is used up: mint a new task, or one with a higher limit."
	case client.RateLimited, client.StoreUnavailable, client.AuditUnavailable, client.UpstreamUnavailable, client.IssuerUnavailable:
		return "Nothing was sent. Try again later."
	case client.AnswerDropped:
		return "The call was made: find out whether it took effect. A stream (--stream) need not be held; an operator raises limits.held_bytes."
	case client.OutcomeUnknown:
		return "Find out whether it was made before you repeat it."
	case client.Internal:
		return "The broker's log has the cause under the invocation's id."
	}
	return ""
}

// identityAdvice is what lets a caller do what is not theirs, if the broker says what does.
func identityAdvice(metadata map[string]string) string {
	switch raise := metadata["raise"]; metadata["mend"] {
	case "role":
		return "Is " + client.EnvWorkloadSocket + " that of the right role (operator, orchestrator)? The broker's configuration says whose it is, in workspaces."
	case "workspace":
		return "Is --workspace-name right, and " + client.EnvWorkloadSocket + " that of the right role (operator, orchestrator) in it?"
	case "deny_list":
		return "An operator takes the ID off the list that spiffe.denied_ids_file in the broker's configuration names, if it is to come back."
	case "version":
		return "The broker is older than this command: update it, or use a command of its version."
	case "delegates":
		return "An orchestrator can mint a task that may: onedoor task create --delegate ID"
	case "":
		if raise != "" {
			return "An operator allows it with " + raise + " in the broker's configuration."
		}
	}
	return ""
}

// mendAdvice is the command that mends a credential, if the broker says that one does.
func mendAdvice(metadata map[string]string) string {
	switch metadata["mend"] {
	case "connect":
		return "An operator can make a link by which the user connects it: " + connectCommand(metadata)
	case "put":
		return "An operator can put it: " + putCommand(metadata)
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

// connectCommand spells the command by which a user connects an account.
func connectCommand(metadata map[string]string) string {
	text := "onedoor credential connect " + orPlaceholder(metadata["connector"], "CONNECTOR") + " --user " + orPlaceholder(metadata["user"], "USER")
	if slot := metadata["slot"]; slot != "" && slot != "main" {
		text += " --slot " + shellWord(slot)
	}
	return text
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
