package idtoken_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/tests/testenv"
)

// TestEndpoints: where users sign in is what the issuer itself says, for whom the
// workspace accepts it.
func TestEndpoints(t *testing.T) {
	i := testenv.NewIssuer(t)
	v := verifier(t, time.Now, issuerOf(i))
	e, err := v.Endpoints(t.Context(), workspace, i.URL)
	require.NoError(t, err)
	require.Equal(t, []string{i.Origin + "/authorize", i.Origin + "/token"}, []string{e.Authorization.String(), e.Token.String()})
	require.False(t, e.NamesIssuer)
	require.NotEmpty(t, e.Policy.RootCAs)
	i.NamesIssuer = true
	e, err = v.Endpoints(t.Context(), workspace, i.URL)
	require.NoError(t, err)
	require.True(t, e.NamesIssuer)

	_, err = v.Endpoints(t.Context(), "other", i.URL)
	require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
	_, err = v.Endpoints(t.Context(), workspace, "https://x.example")
	require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
	for name, at := range map[string]string{
		"in clear text": "http://localhost/token", "nowhere": "", "by address": "https://127.0.0.1/token", "with a user": "https://u@localhost/token",
	} {
		i.TokenAt = at
		_, err = v.Endpoints(t.Context(), workspace, i.URL)
		require.True(t, fault.Is(err, fault.IssuerUnavailable), "%s: %v", name, err)
	}
	i.TokenAt = i.Origin + "/token"
	i.Claim("https://x.example")
	_, err = v.Endpoints(t.Context(), workspace, i.URL)
	require.True(t, fault.Is(err, fault.IssuerUnavailable), "it names another issuer: %v", err)
	i.Claim(i.URL)
	i.Down(true)
	_, err = v.Endpoints(t.Context(), workspace, i.URL)
	require.True(t, fault.Is(err, fault.IssuerUnavailable), "it is down: %v", err)
}
