// Package onedoortest runs a real Onedoor broker within a test, so that agents are tested
// against the very checks that they will meet:
//
//	func TestAgent(t *testing.T) {
//		b := onedoortest.Start(t)
//		b.Upstream(t, manifest, http.HandlerFunc(fakeCRM))
//		agent := NewAgent(b.Task(t, "crm: contacts.get READ contact:42"))
//		…
//		require.Len(t, b.Calls(t), 1)
//	}
//
// The broker is that of `onedoord`, with its store (SQLite in a temporary folder), its
// audit trail and its mutual TLS; a development authority gives every workload its SVID.
// Only the upstreams are fake: each is an HTTPS server on loopback, which the manifest that
// is tested is pointed at, and which hears a request only if it carries the credential.
//
// Everything ends with the test. Brokers share nothing, so tests may run in parallel. The
// process stays as it is: a broker under test does not lock its memory away, as onedoord
// does. Unix sockets need short paths; where TMPDIR is very long, set it to a shorter one.
package onedoortest
