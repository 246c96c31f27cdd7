package authn_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
)

func dirID(path string) spiffeid.ID { return spiffeid.RequireFromString("spiffe://dir.example" + path) }

func orchestrator(id, sandboxes string) authn.Orchestrator {
	return authn.Orchestrator{ID: dirID(id), Sandboxes: dirID(sandboxes), MaxTTL: time.Hour, MaxSeverity: grant.Read, Connectors: []string{"crm"}}
}

func TestMayBindIsAlignedToSegments(t *testing.T) {
	o := orchestrator("/o", "/ns/a")
	for path, want := range map[string]bool{
		"/ns/a": true, "/ns/a/sandbox": true, "/ns/a-evil": false, "/ns/a-evil/sandbox": false, "/ns": false, "/ns/b": false, "/NS/a": false,
	} {
		require.Equal(t, want, o.MayBind(dirID(path)), path)
	}
	require.False(t, o.MayBind(spiffeid.RequireFromString("spiffe://dir.example.evil/ns/a")))
	require.False(t, (&authn.Orchestrator{}).MayBind(dirID("/ns/a")), "an empty prefix binds nothing")
	require.False(t, (&authn.Orchestrator{}).MayUse("crm"), "no connectors means none")
}

func TestNewDirectoryRefuses(t *testing.T) {
	for name, workspaces := range map[string][]authn.Workspace{
		"no workspace":       nil,
		"empty name":         {{Name: ""}},
		"the system's name":  {{Name: "_system"}},
		"capitals":           {{Name: "Team"}},
		"digit first":        {{Name: "1team"}},
		"same name twice":    {{Name: "a"}, {Name: "a"}},
		"operator twice":     {{Name: "a", Operators: []spiffeid.ID{dirID("/x"), dirID("/x")}}},
		"empty operator":     {{Name: "a", Operators: []spiffeid.ID{{}}}},
		"empty orchestrator": {{Name: "a", Orchestrators: []authn.Orchestrator{{}}}},
		"whole trust domain": {{Name: "a", Orchestrators: []authn.Orchestrator{orchestrator("/o", "")}}},
		"no connectors": {{Name: "a", Orchestrators: []authn.Orchestrator{func() authn.Orchestrator {
			o := orchestrator("/o", "/s")
			o.Connectors = nil
			return o
		}()}}},
		"no longest life": {{Name: "a", Orchestrators: []authn.Orchestrator{func() authn.Orchestrator {
			o := orchestrator("/o", "/s")
			o.MaxTTL = 0
			return o
		}()}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := authn.NewDirectory(workspaces)
			require.Error(t, err)
		})
	}
}

func TestResolve(t *testing.T) {
	d, err := authn.NewDirectory([]authn.Workspace{
		{Name: "a", Operators: []spiffeid.ID{dirID("/both"), dirID("/ab")}, Orchestrators: []authn.Orchestrator{orchestrator("/o", "/s/a")}},
		{Name: "b", Operators: []spiffeid.ID{dirID("/ab")}},
		{Name: "default", Operators: []spiffeid.ID{dirID("/both")}},
	})
	require.NoError(t, err)
	for _, c := range []struct {
		name, id, asked string
		roles           []authn.Role
		workspace       string
		reason          fault.Reason
	}{
		{"only one", "/o", "", []authn.Role{authn.OrchestratorRole}, "a", ""},
		{"named", "/ab", "b", []authn.Role{authn.OperatorRole}, "b", ""},
		{"several, default among them", "/both", "", []authn.Role{authn.OperatorRole}, "default", ""},
		{"several, no default", "/ab", "", []authn.Role{authn.OperatorRole}, "", fault.ArgumentInvalid},
		{"of another workspace", "/o", "b", []authn.Role{authn.OrchestratorRole}, "", fault.CallerNotAllowed},
		{"without the role", "/o", "", []authn.Role{authn.OperatorRole}, "", fault.CallerNotAllowed},
		{"a name that cannot be", "/ab", strings.Repeat("b", 1<<20), []authn.Role{authn.OperatorRole}, "", fault.CallerNotAllowed},
		{"unknown", "/x", "", []authn.Role{authn.OperatorRole, authn.OrchestratorRole}, "", fault.CallerNotAllowed},
		{"no roles asked for", "/o", "", nil, "", fault.CallerNotAllowed},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := d.Resolve(dirID(c.id), c.asked, c.roles...)
			require.Equal(t, c.reason != "", err != nil)
			require.Equal(t, c.reason == "" || fault.Is(err, c.reason), true)
			require.Equal(t, c.workspace, got.Workspace)
			if c.reason == fault.CallerNotAllowed {
				require.Equal(t, map[bool]string{true: "role", false: "workspace"}[c.asked == ""], fault.From(err).Metadata["mend"])
			}
		})
	}
	require.Equal(t, "a", d.WorkspaceOf(dirID("/s/a/one")))
	require.Empty(t, d.WorkspaceOf(dirID("/ab")), "not told apart")
	require.Empty(t, d.WorkspaceOf(dirID("/x")))
}

func TestDenyList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "denied")
	_, err := authn.OpenDenyList(path)
	require.Error(t, err, "a list that is configured and missing stops the start")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }

	write("# stolen last night\nspiffe://dir.example/one # and its friend\n")
	d, err := authn.OpenDenyList(path)
	require.NoError(t, err)
	require.True(t, d.Denies(dirID("/one")))
	require.False(t, d.Denies(dirID("/two")))

	denied := make(chan spiffeid.ID, 10)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.Watch(ctx, time.Millisecond, slog.New(slog.NewTextHandler(io.Discard, nil)), func(id spiffeid.ID) { denied <- id })
	}()
	write("spiffe://dir.example/two\n")
	require.Equal(t, dirID("/two"), <-denied)
	require.Eventually(t, func() bool { return !d.Denies(dirID("/one")) }, time.Minute, time.Millisecond, "taken off the list")
	write("spiffe://dir.example/two\nspiffe://dir.example/three\n")
	require.Equal(t, dirID("/three"), <-denied)
	require.True(t, d.Denies(dirID("/two")))
	write("")
	write("spiffe://dir.example/two\nspiffe://dir.example/three\nspiffe://dir.example/four\n")
	require.Equal(t, dirID("/four"), <-denied)
	write("# nobody\n")
	require.Eventually(t, func() bool { return !d.Denies(dirID("/four")) }, time.Minute, time.Millisecond)
	stop()
	<-ended

	empty, err := authn.OpenDenyList("")
	require.NoError(t, err)
	require.False(t, empty.Denies(dirID("/one")))
}

func TestBadDenyListKeepsTheOneBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "denied")
	require.NoError(t, os.WriteFile(path, []byte("spiffe://dir.example/one\nnonsense\n"), 0o600))
	_, err := authn.OpenDenyList(path)
	require.ErrorContains(t, err, "line 2")
}
