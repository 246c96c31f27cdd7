package mint_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

func TestCreate(t *testing.T) {
	b := newBench(t)
	r := request("crm: contacts.* WRITE contact:* calls=10 until=2026-11-23T12:10:00Z")
	r.Delegates = []string{"spiffe://example.org/ns/a/2", "spiffe://example.org/ns/a/"}
	made := b.create(t, r)
	k := made.Task
	require.Equal(t, workspace, k.Workspace)
	require.Equal(t, "alice", k.User.Subject)
	require.Equal(t, task.LocalIssuer, k.User.Issuer)
	require.Equal(t, task.Active, k.State)
	require.Equal(t, noon, k.CreatedAt)
	require.Equal(t, noon.Add(15*time.Minute), k.ExpiresAt)
	require.Equal(t, "spiffe://example.org/orchestrator", k.CreatedBy)
	require.Equal(t, id("spiffe://example.org/ns/a/1"), k.Sandbox)
	require.Equal(t, k.ID, k.RootID)
	require.Zero(t, k.Depth)
	require.Equal(t, r.Delegates, k.Delegates)
	require.NotEqual(t, k.ID, k.KeyID)

	_, err := task.ParseKey(made.Key.Reveal())
	require.NoError(t, err)
	digest := sha256.Sum256([]byte(made.Key.Reveal()))
	found, err := b.store.Tasks().TaskByKey(t.Context(), [][]byte{digest[:]})
	require.NoError(t, err, "the key opens the task, by its hash")
	require.Equal(t, k, found.Task)
	require.Equal(t, made.Grants, found.Grants)
	require.Equal(t, []string{"contacts.get", "contacts.search", "contacts.update"}, made.Grants[0].Tools)
	require.EqualValues(t, 1, made.Grants[0].Revision)
	require.EqualValues(t, 10, made.Grants[0].Limits.Calls)

	again := b.create(t, r)
	require.Equal(t, k.User, again.Task.User, "a user is one user")
	require.NotEqual(t, k.ID, again.Task.ID)
}

