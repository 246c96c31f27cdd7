// Package attack_test attacks the built programs over the wire. Each file is named for
// its row of the threat model; a row counts as survived only if its tests fail once
// the defence is taken out.
package attack_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// atOnce is how many parallel tests run together unless -parallel says otherwise: they
// wait far more than they compute, and Go's default goes by the cores alone.
const atOnce = "4"

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", atOnce); err != nil {
			panic(err)
		}
	}
	os.Exit(testenv.Main(m))
}

// bearer is the slot that most connectors here have, and canary what alice has in it.
const (
	bearer = "{main: {owner: user, attach: bearer}}"
	canary = "canary-7f1d9c2be4a65830fa"
)

// target is a broker with one connector, "things", to an upstream of the test's own,
// and alice's canary stored for it.
func target(t *testing.T, h http.HandlerFunc, edit ...func(*config.Config)) (*testenv.Broker, *testenv.Upstream) {
	t.Helper()
	upstream := testenv.NewUpstream(t, h)
	b := testenv.NewSite(t, "", 0).Start(t, edit...)
	b.Apply(t, upstream.Manifest("things", bearer, testenv.Things))
	b.Put(t, "things", "alice", canary)
	return b, upstream
}

const readThings = "things: things.get,things.find READ thing:*"

// invoke is the body of an Invoke over REST.
func invoke(tool, arguments string) string {
	return `{"connector":"things","tool":"` + tool + `","arguments":` + arguments + `}`
}

// change runs a statement in a broker's PostgreSQL behind its back.
func change(t *testing.T, store, statement string) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), store)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(context.WithoutCancel(t.Context()))) }()
	done, err := db.Exec(t.Context(), statement)
	require.NoError(t, err)
	require.False(t, done.Update() && done.RowsAffected() == 0, "nothing was changed")
}

// forms are the shapes in which a secret is looked for: as it is, in base64 at each of
// the three alignments, in hex, URL-encoded, and as JSON and HTML write it.
func forms(secret string) []string {
	var percent strings.Builder
	for _, c := range []byte(secret) {
		fmt.Fprintf(&percent, "%%%02X", c)
	}
	all := []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), percent.String(), strings.ToLower(percent.String()),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
	}
	quoted, _ := json.Marshal(secret)
	inJSON := string(quoted[1 : len(quoted)-1])
	all = append(all, inJSON, strings.ReplaceAll(inJSON, "/", `\/`), html.EscapeString(secret))
	for offset := range 3 {
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := encoding.EncodeToString([]byte("\x00\x00\x00"[:offset] + secret))
			// The characters that depend on what stands before and behind are left out.
			all = append(all, text[[]int{0, 2, 3}[offset]:(offset+len(secret))*8/6])
		}
	}
	return all
}

// found says whether a text holds a secret in any form.
func found(text, secret string) bool {
	return slices.ContainsFunc(forms(secret), func(form string) bool { return strings.Contains(text, form) })
}

// absent fails where a text holds a secret in any form. It never prints the text. Texts
// are long and secrets many: each place in the text is looked up by its first bytes.
func absent(t *testing.T, where, text string, secrets ...string) {
	t.Helper()
	const first = 6 // no form is shorter
	type place struct {
		form      string
		secret, n int
	}
	by := map[string][]place{}
	for i, secret := range secrets {
		for n, form := range forms(secret) {
			by[form[:first]] = append(by[form[:first]], place{form, i, n})
		}
	}
	for at := range max(0, len(text)-first+1) {
		for _, p := range by[text[at:at+first]] {
			require.False(t, strings.HasPrefix(text[at:], p.form), "%s holds secret %d in form %d, at %d", where, p.secret, p.n, at)
		}
	}
}

// reasons gives the reasons of a task's refusals.
func reasons(events []*onedoorv1.AuditEvent) []string {
	var all []string
	for _, e := range events {
		if e.GetKind() == "REFUSAL" {
			all = append(all, e.GetReason())
		}
	}
	return all
}

// The search itself finds what it looks for, wherever it stands.
func TestFormsAreFound(t *testing.T) {
	for _, around := range []string{"", "x", "xy", "xyz"} {
		text := around + canary + around
		for name, encoded := range map[string]string{
			"base64":     base64.StdEncoding.EncodeToString([]byte(text)),
			"base64 URL": base64.URLEncoding.EncodeToString([]byte(text)),
			"hex":        hex.EncodeToString([]byte(text)),
			"URL":        url.QueryEscape(text),
		} {
			require.True(t, found(encoded, canary), "%s between %q", name, around)
		}
	}
	const odd = `a"b/c&d<e>`
	for _, text := range []string{`"a\"b/c\u0026d\u003ce\u003e"`, `a\"b\/c\u0026d\u003ce\u003e`, `a&#34;b/c&amp;d&lt;e&gt;`, `a%22b%2Fc%26d%3Ce%3E`} {
		require.True(t, found(text, odd), text)
	}
	require.False(t, found("what is not there", canary))
}
