package connector_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/store"
)

// memory is a Store that counts its reads and fails when told to.
type memory struct {
	mu    sync.Mutex
	rows  map[string][]connector.Revision // by workspace/name
	reads int
	fail  error
	// before runs ahead of each Add, once.
	before func()
}

func (m *memory) enter() (func(), error) {
	m.mu.Lock()
	return m.mu.Unlock, m.fail
}

func (m *memory) Current(_ context.Context, workspace, name string) (connector.Revision, error) {
	leave, err := m.enter()
	defer leave()
	rows := m.rows[workspace+"/"+name]
	if err == nil && len(rows) == 0 {
		err = fmt.Errorf("connector: %w", store.ErrNotFound)
	}
	if err != nil {
		return connector.Revision{}, err
	}
	return rows[len(rows)-1], nil
}

func (m *memory) Revision(_ context.Context, workspace, name string, number int64) (connector.Revision, error) {
	leave, err := m.enter()
	defer leave()
	m.reads++
	rows := m.rows[workspace+"/"+name]
	if err == nil && (number < 1 || number > int64(len(rows))) {
		err = store.ErrNotFound
	}
	if err != nil {
		return connector.Revision{}, err
	}
	return rows[number-1], nil
}

func (m *memory) Add(_ context.Context, r connector.Revision) error {
	if before := m.before; before != nil {
		m.before = nil
		before()
	}
	leave, err := m.enter()
	defer leave()
	key := r.Workspace + "/" + r.Name
	if err == nil && r.Number != int64(len(m.rows[key]))+1 {
		err = store.ErrConflict
	}
	if err == nil {
		m.rows[key] = append(m.rows[key], r)
	}
	return err
}

func (m *memory) List(_ context.Context, workspace string) ([]connector.Revision, error) {
	leave, err := m.enter()
	defer leave()
	var list []connector.Revision
	for key, rows := range m.rows {
		if last := rows[len(rows)-1]; strings.HasPrefix(key, workspace+"/") && !last.Withdrawn {
			list = append(list, last)
		}
	}
	return list, err
}

func (m *memory) Withdraw(_ context.Context, workspace, name string, number int64, _ time.Time) error {
	leave, err := m.enter()
	defer leave()
	rows := m.rows[workspace+"/"+name]
	if err == nil && int64(len(rows)) < max(number, 1) {
		err = store.ErrNotFound
	}
	for i := range rows {
		rows[i].Withdrawn = rows[i].Withdrawn || number == 0 || rows[i].Number == number
	}
	return err
}

// clock is a clock that a test moves.
type clock struct{ now time.Time }

func (c *clock) read() time.Time { return c.now }

const window = 700 * time.Millisecond

func registry() (*connector.Registry, *memory, *clock) {
	m := &memory{rows: map[string][]connector.Revision{}}
	c := &clock{time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	return connector.NewRegistry(m, window, c.read), m, c
}

func TestApply(t *testing.T) {
	r, _, c := registry()
	ctx := t.Context()

	first, changed, err := r.Apply(ctx, "default", small, "spiffe://example/op", c.now)
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, int64(1), first.Number)
	require.Equal(t, "crm", first.Name)
	require.Equal(t, "default", first.Workspace)
	require.Equal(t, small, first.Manifest)
	require.Len(t, first.SHA256, 64)
	require.Equal(t, "spiffe://example/op", first.AppliedBy)
	require.Equal(t, c.now, first.AppliedAt)

	again, changed, err := r.Apply(ctx, "default", small, "spiffe://example/other", c.now.Add(time.Hour))
	require.NoError(t, err)
	require.False(t, changed)
	require.Equal(t, first, again)

	second, changed, err := r.Apply(ctx, "default", small+"# changed\n", "op", c.now)
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, int64(2), second.Number)

	other, changed, err := r.Apply(ctx, "other", small, "op", c.now)
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, int64(1), other.Number)

	require.NoError(t, r.Withdraw(ctx, "default", "crm", 0, c.now))
	third, changed, err := r.Apply(ctx, "default", small+"# changed\n", "op", c.now)
	require.NoError(t, err)
	require.True(t, changed, "what was withdrawn is applied anew")
	require.Equal(t, int64(3), third.Number)

	_, _, err = r.Apply(ctx, "default", "kind: http\n", "op", c.now)
	require.True(t, fault.Is(err, fault.ArgumentInvalid))
}

func TestApplyRace(t *testing.T) {
	r, m, c := registry()
	m.before = func() {
		_, _, err := r.Apply(t.Context(), "default", small+"# faster\n", "op", c.now)
		require.NoError(t, err)
	}
	rev, changed, err := r.Apply(t.Context(), "default", small, "op", c.now)
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, int64(2), rev.Number)
}

