package api_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/fault"
)

// Whoever is not allowed learns what would mend it; that is not always a role.
func TestWhatMendsARefusal(t *testing.T) {
	w := newWorld(t)
	for name, k := range map[string]struct{ caller, method, mend string }{
		"an RPC of a later version":    {"/operator", "/onedoor.v1.Keys/Burn", "version"},
		"an orchestrator that applies": {"/orchestrator", apply, "role"},
	} {
		err := w.call(t, as(spiffe(k.caller)), k.method, func(context.Context) error { return nil })
		require.Equal(t, k.mend, detail[*errdetails.ErrorInfo](t, status.Convert(err)).GetMetadata()["mend"], name)
	}

	list := filepath.Join(t.TempDir(), "denied")
	require.NoError(t, os.WriteFile(list, []byte(spiffe("/operator").String()+"\n"), 0o600))
	denied, err := authn.OpenDenyList(list)
	require.NoError(t, err)
	_, err = authn.New(authn.Options{Denied: denied, WallNow: time.Now}).Workload(as(spiffe("/operator")))
	require.Equal(t, "deny_list", fault.From(err).Metadata["mend"])
}
