package credential_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/vault"
)

// unavailable is a store that cannot be read.
type unavailable struct{ credential.Store }

func (unavailable) Active(context.Context, string, string, string, string) (credential.Record, error) {
	return credential.Record{}, store.ErrUnavailable
}

func TestProxySecrets(t *testing.T) {
	b := newBench(t)
	casb := credential.Proxy{Workspace: workspace, Name: "casb", URL: "https://proxy.example:3128", Kind: credential.ProxyBasic}
	edge := credential.Proxy{Workspace: "other", Name: "edge", URL: "http://10.0.0.1:3128", Kind: credential.ProxyBearer}
	keeper := func(proxies ...credential.Proxy) *credential.Keeper {
		return b.keeperWith(func(o *credential.Options) { o.Proxies = proxies })
	}
	put := func(k *credential.Keeper, workspace, place, text string) (credential.Record, error) {
		return k.PutProxy(t.Context(), workspace, place, vault.NewSecret([]byte(text)), "spiffe://example.org/operator")
	}
	k := keeper(casb, edge)
	_, _, err := k.ProxySecret(t.Context(), "casb")
	require.ErrorIs(t, err, egress.ErrNoProxySecret)

	for name, place := range map[string][2]string{
		"unknown": {workspace, "proxy/none"}, "of another workspace": {workspace, "proxy/edge"}, "a connector": {workspace, "casb"},
	} {
		_, err := put(k, place[0], place[1], "user:"+secret)
		require.True(t, fault.Is(err, fault.ConnectorUnknown), name)
	}
	for place, texts := range map[string][]string{"proxy/casb": {"", "no-colon", ":canary", "u:canary\r\nX: y"}, "proxy/edge": {"", "canary x", "canary\n"}} {
		for _, text := range texts {
			ws := map[string]string{"proxy/casb": workspace, "proxy/edge": "other"}[place]
			_, err := put(k, ws, place, text)
			require.True(t, fault.Is(err, fault.ArgumentInvalid), place)
			requireSilent(t, err)
		}
	}

	first, err := put(k, workspace, "proxy/casb", "user:"+secret)
	require.NoError(t, err)
	require.Equal(t, []string{casb.URL}, first.Origins)
	a, v1, err := k.ProxySecret(t.Context(), "casb")
	require.NoError(t, err)
	require.Equal(t, "[attachment]", fmt.Sprintf("%+v", a))
	_, err = put(k, "other", "proxy/edge", another)
	require.NoError(t, err)
	_, other, err := k.ProxySecret(t.Context(), "edge")
	require.NoError(t, err)
	require.NotEqual(t, v1, other)

	second, err := put(k, workspace, "proxy/casb", "user:"+another)
	require.NoError(t, err)
	require.Equal(t, first.ID, second.ID)
	require.EqualValues(t, 2, second.Version)
	_, v2, err := k.ProxySecret(t.Context(), "casb")
	require.NoError(t, err)
	require.NotEqual(t, v1, v2, "connections of the one are not used with the other")
	require.True(t, credential.InPool(v2, second.ID))

	// Whoever edits the configuration cannot have it sent elsewhere.
	for name, edit := range map[string]func(*credential.Proxy){
		"another address": func(p *credential.Proxy) { p.URL = "https://evil.example:3128" },
		"another kind":    func(p *credential.Proxy) { p.Kind = credential.ProxyBearer },
		"another name":    func(p *credential.Proxy) { p.Name = "edge" },
	} {
		changed := casb
		edit(&changed)
		k := keeper(changed)
		require.False(t, k.FitsProxy(second), name)
		_, _, err := k.ProxySecret(t.Context(), changed.Name)
		require.ErrorIs(t, err, egress.ErrNoProxySecret, name)
	}
	require.True(t, k.FitsProxy(second))

	require.NoError(t, k.Delete(t.Context(), workspace, second.ID))
	_, _, err = k.ProxySecret(t.Context(), "casb")
	require.ErrorIs(t, err, egress.ErrNoProxySecret)
	down := b.keeperWith(func(o *credential.Options) { o.Proxies, o.Store = []credential.Proxy{casb}, unavailable{o.Store} })
	_, _, err = down.ProxySecret(t.Context(), "casb")
	require.ErrorIs(t, err, store.ErrUnavailable, "that is no missing secret")
}