// Every bound of the orchestrator, and every request that is none. Nothing is written.
func TestCreateRefuses(t *testing.T) {
	req := func(change func(r *mint.Request)) func(*mint.Request, *authn.Identity) {
		return func(r *mint.Request, _ *authn.Identity) { change(r) }
	}
	orc := func(change func(o *authn.Orchestrator)) func(*mint.Request, *authn.Identity) {
		return func(_ *mint.Request, by *authn.Identity) { change(by.Orchestrator) }
	}
	grants := func(texts ...string) func(*mint.Request, *authn.Identity) {
		return req(func(r *mint.Request) { r.Grants = texts })
	}
	const invalid, denied = fault.ArgumentInvalid, fault.CallerNotAllowed
	cases := map[string]struct {
		change func(r *mint.Request, by *authn.Identity)
		reason fault.Reason
		says   string
	}{
		"an operator":             {func(_ *mint.Request, by *authn.Identity) { *by = operator() }, denied, "only an orchestrator"},
		"no agent":                {req(func(r *mint.Request) { r.Agent = "" }), invalid, "agent"},
		"no user":                 {req(func(r *mint.Request) { r.User = "" }), invalid, "user"},
		"no sandbox":              {req(func(r *mint.Request) { r.Sandbox = "" }), invalid, "sandbox"},
		"agent with a line break": {req(func(r *mint.Request) { r.Agent = "a\nb" }), invalid, "agent"},
		"user with NUL":           {req(func(r *mint.Request) { r.User = "alice\x00" }), invalid, "user"},
		"user with an escape":     {req(func(r *mint.Request) { r.User = "\x1b[31malice" }), invalid, "user"},
		"user, zero width":        {req(func(r *mint.Request) { r.User = "ali\u200bce" }), invalid, "user"},
		"user, right to left":     {req(func(r *mint.Request) { r.User = "\u202ealice" }), invalid, "user"},
		"user, no-break space":    {req(func(r *mint.Request) { r.User = "alice\u00a0" }), invalid, "user"},
		"user not in form C":      {req(func(r *mint.Request) { r.User = "e\u0301ve" }), invalid, "user"},
		"user not in UTF-8":       {req(func(r *mint.Request) { r.User = "alice\xff" }), invalid, "user"},
		"a name and a token":      {req(func(r *mint.Request) { r.IDToken = vault.NewSecret([]byte("canary")) }), invalid, "not both"},
		"a nonce without a token": {req(func(r *mint.Request) { r.Nonce = "n" }), invalid, "id_token_nonce"},
		"a token that is none": {req(func(r *mint.Request) {
			r.User, r.IDToken = "", vault.NewSecret([]byte("canary"))
		}), invalid, "id_token"},
		"sandbox not a SPIFFE ID":   {req(func(r *mint.Request) { r.Sandbox = "https://example.org/ns/a/1" }), invalid, "sandbox"},
		"sandbox with dots":         {req(func(r *mint.Request) { r.Sandbox = "spiffe://example.org/ns/a/../b" }), invalid, "sandbox"},
		"sandbox elsewhere":         {req(func(r *mint.Request) { r.Sandbox = "spiffe://example.org/ns/b/1" }), denied, "sandbox"},
		"sandbox with a like name":  {req(func(r *mint.Request) { r.Sandbox = "spiffe://example.org/ns/a-evil/1" }), denied, "sandbox"},
		"sandbox of another domain": {req(func(r *mint.Request) { r.Sandbox = "spiffe://example.com/ns/a/1" }), denied, "sandbox"},
		"may not assert users":      {orc(func(o *authn.Orchestrator) { o.MayAssertUsers = false }), denied, "may_assert_users"},
		"no time":                   {req(func(r *mint.Request) { r.TTL = 0 }), invalid, "ttl"},
		"negative time":             {req(func(r *mint.Request) { r.TTL = -time.Minute }), invalid, "ttl"},
		"too long":                  {req(func(r *mint.Request) { r.TTL = time.Hour + 1 }), invalid, "at most 1h0m0s"},
		"no grants":                 {grants(), invalid, "at least one"},
		"malformed grant":           {grants("crm: contacts.get READ contact:*", "crm contacts.get"), invalid, "grants[1]"},
		"bare star for the tools":   {grants("crm: * READ contact:*"), invalid, "grants[0]"},
		"bare star for resources":   {grants("crm: contacts.get READ *"), invalid, "grants[0]"},
		"another connector":         {grants("billing: get READ bill:*"), denied, "billing"},
		"no connectors at all":      {orc(func(o *authn.Orchestrator) { o.Connectors = nil }), denied, "crm"},
		"unknown connector": {func(r *mint.Request, by *authn.Identity) {
			by.Orchestrator.Connectors, r.Grants = []string{"*"}, []string{"billing: get READ bill:*"}
		}, fault.ConnectorUnknown, "grants[0]"},
		"another workspace":         {func(_ *mint.Request, by *authn.Identity) { by.Workspace = "other" }, fault.ConnectorUnknown, "crm"},
		"too severe":                {grants("crm: contacts.get DESTRUCTIVE contact:*"), denied, "at most WRITE"},
		"unknown tool":              {grants("crm: contacts.burn READ contact:*"), invalid, "contacts.burn"},
		"pattern without tools":     {grants("crm: contacts.get,leads.* READ contact:*"), invalid, "leads.*"},
		"tokens cannot be counted":  {grants("crm: contacts.get READ contact:* tokens=5"), invalid, "limits.tokens"},
		"dollars cannot be counted": {grants("crm: contacts.get READ contact:* usd=5"), invalid, "limits.usd"},
		"rows of one cannot":        {grants("crm: contacts.* READ contact:* rows=5"), invalid, "contacts.get does not say where its rows are"},
		"grant ended":               {grants("crm: contacts.get READ contact:* until=2026-11-23T12:00:00Z"), invalid, "in the past"},
		"grant outlives its task":   {grants("crm: contacts.get READ contact:* until=2026-11-23T12:15:01Z"), invalid, "later than the task's end"},
		"delegate is no SPIFFE ID":  {req(func(r *mint.Request) { r.Delegates = []string{"spiffe://example.org/ns/a/1", "sandbox"} }), invalid, "delegates[1]"},
		"delegate is a domain":      {req(func(r *mint.Request) { r.Delegates = []string{"spiffe://example.org"} }), invalid, "delegates[0]"},
		"delegates of a domain":     {req(func(r *mint.Request) { r.Delegates = []string{"spiffe://example.org/"} }), invalid, "delegates[0]"},
		"empty delegate":            {req(func(r *mint.Request) { r.Delegates = []string{""} }), invalid, "delegates[0]"},
		"slash for a delegate":      {req(func(r *mint.Request) { r.Delegates = []string{"/"} }), invalid, "delegates[0]"},
		"delegate elsewhere":        {req(func(r *mint.Request) { r.Delegates = []string{"spiffe://example.org/ns/b/1"} }), denied, "delegates[0]"},
		"delegates above":           {req(func(r *mint.Request) { r.Delegates = []string{"spiffe://example.org/ns/"} }), denied, "delegates[0]"},
		"delegates of a like name":  {req(func(r *mint.Request) { r.Delegates = []string{"spiffe://example.org/ns/a-evil/"} }), denied, "delegates[0]"},
	}
	// Which bound of the orchestrator is to be raised, for what is beyond one.
	raise := map[string]string{
		"an operator": "", "sandbox elsewhere": "sandboxes", "sandbox with a like name": "sandboxes", "sandbox of another domain": "sandboxes",
		"may not assert users": "may_assert_users", "another connector": "connectors", "no connectors at all": "connectors",
		"too severe": "max_severity", "delegate elsewhere": "sandboxes", "delegates above": "sandboxes", "delegates of a like name": "sandboxes",
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			r, by := request(), orchestrator()
			k.change(&r, &by)
			made, err := b.Create(t.Context(), by, r)
			require.Nil(t, made)
			require.True(t, fault.Is(err, k.reason), "%v", err)
			require.ErrorContains(t, err, k.says)
			require.Equal(t, 1, strings.Count(err.Error(), string(k.reason)), "the reason stands once: %v", err)
			bound, beyond := raise[name]
			require.Equal(t, k.reason == denied, beyond)
			require.Equal(t, bound, strings.TrimPrefix(fault.From(err).Metadata["raise"], "workspaces.orchestrators."))
			b.requireEmpty(t)
		})
	}
}

