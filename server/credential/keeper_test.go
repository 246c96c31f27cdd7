package credential_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/vault"
)

func TestKinds(t *testing.T) {
	cases := map[string]struct {
		attach, secret string
		header, want   string // header is empty for the query
	}{
		"bearer":             {"bearer", secret, "Authorization", "Bearer " + secret},
		"basic":              {"basic", "ada:canary pass", "Authorization", "Basic YWRhOmNhbmFyeSBwYXNz"},
		"basic, no password": {"basic", "canary-key:", "Authorization", "Basic Y2FuYXJ5LWtleTo="},
		"header":             {"{header: X-Api-Key}", secret, "X-Api-Key", secret},
		"header with prefix": {`{header: X-Api-Key, prefix: "Token "}`, secret, "X-Api-Key", "Token " + secret},
		"query":              {"{query: key}", "canary+/ =secret", "", "key=canary%2B%2F+%3Dsecret"},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c := b.connector(t, slots("main: {owner: user, attach: "+k.attach+"}"))
			b.put(t, c, "main", b.alice, k.secret)
			r := b.send(t, b.Keeper, c, b.alice)
			if k.header == "" {
				require.Equal(t, k.want, r.URL.RawQuery)
			} else {
				require.Equal(t, []string{k.want}, r.Header.Values(k.header))
			}
		})
	}
}

func TestBadSecretsAreRefused(t *testing.T) {
	visible := map[string]string{
		"empty": "", "line break": "canary\r\nX: y", "line feed at its end": "canary\n", "NUL": "canary\x00", "tab": "canary\tx",
		"not ASCII": "canary-é", "not UTF-8": "canary\xff", "DEL": "canary\x7f", "space first": " canary", "space last": "canary ",
	}
	bad := map[string]map[string]string{
		"bearer":        visible,
		"{header: X-K}": visible,
		"{query: k}":    visible,
		"basic": {
			"empty": "", "no colon": "canary", "no user": ":canary", "line break": "ada:canary\r\nX: y", "NUL": "ada:\x00canary",
		},
	}
	b := newBench(t)
	for attach, secrets := range bad {
		c := b.connector(t, slots("main: {owner: user, attach: "+attach+"}"))
		for name, text := range secrets {
			t.Run(attach+" "+name, func(t *testing.T) {
				_, err := b.Put(t.Context(), credential.Put{Connector: c, Slot: "main", UserID: b.alice, Secret: vault.NewSecret([]byte(text))})
				require.True(t, fault.Is(err, fault.ArgumentInvalid))
				require.Equal(t, "secret", fault.From(err).Metadata["field"])
				requireSilent(t, err)
			})
		}
	}
	t.Run("a space within a bearer", func(t *testing.T) {
		_, err := b.Put(t.Context(), credential.Put{Connector: b.connector(t), Slot: "main", UserID: b.alice, Secret: vault.NewSecret([]byte("canary x"))})
		require.True(t, fault.Is(err, fault.ArgumentInvalid))
	})
	list, err := b.List(t.Context(), workspace, "")
	require.NoError(t, err)
	require.Empty(t, list, "nothing was stored")
}

func TestPutMustFitTheSlot(t *testing.T) {
	b := newBench(t)
	c := b.connector(t, slots("mine: {owner: user, attach: bearer}", "ours: {owner: workspace, attach: {header: X-K}}"))
	none := b.connector(t, func(text string) string { return strings.Replace(text, "credentials:\n  "+mainSlot+"\n", "", 1) })
	cases := map[string]struct {
		c           *connector.Connector
		slot, user  string
		field, says string
	}{
		"no such slot":                     {c, "main", b.alice, "slot", "[mine ours]"},
		"a user's slot without a user":     {c, "mine", "", "owner", "name the user"},
		"the workspace's slot with a user": {c, "ours", b.alice, "owner", "not a user's"},
		"a connector without slots":        {none, "main", b.alice, "connector", "no credential"},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := b.Put(t.Context(), credential.Put{Connector: k.c, Slot: k.slot, UserID: k.user, Secret: vault.NewSecret([]byte(secret))})
			require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
			require.Equal(t, k.field, fault.From(err).Metadata["field"])
			require.ErrorContains(t, err, k.says)
			requireSilent(t, err)
		})
	}
	require.Empty(t, b.send(t, b.Keeper, none, b.alice).Header.Values("Authorization"), "no slot, no credential")
}

func TestAttachDemandsTheIntent(t *testing.T) {
	b := newBench(t)
	c := b.connector(t)
	b.put(t, c, "main", b.alice, secret)
	records, err := b.Find(t.Context(), c, b.alice)
	require.NoError(t, err)
	finished := b.intent(t, workspace)
	_, err = b.Attach(t.Context(), finished, nil, bound(t, c), records)
	require.NoError(t, err) // what is remembered from here on must not help either
	b.trail.Finish(finished, audit.Outcome{Result: audit.OK})
	cases := map[string]struct {
		intent  audit.Intent
		records []credential.Record
	}{
		"zero intent":             {audit.Intent{}, records},
		"finished intent":         {finished, records},
		"another workspace's":     {b.intent(t, "other"), records},
		"records are missing":     {b.intent(t, workspace), nil},
		"more records than slots": {b.intent(t, workspace), append(records, records...)},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			a, err := b.Attach(t.Context(), k.intent, nil, bound(t, c), k.records)
			require.True(t, fault.Is(err, fault.Internal), "%v", err)
			require.Error(t, a.Attachment.SetHeader("X-A", "b"), "the zero Attachment")
		})
	}
}

