package credential_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/vault"
)

// Between owners there is no way from one credential to another's.
func TestOwnersAreApart(t *testing.T) {
	mine := slots("main: {owner: user, attach: bearer}")
	ours := slots("main: {owner: workspace, attach: bearer}")
	cases := map[string]struct {
		put  func(string) string
		user func(b *bench) string
		find func(string) string
		as   func(b *bench) string
	}{
		"another user's":                      {mine, func(b *bench) string { return b.alice }, mine, func(b *bench) string { return b.bob }},
		"a user's as the workspace's":         {mine, func(b *bench) string { return b.alice }, ours, func(b *bench) string { return b.alice }},
		"the workspace's as a user's":         {ours, func(*bench) string { return "" }, mine, func(b *bench) string { return b.alice }},
		"a user's without a user":             {mine, func(b *bench) string { return b.alice }, mine, func(*bench) string { return "" }},
		"the workspace's for an unknown user": {ours, func(*bench) string { return "" }, mine, func(*bench) string { return "nobody" }},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.put(t, b.connector(t, k.put), "main", k.user(b), secret)
			_, err := b.Find(t.Context(), b.connector(t, k.find), k.as(b))
			requireMissing(t, err, "none is stored")
		})
	}
	t.Run("another connector's or workspace's", func(t *testing.T) {
		b := newBench(t)
		c := b.connector(t)
		b.put(t, c, "main", b.alice, secret)
		other := *c
		other.Name = "billing"
		_, err := b.Find(t.Context(), &other, b.alice)
		requireMissing(t, err, "connector billing, slot main (user's)")
		other = *c
		other.Workspace = "other"
		_, err = b.Find(t.Context(), &other, b.alice)
		requireMissing(t, err, "none is stored")
	})
}

var aPort = regexp.MustCompile(`(//example\.com:)\d+`)

// Whoever edits a manifest cannot have a stored secret sent elsewhere, or otherwise.
func TestDestinationIsFixed(t *testing.T) {
	put := slots(`main: {owner: user, attach: {header: X-Api-Key, prefix: "Token "}}`)
	changes := map[string]func(string) string{
		"another host":   func(text string) string { return strings.Replace(put(text), "//example.com", "//evil.test", 1) },
		"another port":   func(text string) string { return aPort.ReplaceAllString(put(text), "${1}4443") },
		"another header": slots(`main: {owner: user, attach: {header: X-Debug, prefix: "Token "}}`),
		"another prefix": slots(`main: {owner: user, attach: {header: X-Api-Key, prefix: "Tok"}}`),
		"no prefix":      slots(`main: {owner: user, attach: {header: X-Api-Key}}`),
		"a bearer":       slots(`main: {owner: user, attach: bearer}`),
		"in the query":   slots(`main: {owner: user, attach: {query: X-Api-Key}}`),
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			first := b.connector(t, put)
			b.put(t, first, "main", b.alice, secret)
			moved := b.connector(t, change)
			_, err := b.Find(t.Context(), moved, b.alice)
			requireMissing(t, err, "for another origin or attachment: put it again (onedoor credential put)")

			// Nor by changing the row to what the manifest says now: it does not open.
			elsewhere := b.put(t, moved, "main", b.bob, another)
			b.edited.active = func(r credential.Record) credential.Record {
				r.Destination, r.Kind = strings.Replace(elsewhere.Destination, b.bob, b.alice, 1), elsewhere.Kind
				return r
			}
			k := b.keeper()
			records, err := k.Find(t.Context(), moved, b.alice)
			require.NoError(t, err)
			_, err = k.Attach(t.Context(), b.intent(t, workspace), nil, bound(t, moved), records)
			require.True(t, fault.Is(err, fault.Internal), "%v", err)
			require.ErrorIs(t, err, vault.ErrSealed)
			requireSilent(t, err)

			b.edited.active = nil
			require.Equal(t, "Token "+secret, b.send(t, b.keeper(), first, b.alice).Header.Get("X-Api-Key"), "it still works where it was put for")
		})
	}
	t.Run("basic for bearer", func(t *testing.T) {
		b := newBench(t)
		b.put(t, b.connector(t), "main", b.alice, secret)
		_, err := b.Find(t.Context(), b.connector(t, slots("main: {owner: user, attach: basic}")), b.alice)
		requireMissing(t, err, "put it again")
	})
	t.Run("a tool was added", func(t *testing.T) {
		b := newBench(t)
		b.put(t, b.connector(t), "main", b.alice, secret)
		more := b.connector(t, func(text string) string {
			return text + "  - {name: new, severity: READ, method: GET, path: /new, resources: [\"contact:*\"]}\n"
		})
		require.Equal(t, "Bearer "+secret, b.send(t, b.Keeper, more, b.alice).Header.Get("Authorization"))
	})
}

