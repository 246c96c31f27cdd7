// Package attack_test attacks the built programs over the wire. Each file is named for
// its row of the threat model; a row counts as survived only if its tests fail once
// the defence is taken out.
package attack_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

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

// forms are the shapes in which a secret is looked for: as it is, in base64 at each of
// the three alignments, in hex, and URL-encoded.
func forms(secret string) []string {
	var percent strings.Builder
	for _, c := range []byte(secret) {
		fmt.Fprintf(&percent, "%%%02X", c)
	}
	all := []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), percent.String(), strings.ToLower(percent.String()),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
	}
	for offset := range 3 {
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := encoding.EncodeToString([]byte("\x00\x00\x00"[:offset] + secret))
			// The characters that depend on what stands before and behind are left out.
			all = append(all, text[[]int{0, 2, 3}[offset]:(offset+len(secret))*8/6])
		}
	}
	return all
}

// absent fails where a text holds a secret in any form. It never prints the text.
func absent(t *testing.T, where, text string, secrets ...string) {
	t.Helper()
	for i, secret := range secrets {
		for j, form := range forms(secret) {
			require.False(t, strings.Contains(text, form), "%s holds secret %d in form %d", where, i, j)
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
			found := false
			for _, form := range forms(canary) {
				found = found || strings.Contains(encoded, form)
			}
			require.True(t, found, "%s between %q", name, around)
		}
	}
}
