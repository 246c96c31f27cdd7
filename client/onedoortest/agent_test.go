package onedoortest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/client/onedoortest"
)

// crm is the manifest of a connector; a file of its own in practice.
const crm = `
connector: crm
kind: http
origin: https://crm.example.com
credentials:
  main: {owner: user, attach: bearer}
tools:
  - name: contacts.get
    severity: READ
    method: GET
    path: /contacts/{id}
    arguments: {type: object, required: [id], properties: {id: {type: string}}}
    resources: ["contact:{id}"]
  - name: contacts.export
    severity: READ
    method: GET
    path: /contacts
    arguments: {type: object}
    resources: ["contact:*"]
  - name: contacts.delete
    severity: DESTRUCTIVE
    method: DELETE
    path: /contacts/{id}
    arguments: {type: object, required: [id], properties: {id: {type: string}}}
    resources: ["contact:{id}"]
`

// fakeCRM knows one contact.
func fakeCRM() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /contacts/42", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"42","email":"ada@example.com"}`)
	})
	mux.HandleFunc("GET /contacts", func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"ada", "grace", "edsger"} {
			_, _ = fmt.Fprintln(w, name)
			_ = http.NewResponseController(w).Flush()
		}
	})
	return mux
}

// email is the agent under test: it reads one contact's address.
func email(ctx context.Context, c *client.Client, id string) (string, error) {
	answer, err := c.Invoke(ctx, "crm", "contacts.get", map[string]string{"id": id})
	if err != nil {
		return "", err
	}
	if answer.Status != http.StatusOK {
		return "", fmt.Errorf("no contact %s", id)
	}
	var contact struct{ Email string }
	err = json.Unmarshal(answer.Body, &contact)
	return contact.Email, err
}

// An agent that reads a contact, and what the trail says of it.
func TestAgentReads(t *testing.T) {
	t.Parallel()
	b := onedoortest.Start(t)
	b.Upstream(t, crm, fakeCRM())

	address, err := email(t.Context(), b.Task(t, "crm: contacts.get READ contact:42"), "42")
	require.NoError(t, err)
	require.Equal(t, "ada@example.com", address)

	calls := b.Calls(t)
	require.Len(t, calls, 1)
	require.Equal(t, "contacts.get", calls[0].Tool)
	require.Equal(t, []string{"contact:42"}, calls[0].Resources)
	require.Equal(t, "OK", calls[0].Outcome)
}

// An agent that goes too far, and is refused before anything is sent.
func TestAgentIsRefused(t *testing.T) {
	t.Parallel()
	b := onedoortest.Start(t)
	b.Upstream(t, crm, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("something was sent") }))
	agent := b.Task(t, "crm: contacts.get READ contact:42")

	_, err := email(t.Context(), agent, "43")
	require.ErrorIs(t, err, client.ResourceNotGranted)
	_, err = agent.Invoke(t.Context(), "crm", "contacts.delete", map[string]string{"id": "42"})
	require.ErrorIs(t, err, client.GrantMissing)

	calls := b.Calls(t)
	require.Len(t, calls, 2)
	require.Equal(t, client.ResourceNotGranted, calls[0].Reason)
	require.Equal(t, client.GrantMissing, calls[1].Reason)
	require.Empty(t, calls[1].Outcome)
}

// An agent that reads a long answer as it comes.
func TestAgentStreams(t *testing.T) {
	t.Parallel()
	b := onedoortest.Start(t)
	b.Upstream(t, crm, fakeCRM())

	stream, err := b.Task(t, "crm: contacts.export READ contact:*").InvokeStream(t.Context(), "crm", "contacts.export", nil)
	require.NoError(t, err)
	var names []byte
	for piece, err := range stream.Data() {
		require.NoError(t, err)
		names = append(names, piece...)
	}
	require.Equal(t, "ada\ngrace\nedsger\n", string(names))
}

// A task that is revoked while its agent works.
func TestAgentIsStopped(t *testing.T) {
	t.Parallel()
	b := onedoortest.Start(t)
	b.Upstream(t, crm, fakeCRM())
	id, key := b.Mint(t, onedoortest.Task{Grants: []string{"crm: contacts.get READ contact:*"}})
	agent := b.Client(t, onedoortest.Sandbox, key)
	_, err := email(t.Context(), agent, "42")
	require.NoError(t, err)

	b.Revoke(t, id)
	_, err = email(t.Context(), agent, "42")
	require.ErrorIs(t, err, client.TaskEnded)
}

// plan is an agent that gives a part of its task to a sub-agent.
func plan(ctx context.Context, c *client.Client, sandbox, contact string) (*client.Delegated, error) {
	return c.Delegate(ctx, client.Delegation{
		Agent: "searcher", Sandbox: sandbox, Grants: []string{"crm: contacts.get READ contact:" + contact + " calls=1"},
	})
}

// An agent with a sub-agent, which gets a part of the task, works under its own identity,
// and ends with the agent.
func TestAgentDelegates(t *testing.T) {
	t.Parallel()
	b := onedoortest.Start(t)
	b.Upstream(t, crm, fakeCRM())
	id, key := b.Mint(t, onedoortest.Task{Grants: []string{"crm: contacts.get READ contact:42"}, Delegates: []string{"searcher"}})
	agent := b.Client(t, onedoortest.Sandbox, key)
	there := onedoortest.SandboxID("searcher")

	_, err := plan(t.Context(), agent, there, "43")
	require.ErrorIs(t, err, client.DelegationWidens)
	_, err = plan(t.Context(), agent, onedoortest.SandboxID("stranger"), "42")
	require.ErrorIs(t, err, client.DelegationWidens)
	child, err := plan(t.Context(), agent, there, "42")
	require.NoError(t, err)
	require.Equal(t, id, child.Task.GetParentId())

	searcher := b.Client(t, "searcher", child.Key)
	address, err := email(t.Context(), searcher, "42")
	require.NoError(t, err)
	require.Equal(t, "ada@example.com", address)
	_, err = email(t.Context(), searcher, "42")
	require.ErrorIs(t, err, client.LimitReached, "its own limit")
	_, err = email(t.Context(), agent, "42")
	require.NoError(t, err, "which is not the agent's")
	_, err = email(t.Context(), b.Client(t, onedoortest.Sandbox, child.Key), "42")
	require.ErrorIs(t, err, client.TaskKeyInvalid, "in another sandbox")

	b.Revoke(t, id)
	_, err = email(t.Context(), searcher, "42")
	require.ErrorIs(t, err, client.TaskEnded)
}
