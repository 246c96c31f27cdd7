package mint_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

const idp = "https://idp.example"

// proven is a request with an ID token of that text.
func proven(token, nonce string) mint.Request {
	r := request()
	r.User, r.IDToken, r.Nonce = "", vault.NewSecret([]byte(token)), nonce
	return r
}

func untrusted() authn.Identity {
	return orchestrator(func(o *authn.Orchestrator) { o.MayAssertUsers = false })
}

// TestATokenSaysWhoTheUserIs: whoever mints, trusted to assert users or not. One whom
// a token names is never one whom a name names.
func TestATokenSaysWhoTheUserIs(t *testing.T) {
	b := newBench(t)
	b.idTokens["good"] = func(ws, nonce string) (task.User, error) {
		require.Equal(t, workspace, ws)
		require.Equal(t, "n", nonce)
		return task.User{Issuer: idp, Subject: "alice"}, nil
	}
	made, err := b.Create(t.Context(), untrusted(), proven("good", "n"))
	require.NoError(t, err)
	require.Equal(t, idp, made.Task.User.Issuer)
	require.Equal(t, "alice", made.Task.User.Subject)
	stored, _, err := b.Get(t.Context(), operator(), made.Task.ID)
	require.NoError(t, err)
	require.Equal(t, made.Task, stored)

	again, err := b.Create(t.Context(), orchestrator(), proven("good", "n"))
	require.NoError(t, err)
	require.Equal(t, made.Task.User, again.Task.User, "a user is one user")
	require.NotEqual(t, made.Task.User.ID, b.create(t, request()).Task.User.ID, "and not the local one of that name")
}

func TestTokensThatNameNobody(t *testing.T) {
	for name, u := range map[string]task.User{
		"the local issuer":    {Issuer: task.LocalIssuer, Subject: "alice"},
		"a control character": {Issuer: idp, Subject: "ali\nce"},
		"zero width":          {Issuer: idp, Subject: "ali\u200bce"},
		"not in form C":       {Issuer: idp, Subject: "e\u0301ve"},
		"with a space before": {Issuer: idp, Subject: " alice"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.idTokens["good"] = func(string, string) (task.User, error) { return u, nil }
			_, err := b.Create(t.Context(), orchestrator(), proven("good", ""))
			require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
			require.ErrorContains(t, err, "id_token")
			require.NotContains(t, err.Error(), "lice")
			b.requireEmpty(t)
			_, err = b.store.Tasks().FindUser(t.Context(), workspace, u.Issuer, u.Subject)
			require.ErrorIs(t, err, store.ErrNotFound)
		})
	}
}

// TestAnIssuerThatIsDownMintsNothing: what cannot be verified is not believed.
func TestAnIssuerThatIsDownMintsNothing(t *testing.T) {
	b := newBench(t)
	b.idTokens["good"] = func(string, string) (task.User, error) {
		return task.User{}, fault.New(fault.IssuerUnavailable, "the issuer cannot be asked", nil)
	}
	_, err := b.Create(t.Context(), orchestrator(), proven("good", ""))
	require.True(t, fault.Is(err, fault.IssuerUnavailable), "%v", err)
	b.requireEmpty(t)
}

// TestBoundsComeFirst: a request that is refused anyway has no token verified.
func TestBoundsComeFirst(t *testing.T) {
	b := newBench(t)
	b.idTokens["good"] = func(string, string) (task.User, error) {
		t.Fatal("verified")
		return task.User{}, nil
	}
	r := proven("good", "")
	r.Sandbox = "spiffe://example.org/ns/b/1"
	_, err := b.Create(t.Context(), orchestrator(), r)
	require.True(t, fault.Is(err, fault.CallerNotAllowed), "%v", err)
	r = proven("good", "")
	r.Grants = []string{"billing: get READ bill:*"}
	_, err = b.Create(t.Context(), orchestrator(), r)
	require.True(t, fault.Is(err, fault.CallerNotAllowed), "%v", err)
}