func TestRowsDoNotOpenElsewhere(t *testing.T) {
	b := newBench(t)
	c := b.connector(t)
	b.put(t, c, "main", b.alice, secret)
	bobs := b.put(t, c, "main", b.bob, another)
	edits := map[string]func(r credential.Record) credential.Record{
		"another's sealed bytes": func(r credential.Record) credential.Record { r.Sealed = bobs.Sealed; return r },
		"another version":        func(r credential.Record) credential.Record { r.Version++; return r },
		"another id":             func(r credential.Record) credential.Record { r.ID = bobs.ID; return r },
		"another's whole row, with its owner rewritten": func(credential.Record) credential.Record {
			r := bobs
			r.UserID, r.Destination = b.alice, strings.Replace(r.Destination, b.bob, b.alice, 1)
			return r
		},
		"cut short": func(r credential.Record) credential.Record { r.Sealed.Ciphertext = r.Sealed.Ciphertext[1:]; return r },
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			b.edited.active = edit
			k := b.keeper()
			records, err := k.Find(t.Context(), c, b.alice)
			require.NoError(t, err)
			_, err = k.Attach(t.Context(), b.intent(t, workspace), nil, bound(t, c), records)
			require.ErrorIs(t, err, vault.ErrSealed)
			require.Equal(t, "internal error", fault.From(err).Public)
		})
	}
}

// Another user's row under alice's name is not even tried: it says for whom it is.
func TestAnothersRowCountsAsMissing(t *testing.T) {
	b := newBench(t)
	c := b.connector(t)
	b.put(t, c, "main", b.alice, secret)
	bobs := b.put(t, c, "main", b.bob, another)
	b.edited.active = func(credential.Record) credential.Record {
		r := bobs
		r.UserID = b.alice
		return r
	}
	_, err := b.keeper().Find(t.Context(), c, b.alice)
	requireMissing(t, err, "put it again")
}

// TestFits: a record is held against the manifest as it is now, its owner included.
func TestFits(t *testing.T) {
	b := newBench(t)
	c := b.connector(t, slots("mine: {owner: user, attach: bearer}", "ours: {owner: workspace, attach: {header: X-K}}"))
	mine, ours := b.put(t, c, "mine", b.alice, secret), b.put(t, c, "ours", "", another)
	require.True(t, credential.Fits(c, mine))
	require.True(t, credential.Fits(c, ours))
	for name, k := range map[string]struct {
		now    []string
		record credential.Record
	}{
		"the workspace's, now each user's own": {[]string{"ours: {owner: user, attach: {header: X-K}}"}, ours},
		"a user's, now the workspace's":        {[]string{"mine: {owner: workspace, attach: bearer}"}, mine},
		"another header":                       {[]string{"ours: {owner: workspace, attach: {header: X-L}}"}, ours},
		"no such slot":                         {[]string{"ours: {owner: workspace, attach: {header: X-K}}"}, mine},
	} {
		t.Run(name, func(t *testing.T) { require.False(t, credential.Fits(b.connector(t, slots(k.now...)), k.record)) })
	}
}