func TestApplyGivesUp(t *testing.T) {
	r, m, c := registry()
	m.fail = nil
	tries := 0
	var lose func()
	lose = func() {
		tries++
		m.mu.Lock()
		m.rows["default/crm"] = append(m.rows["default/crm"], connector.Revision{Number: int64(tries), SHA256: "x"})
		m.before = lose
		m.mu.Unlock()
	}
	m.before = lose
	_, _, err := r.Apply(t.Context(), "default", small, "op", c.now)
	require.True(t, fault.Is(err, fault.Conflict), "%v", err)
	require.Less(t, tries, 20)
}

func TestConnectorIsLeased(t *testing.T) {
	r, m, c := registry()
	ctx := t.Context()
	rev, _, err := r.Apply(ctx, "default", small, "op", c.now)
	require.NoError(t, err)

	got, err := r.Connector(ctx, "default", "crm", rev.Number)
	require.NoError(t, err)
	require.Equal(t, "default", got.Workspace)
	require.Equal(t, int64(1), got.Revision)
	_, err = got.Bind("get", []byte(`{"id":"1"}`))
	require.NoError(t, err)

	same, err := r.Connector(ctx, "default", "crm", rev.Number)
	require.NoError(t, err)
	require.Same(t, got, same)
	require.Equal(t, 1, m.reads)

	// Another broker withdraws it: heeded when the lease ends, not later.
	require.NoError(t, m.Withdraw(ctx, "default", "crm", 1, c.now))
	c.now = c.now.Add(window - 1)
	_, err = r.Connector(ctx, "default", "crm", rev.Number)
	require.NoError(t, err)
	c.now = c.now.Add(1)
	_, err = r.Connector(ctx, "default", "crm", rev.Number)
	require.True(t, fault.Is(err, fault.ConnectorChanged), "%v", err)
	require.Equal(t, 2, m.reads)
}

func TestRenewAndForget(t *testing.T) {
	r, m, c := registry()
	ctx := t.Context()
	_, _, err := r.Apply(ctx, "default", small, "op", c.now)
	require.NoError(t, err)
	_, err = r.Connector(ctx, "default", "crm", 1)
	require.NoError(t, err)

	c.now = c.now.Add(window / 2)
	r.Renew(c.now)
	c.now = c.now.Add(window - 1)
	_, err = r.Connector(ctx, "default", "crm", 1)
	require.NoError(t, err)
	require.Equal(t, 1, m.reads)

	r.Forget("other", "crm")
	r.Forget("default", "erp")
	_, err = r.Connector(ctx, "default", "crm", 1)
	require.NoError(t, err)
	require.Equal(t, 1, m.reads)
	require.NoError(t, m.Withdraw(ctx, "default", "crm", 1, c.now))
	r.Forget("default", "crm")
	_, err = r.Connector(ctx, "default", "crm", 1)
	require.True(t, fault.Is(err, fault.ConnectorChanged), "%v", err)
}

