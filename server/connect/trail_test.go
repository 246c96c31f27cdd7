package connect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connect"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/tests/testenv"
)

// deaf is a trail that records no intent.
type deaf struct{ connect.Trail }

func (deaf) BeginAdmin(context.Context, audit.Event) (audit.Intent, error) {
	return audit.Intent{}, fault.New(fault.AuditUnavailable, "the trail cannot be written", errors.New("deaf"))
}

// stored says whether the user has a credential.
func (w *world) stored(t *testing.T) bool {
	t.Helper()
	list, err := w.store.Credentials().List(t.Context(), workspace, "things")
	require.NoError(t, err)
	for _, r := range list {
		if r.UserSubject == subject {
			require.Equal(t, w.issuer.URL, r.UserIssuer)
			return true
		}
	}
	return false
}

// requireSilent: nothing secret stands in the log or the trail. It does not print what
// it finds.
func (w *world) requireSilent(t *testing.T, more ...string) {
	t.Helper()
	events, err := w.store.Audit().Events(t.Context(), audit.Filter{Workspace: workspace, Limit: 1000})
	require.NoError(t, err)
	system, err := w.store.Audit().Events(t.Context(), audit.Filter{Workspace: audit.SystemWorkspace, Limit: 1000})
	require.NoError(t, err)
	text, err := json.Marshal(append(events, system...))
	require.NoError(t, err)
	for i, s := range append(more, "canary") {
		require.False(t, strings.Contains(w.log.String(), s), "the log holds secret %d", i)
		require.False(t, bytes.Contains(text, []byte(s)), "the trail holds secret %d", i)
	}
}

// requireNotStored: the database's files hold none of these. It does not print what it
// finds.
func (w *world) requireNotStored(t *testing.T, secrets ...string) {
	t.Helper()
	files, err := os.ReadDir(w.folder)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(w.folder, f.Name()))
		require.NoError(t, err)
		for i, s := range secrets {
			require.False(t, bytes.Contains(text, []byte(s)), "%s holds secret %d", f.Name(), i)
		}
	}
}

// acts gives the administrative acts of a name: kinds, with how they ended.
func (w *world) acts(t *testing.T, name string) []string {
	t.Helper()
	var found []string
	testenv.Eventually(t, "every intent has its outcome", func() bool {
		events, err := w.store.Audit().Events(t.Context(), audit.Filter{Workspace: workspace, Limit: 1000})
		require.NoError(t, err)
		found = nil
		open := 0
		for i := len(events) - 1; i >= 0; i-- {
			e := events[i]
			if e.Tool != name || e.Kind == audit.Refusal {
				continue
			}
			found = append(found, strings.TrimSpace(string(e.Kind)+" "+string(e.Outcome)))
			open++
			if e.Kind == audit.AdminOutcome {
				open -= 2
			}
		}
		return open == 0
	})
	return found
}

// refusals gives the problems that the trail says were refused.
func (w *world) refusals(t *testing.T, in string) []string {
	t.Helper()
	events, err := w.store.Audit().Events(t.Context(), audit.Filter{Workspace: in, Limit: 1000})
	require.NoError(t, err)
	var found []string
	for _, e := range events {
		if e.Kind == audit.Refusal {
			var detail struct{ Problem string }
			require.NoError(t, json.Unmarshal([]byte(e.Detail), &detail))
			found = append(found, detail.Problem)
		}
	}
	return found
}