func TestVersions(t *testing.T) {
	b := newBench(t)
	c := b.connector(t)
	one := b.put(t, c, "main", b.alice, secret)
	require.Equal(t, "Bearer "+secret, b.send(t, b.Keeper, c, b.alice).Header.Get("Authorization"))
	two := b.put(t, c, "main", b.alice, another)
	require.Equal(t, one.ID, two.ID)
	require.EqualValues(t, 1, one.Version)
	require.EqualValues(t, 2, two.Version)
	require.Equal(t, "Bearer "+another, b.send(t, b.Keeper, c, b.alice).Header.Get("Authorization"), "what was remembered is forgotten")

	list, err := b.List(t.Context(), workspace, "crm")
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "alice", list[0].UserSubject)
	require.Equal(t, "operator", list[0].CreatedBy)
	require.Empty(t, list[0].Sealed, "a listing shows not even what is sealed")
	pool := func(r credential.Record) string {
		a, err := b.keeper().Attach(t.Context(), b.intent(t, workspace), nil, bound(t, c), []credential.Record{r})
		require.NoError(t, err)
		return a.Pool
	}
	require.NotEqual(t, pool(one), pool(two), "no connection is shared between two versions")
	require.True(t, credential.InPool(pool(two), one.ID))
	require.False(t, credential.InPool(pool(two), uuid.NewString()))
}

func TestDelete(t *testing.T) {
	b := newBench(t)
	c := b.connector(t)
	r := b.put(t, c, "main", b.alice, secret)
	b.send(t, b.Keeper, c, b.alice)
	require.True(t, fault.Is(b.Delete(t.Context(), "other", r.ID), fault.CredentialUnknown), "another workspace's is not met")
	require.NoError(t, b.Delete(t.Context(), workspace, r.ID))
	_, err := b.Find(t.Context(), c, b.alice)
	requireMissing(t, err, "none is stored")
	require.True(t, fault.Is(b.Delete(t.Context(), workspace, r.ID), fault.CredentialUnknown))
	again := b.put(t, c, "main", b.alice, another)
	require.NotEqual(t, r.ID, again.ID)
	require.EqualValues(t, 1, again.Version)
	require.Equal(t, "Bearer "+another, b.send(t, b.Keeper, c, b.alice).Header.Get("Authorization"))
}

func TestSeveralSlots(t *testing.T) {
	b := newBench(t)
	c := b.connector(t, slots("mine: {owner: user, attach: bearer}", "ours: {owner: workspace, attach: {header: X-K}}"))
	b.put(t, c, "mine", b.alice, secret)
	_, err := b.Find(t.Context(), c, b.alice)
	requireMissing(t, err, "slot ours (workspace's)")
	require.Equal(t, map[string]string{"connector": "crm", "slot": "ours", "owner": "workspace", "mend": "put"}, fault.From(err).Metadata)
	b.put(t, c, "ours", "", another)
	r := b.send(t, b.Keeper, c, b.alice)
	require.Equal(t, "Bearer "+secret, r.Header.Get("Authorization"))
	require.Equal(t, another, r.Header.Get("X-K"))
}

// Everybody who was told that a secret is stored has a version of their own.
func TestPutInParallel(t *testing.T) {
	b := newBench(t)
	c := b.connector(t)
	versions := make([]int64, 12)
	errs := make([]error, len(versions))
	var wg sync.WaitGroup
	for n := range versions {
		wg.Go(func() {
			var r credential.Record
			r, errs[n] = b.Put(context.Background(), credential.Put{Connector: c, Slot: "main", UserID: b.alice, Secret: vault.NewSecret([]byte(secret))})
			versions[n] = r.Version
		})
	}
	wg.Wait()
	stored := map[int64]bool{}
	for n, v := range versions {
		if errs[n] != nil {
			require.True(t, fault.Is(errs[n], fault.Conflict), "%v", errs[n])
			continue
		}
		require.False(t, stored[v], "version %d was given twice", v)
		stored[v] = true
	}
	list, err := b.List(t.Context(), workspace, "")
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.EqualValues(t, len(stored), list[0].Version)
	require.Equal(t, "Bearer "+secret, b.send(t, b.Keeper, c, b.alice).Header.Get("Authorization"))
}

func TestStoreUnavailable(t *testing.T) {
	b := newBench(t)
	c := b.connector(t)
	r := b.put(t, c, "main", b.alice, secret)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k := b.keeper()
	_, err := k.Find(ctx, c, b.alice)
	require.True(t, fault.Is(err, fault.StoreUnavailable), "%v", err)
	_, err = k.Put(ctx, credential.Put{Connector: c, Slot: "main", UserID: b.alice, Secret: vault.NewSecret([]byte(another))})
	require.True(t, fault.Is(err, fault.StoreUnavailable), "%v", err)
	require.ErrorIs(t, err, store.ErrUnavailable)
	requireSilent(t, err)
	_, err = k.List(ctx, workspace, "")
	require.True(t, fault.Is(err, fault.StoreUnavailable), "%v", err)
	require.True(t, fault.Is(k.Delete(ctx, workspace, r.ID), fault.StoreUnavailable))
	require.Equal(t, "Bearer "+secret, b.send(t, b.keeper(), c, b.alice).Header.Get("Authorization"), "nothing has changed")
}
