package credential_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/tests/testenv"
)

const (
	signedGrant = "grant: jwt_bearer, scopes: [a], assertion: {issuer: i, subject: s, audience: aud, algorithm: RS256, key_id: k}"
	keyedClient = "grant: client_credentials, client: {id: app, auth: private_key_jwt, algorithm: RS256}"
	swapped     = `grant: token_exchange, client: {id: app, auth: basic, secret: key}, exchange: {subject: stored, subject_token_type: "urn:x", actor: assertion}`
	provenByKey = "grant: authorization_code, authorization_endpoint: https://login.example/a, client: {id: app, auth: private_key_jwt, algorithm: RS256, secret: key}"
)

// keySlot is a slot beside main that holds a client's secret.
func keySlot(text string) string {
	return strings.Replace(text, "  main:", "  key: {owner: workspace, attach: token-endpoint}\n  main:", 1)
}

// replacing changes one thing of a manifest.
func replacing(t *testing.T, old, with string) func(string) string {
	return func(text string) string {
		t.Helper()
		require.Contains(t, text, old)
		return strings.Replace(text, old, with, 1)
	}
}

// TestKeysAreChecked: what cannot sign is not stored, and no error repeats it.
func TestKeysAreChecked(t *testing.T) {
	b := newBench(t)
	at := answering(t, 200, "{}")
	const clientsKey = "client: {id: a, auth: private_key_jwt, algorithm: ES256"
	for name, k := range map[string]struct {
		slot, fits string
		change     []func(string) string
	}{
		"a signed grant":             {"main", theSigners().rsa, []func(string) string{endpoint(at, "workspace", signedGrant)}},
		"a client's own key":         {"main", theSigners().ec, []func(string) string{endpoint(at, "workspace", "grant: client_credentials, "+clientsKey+"}")}},
		"an exchanging client's key": {"main", theSigners().ec, []func(string) string{endpoint(at, "workspace", "grant: token_exchange, exchange: {subject: assertion}, "+clientsKey+"}")}},
		"a key in a slot of its own": {"key", theSigners().ec, []func(string) string{endpoint(at, "workspace", signedGrant+", "+clientsKey+", secret: key}"), keySlot}},
		"a GitHub App":               {"main", theSigners().rsa, []func(string) string{app(at, "repository: repo")}},
	} {
		t.Run(name, func(t *testing.T) {
			c := b.connector(t, k.change...)
			for _, text := range []string{theSigners().ec, theSigners().rsa, "canary", ""} {
				_, err := b.Put(t.Context(), credential.Put{Connector: c, Slot: k.slot, Secret: vault.NewSecret([]byte(text)), By: "operator"})
				require.Equal(t, text == k.fits, err == nil, "%v", err)
				if err != nil {
					require.Equal(t, "secret", fault.From(err).Metadata["field"])
					requireSilent(t, err)
				}
			}
		})
	}
}

// TestWhatBuysStaysWhereItWasPut: no edit of a manifest has a key sign for somebody else,
// or a token given to another endpoint. What only narrows or widens within it may change.
func TestWhatBuysStaysWhereItWasPut(t *testing.T) {
	b := newBench(t)
	at := answering(t, 200, "{}")
	elsewhere := []string{"another host", "//localhost:", "//evil.example:"}
	otherPath := []string{"another path", "/token,", "/token2,"}
	for name, k := range map[string]struct {
		put          []func(string) string
		slot         string
		stored       string
		moved, stays [][]string // name, old, new
	}{
		"jwt_bearer": {[]func(string) string{endpoint(at, "workspace", signedGrant)}, "main", theSigners().rsa, [][]string{
			elsewhere, otherPath, {"issuer", "issuer: i", "issuer: j"}, {"subject", "subject: s", "subject: ceo"}, {"no subject", "subject: s, ", ""},
			{"audience", "audience: aud", "audience: evil"}, {"algorithm", "RS256", "ES256"}, {"grant", signedGrant, keyedClient},
			{"attachment", "attach: bearer", "attach: {header: X-Debug}"},
		}, [][]string{{"scopes", "scopes: [a]", "scopes: [b, c]"}, {"key id", "key_id: k", "key_id: l"}, {"parameters", "scopes: [a]", "parameters: {resource: x}"}}},
		"a client's key": {[]func(string) string{endpoint(at, "workspace", keyedClient)}, "main", theSigners().rsa, [][]string{
			elsewhere, otherPath, {"client", "id: app", "id: other"}, {"sent as a password", "private_key_jwt, algorithm: RS256", "post"},
			{"audience", "algorithm: RS256", "algorithm: RS256, audience: evil"},
		}, [][]string{{"scopes", keyedClient, keyedClient + ", scopes: [a]"}}},
		"a client's key in its slot": {[]func(string) string{endpoint(at, "user", provenByKey), keySlot}, "key", theSigners().rsa, [][]string{
			elsewhere, otherPath, {"audience", "algorithm: RS256", "algorithm: RS256, audience: evil"}, {"client", "id: app", "id: other"},
		}, [][]string{{"where the browser goes", "https://login.example/a", "https://login.example/b"}}},
		"token_exchange": {[]func(string) string{endpoint(at, "workspace", swapped), keySlot}, "main", "canary-token", [][]string{
			elsewhere, otherPath, {"type", "urn:x", "urn:y"}, {"no actor", ", actor: assertion", ""}, {"audience", "actor: assertion", "actor: assertion, audience: evil"},
			{"as the client's secret", `subject: stored, subject_token_type: "urn:x", actor: assertion`, "subject: assertion"}, {"grant", swapped, keyedClient},
		}, [][]string{{"scopes", swapped, swapped + ", scopes: [a]"}}},
		"github_app": {[]func(string) string{app(at, "repository: repo")}, "main", theSigners().rsa, [][]string{
			{"another host", "api: https://localhost", "api: https://evil.example"}, {"another path", ", permissions", "/v3, permissions"},
			{"app", "app_id: 7", "app_id: 8"}, {"installation", "installation_id: 42", "installation_id: 43"},
		}, [][]string{{"permissions", "contents: read", "contents: write"}, {"narrowing", "repository: repo", "repository: repo, all_repositories: true"}}},
	} {
		c := b.connector(t, k.put...)
		first := b.put(t, c, k.slot, "", k.stored)
		find := func(change []string) error {
			changed := b.connector(t, append(k.put, func(text string) string {
				text = replacing(t, change[1], change[2])(text)
				if change[0] == "as the client's secret" || change[0] == "grant" {
					text = strings.Replace(strings.Replace(text, ", secret: key}", "}", 1), "  key: {owner: workspace, attach: token-endpoint}\n", "", 1)
				}
				return text
			})...)
			if k.slot == "key" { // main is found first, and moves as well
				if b.put(t, changed, k.slot, "", k.stored).Destination == first.Destination {
					return nil
				}
				return fault.New(fault.CredentialMissing, "slot key: put it again", nil)
			}
			only := *changed
			only.Slots = map[string]connector.Slot{k.slot: changed.Slots[k.slot]}
			_, err := b.Find(t.Context(), &only, b.alice)
			return err
		}
		for _, change := range k.moved {
			t.Run(name+": "+change[0], func(t *testing.T) {
				err := find(change)
				require.True(t, fault.Is(err, fault.CredentialMissing), "%v", err)
				require.Contains(t, err.Error(), "slot "+k.slot)
				require.Contains(t, err.Error(), "put it again")
				requireSilent(t, err)
			})
		}
		for _, change := range append(k.stays, []string{"nothing", "crm", "crm"}) {
			t.Run(name+": "+change[0]+" may change", func(t *testing.T) {
				require.NoError(t, find(change))
			})
		}
	}
}