func TestCreateAtItsBounds(t *testing.T) {
	cases := map[string]mint.Request{
		"the whole time":        {Sandbox: "spiffe://example.org/ns/a/1", TTL: time.Hour},
		"the prefix itself":     {Sandbox: "spiffe://example.org/ns/a", TTL: time.Minute},
		"deep below":            {Sandbox: "spiffe://example.org/ns/a/b/c", TTL: time.Minute},
		"the highest severity":  {Sandbox: "spiffe://example.org/ns/a/1", TTL: time.Minute, Grants: []string{"crm: contacts.update WRITE contact:*"}},
		"to the task's end":     {Sandbox: "spiffe://example.org/ns/a/1", TTL: time.Hour, Grants: []string{"crm: deals.get READ deal:1 until=2026-11-23T13:00:00Z"}},
		"rows where they count": {Sandbox: "spiffe://example.org/ns/a/1", TTL: time.Minute, Grants: []string{"crm: contacts.search READ contact:* rows=5"}},
		"a name with accents":   {User: "Ève Müller 中", Sandbox: "spiffe://example.org/ns/a/1", TTL: time.Minute},
	}
	for name, r := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			r.Agent = "agent"
			if r.User == "" {
				r.User = "alice"
			}
			if r.Grants == nil {
				r.Grants = []string{"crm: contacts.get READ contact:*"}
			}
			require.Equal(t, r.User, b.create(t, r).Task.User.Subject)
		})
	}
}

// What a task may do is fixed when it is minted, whatever is applied later.
func TestPatternsArePinned(t *testing.T) {
	b := newBench(t)
	before := b.create(t, request("crm: contacts.* READ contact:*", "crm: deals.get READ deal:*"))
	b.apply(t, "other", manifest) // another workspace's is not looked at
	rev := b.apply(t, workspace, strings.Replace(manifest, "  - {name: deals.get",
		"  - {name: contacts.export, severity: READ, method: GET, path: /export, resources: [\"contact:*\"]}\n  - {name: deals.get", 1))
	require.EqualValues(t, 2, rev.Number)

	_, grants, err := b.Get(t.Context(), operator(), before.Task.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"contacts.get", "contacts.search", "contacts.update"}, grants[0].Tools)
	for _, g := range grants {
		require.EqualValues(t, 1, g.Revision)
	}
	after := b.create(t, request("crm: contacts.* READ contact:*"))
	require.Contains(t, after.Grants[0].Tools, "contacts.export")
	require.EqualValues(t, 2, after.Grants[0].Revision)

	require.NoError(t, b.connectors.Withdraw(t.Context(), workspace, "crm", 0, noon))
	_, err = b.Create(t.Context(), orchestrator(), request())
	require.True(t, fault.Is(err, fault.ConnectorChanged), "%v", err)
}

func TestCreateWithoutItsMeans(t *testing.T) {
	b := newBench(t)
	o := b.options
	o.Random = bytes.NewReader(nil)
	_, err := mint.New(o).Create(t.Context(), orchestrator(), request())
	require.Error(t, err, "no key without randomness")

	for name, k := range map[string]struct {
		fail   error
		reason fault.Reason
	}{
		"down":    {store.ErrUnavailable, fault.StoreUnavailable},
		"unknown": {errors.New("canary"), fault.Internal},
	} {
		b.watched.fail = k.fail
		_, err = b.Create(t.Context(), orchestrator(), request())
		require.True(t, fault.Is(err, k.reason), "%s: %v", name, err)
		require.NotContains(t, err.Error(), "canary")
	}
	b.watched.fail = nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = b.Create(ctx, orchestrator(), request())
	require.True(t, fault.Is(err, fault.StoreUnavailable), "%v", err)
	list, err := b.List(t.Context(), operator(), mint.Listing{Limit: 10})
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestGrantsHaveIDsOfTheirOwn(t *testing.T) {
	b := newBench(t)
	made := b.create(t, request("crm: contacts.get READ contact:1", "crm: contacts.get READ contact:1"))
	require.NotEqual(t, made.Grants[0].ID, made.Grants[1].ID)
	require.Equal(t, grant.Read, made.Grants[0].MaxSeverity)
}