func TestWithdrawHoldsAtOnce(t *testing.T) {
	r, _, c := registry()
	ctx := t.Context()
	_, _, err := r.Apply(ctx, "default", small, "op", c.now)
	require.NoError(t, err)
	_, err = r.Connector(ctx, "default", "crm", 1)
	require.NoError(t, err)
	require.NoError(t, r.Withdraw(ctx, "default", "crm", 1, c.now))
	_, err = r.Connector(ctx, "default", "crm", 1)
	require.True(t, fault.Is(err, fault.ConnectorChanged), "%v", err)
	_, err = r.Current(ctx, "default", "crm")
	require.True(t, fault.Is(err, fault.ConnectorChanged), "%v", err)
	rev, err := r.Revision(ctx, "default", "crm", 0)
	require.NoError(t, err)
	require.True(t, rev.Withdrawn)
	list, err := r.List(ctx, "default")
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestWorkspacesAreApart(t *testing.T) {
	r, _, c := registry()
	ctx := t.Context()
	_, _, err := r.Apply(ctx, "default", small, "op", c.now)
	require.NoError(t, err)
	_, err = r.Connector(ctx, "default", "crm", 1)
	require.NoError(t, err)
	_, err = r.Connector(ctx, "other", "crm", 1)
	require.True(t, fault.Is(err, fault.ConnectorUnknown), "%v", err)

	_, _, err = r.Apply(ctx, "other", small, "op", c.now)
	require.NoError(t, err)
	got, err := r.Connector(ctx, "other", "crm", 1)
	require.NoError(t, err)
	require.Equal(t, "other", got.Workspace, "one parse serves both, one name does not")
}

func TestStoreFaults(t *testing.T) {
	r, m, c := registry()
	ctx := t.Context()
	calls := map[string]func() error{
		"Connector": func() error { _, err := r.Connector(ctx, "default", "crm", 1); return err },
		"Current":   func() error { _, err := r.Current(ctx, "default", "crm"); return err },
		"Revision":  func() error { _, err := r.Revision(ctx, "default", "crm", 1); return err },
		"newest":    func() error { _, err := r.Revision(ctx, "default", "crm", 0); return err },
		"Withdraw":  func() error { return r.Withdraw(ctx, "default", "crm", 1, c.now) },
	}
	for name, call := range calls {
		m.fail = nil
		require.True(t, fault.Is(call(), fault.ConnectorUnknown), name)
		m.fail = fmt.Errorf("dial 10.0.0.9: %w", store.ErrUnavailable)
		err := call()
		require.True(t, fault.Is(err, fault.StoreUnavailable), name)
		require.NotContains(t, err.Error(), "10.0.0.9")
		m.fail = errors.New("boom")
		require.True(t, fault.From(call()).Reason == fault.Internal, name)
	}
	m.fail = store.ErrUnavailable
	_, _, err := r.Apply(ctx, "default", small, "op", c.now)
	require.True(t, fault.Is(err, fault.StoreUnavailable))
	_, err = r.List(ctx, "default")
	require.True(t, fault.Is(err, fault.StoreUnavailable))
}

// A row that is not what was applied is not called.
func TestAlteredRows(t *testing.T) {
	for name, alter := range map[string]func(*connector.Revision){
		"other text":     func(r *connector.Revision) { r.Manifest = strings.Replace(small, "crm.example", "evil.example", 1) },
		"no hash":        func(r *connector.Revision) { r.SHA256 = "" },
		"other name":     func(r *connector.Revision) { r.Name = "erp" },
		"nothing at all": func(r *connector.Revision) { r.Manifest = "" },
	} {
		r, m, c := registry()
		rev, _, err := r.Apply(t.Context(), "default", small, "op", c.now)
		require.NoError(t, err)
		alter(&rev)
		m.rows["default/crm"][0] = rev
		_, err = r.Connector(t.Context(), "default", "crm", 1)
		require.True(t, fault.Is(err, fault.Internal), "%s: %v", name, err)
	}
}

// A manifest that an older broker took and this one does not is not called.
func TestStoredManifestIsNoLongerTaken(t *testing.T) {
	r, m, c := registry()
	_, _, err := r.Apply(t.Context(), "default", small, "op", c.now)
	require.NoError(t, err)
	row := &m.rows["default/crm"][0]
	row.Manifest = "kind: http\n"
	row.SHA256 = fmt.Sprintf("%x", sha256.Sum256([]byte(row.Manifest)))
	_, err = r.Connector(t.Context(), "default", "crm", 1)
	require.True(t, fault.Is(err, fault.ConnectorChanged), "%v", err)
}

func TestExpandTools(t *testing.T) {
	c := crm(t)
	tests := []struct {
		name     string
		patterns []string
		want     []string
		reason   fault.Reason
	}{
		{"exact", []string{"ping"}, []string{"ping"}, ""},
		{"a beginning", []string{"contacts.*"}, []string{"contacts.get", "contacts.merge", "contacts.search", "contacts.touch", "contacts.update"}, ""},
		{"both, each once, by name", []string{"ping", "contacts.m*", "contacts.merge"}, []string{"contacts.merge", "ping"}, ""},
		{"none", nil, nil, fault.ArgumentInvalid},
		{"empty", []string{""}, nil, fault.ArgumentInvalid},
		{"bare star", []string{"*"}, nil, fault.ArgumentInvalid},
		{"two stars", []string{"**"}, nil, fault.ArgumentInvalid},
		{"star within", []string{"con*.get"}, nil, fault.ArgumentInvalid},
		{"no such tool", []string{"ping", "pong"}, nil, fault.ToolUnknown},
		{"no such beginning", []string{"books.*"}, nil, fault.ToolUnknown},
		{"a beginning is no name", []string{"contacts"}, nil, fault.ToolUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := c.ExpandTools(tt.patterns)
			require.Equal(t, tt.want, got)
			if tt.reason == "" {
				require.NoError(t, err)
				return
			}
			require.True(t, fault.Is(err, tt.reason), "%v", err)
			if tt.reason == fault.ToolUnknown {
				require.ErrorContains(t, err, tt.patterns[len(tt.patterns)-1])
			}
		})
	}
}

func TestCanCount(t *testing.T) {
	c := crm(t)
	tests := []struct {
		name   string
		limits grant.Limits
		tools  []string
		field  string // of the refusal
	}{
		{"calls and bytes", grant.Limits{Calls: 1, Bytes: 1}, []string{"ping", "contacts.get"}, ""},
		{"rows", grant.Limits{Rows: 1}, []string{"contacts.get"}, ""},
		{"rows of a tool without", grant.Limits{Rows: 1}, []string{"contacts.get", "ping"}, "limits.rows"},
		{"tokens", grant.Limits{Tokens: 1}, []string{"contacts.get"}, "limits.tokens"},
		{"money", grant.Limits{MicroUSD: 1}, []string{"contacts.get"}, "limits.usd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := c.CanCount(tt.limits, tt.tools, nil)
			if tt.field == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, tt.field, fault.From(err).Metadata["field"], "%v", err)
		})
	}
	require.True(t, fault.Is(c.CanCount(grant.Limits{Rows: 1}, []string{"pong"}, nil), fault.ToolUnknown))
}