// TestEndpointsThatFail: the caller hears that there is no token, nothing of what the
// endpoint wrote or was sent, and the endpoint is then left alone.
func TestEndpointsThatFail(t *testing.T) {
	type slotMaker func(at *testenv.Upstream) (change func(string) string, stored string)
	kinds := map[string]slotMaker{
		"jwt_bearer": func(at *testenv.Upstream) (func(string) string, string) {
			return endpoint(at, "workspace", signedGrant), theSigners().rsa
		},
		"private_key_jwt": func(at *testenv.Upstream) (func(string) string, string) {
			return endpoint(at, "workspace", keyedClient), theSigners().rsa
		},
		"token_exchange": func(at *testenv.Upstream) (func(string) string, string) {
			return endpoint(at, "workspace", ofTaskAct), testenv.ClientSecret
		},
		"github_app": func(at *testenv.Upstream) (func(string) string, string) {
			return app(at, "all_repositories: true"), theSigners().rsa
		},
	}
	echo := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			w.Header().Set("X-Echo", r.Header.Get("Authorization"))
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"error":"canary","error_description":"canary ` + r.PostForm.Encode() + r.Header.Get("Authorization") + `"}`))
		}
	}
	answers := map[string]struct {
		handle http.HandlerFunc
		want   fault.Reason
	}{
		"refuses":      {echo(400), fault.CredentialNeedsReconnect},
		"knows nobody": {echo(401), fault.CredentialNeedsReconnect},
		"is busy":      {echo(429), fault.UpstreamUnavailable},
		"is broken":    {echo(500), fault.UpstreamUnavailable},
		"is down":      {echo(503), fault.UpstreamUnavailable},
		"redirects": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/canary", http.StatusTemporaryRedirect)
		}, fault.UpstreamUnavailable},
		"writes no JSON": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte("<canary>"))
		}, fault.UpstreamUnavailable},
		"hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, fault.UpstreamUnavailable},
	}
	for kind, slot := range kinds {
		for name, k := range answers {
			t.Run(kind+" "+name, func(t *testing.T) {
				b := newBench(t)
				at := testenv.NewUpstream(t, k.handle)
				change, stored := slot(at)
				c := b.connector(t, change)
				b.put(t, c, "main", "", stored)
				caller := b.callerOf(b.alice, "alice")
				for range 2 {
					_, err := b.attached(t, b.Keeper, c, caller, bound(t, c))
					require.True(t, fault.Is(err, k.want), "%v", err)
					requireSilent(t, err)
					require.NotContains(t, err.Error(), "eyJ", "the text of a JWT")
				}
				require.Equal(t, 1, at.Requests())
			})
		}
		t.Run(kind+" is slow", func(t *testing.T) {
			b := newBench(t)
			at := testenv.NewUpstream(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
			change, stored := slot(at)
			c := b.connector(t, change)
			b.put(t, c, "main", "", stored)
			records, err := b.Find(t.Context(), c, b.alice)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err = b.Attach(ctx, b.intent(t, workspace), b.callerOf(b.alice, "alice"), bound(t, c), records)
			require.True(t, fault.Is(err, fault.UpstreamUnavailable), "%v", err)
			requireSilent(t, err)
		})
	}
}
