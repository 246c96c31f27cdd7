package attack_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// TestAttack17_SecretsNowhere makes every stage of a call fail, with the credential in
// a header and in the query, and then looks for it in all that the broker gave out or
// wrote down.
func TestAttack17_SecretsNowhere(t *testing.T) {
	const inQuery = "qcanary 3b/9e+71c=04&d8f2"
	const slots = "{main: {owner: user, attach: bearer}, second: {owner: user, attach: {query: api_key}}}"
	tools := strings.ReplaceAll(testenv.Things, "timeout: 10s", "timeout: 500ms")
	site := testenv.NewSite(t, "", 0)
	b := site.Start(t)
	operator := b.Client(t, testenv.Operator, "")
	var keys []string
	var seen strings.Builder
	for name, manifest := range failures(t, slots, tools) {
		b.Apply(t, manifest)
		for slot, secret := range map[string]string{"main": canary, "second": inQuery} {
			_, err := operator.Credentials().Put(t.Context(), &onedoorv1.CredentialsPutRequest{
				Connector: name, Slot: slot, Secret: []byte(secret), Owner: &onedoorv1.CredentialsPutRequest_User{User: "alice"},
			})
			require.NoError(t, err)
		}
		task := b.Mint(t, nil, name+": things.get READ thing:*")
		keys = append(keys, task.Key)
		answer, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), name, "things.get", map[string]string{"id": "1"})
		_, _ = fmt.Fprintf(&seen, "%+v %#v %v\n", answer, err, err)
		if err == nil {
			seen.Write(answer.Body)
		}
		rest := b.REST(t, testenv.Sandbox, task.Key)
		for _, path := range []string{"/v1/invoke", "/v1/invoke:stream"} {
			over := rest.Do(t, http.MethodPost, path, strings.Replace(invoke("things.get", `{"id":"2"}`), `"things"`, `"`+name+`"`, 1))
			_, _ = fmt.Fprintf(&seen, "%v %s\n", over.Header, over.Body)
		}
		said := b.CLI(t, testenv.Sandbox, task.Key, "-o", "json", "invoke", name, "things.get", "--arg", "id=3")
		seen.WriteString(said.Stdout + said.Stderr)
		t.Logf("%s: %v", name, err)
	}
	absent(t, "what the sandbox got", seen.String(), canary, inQuery)
	var listed strings.Builder
	for _, e := range b.ListEvents(t, &onedoorv1.AuditListRequest{}) {
		listed.WriteString(protojson.Format(e))
	}
	require.Contains(t, listed.String(), "NOT_SENT")
	secrets := append(keys, canary, inQuery)
	absent(t, "the audit trail", listed.String(), secrets...)
	for _, path := range []string{"/metrics", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline"} {
		absent(t, path, get(t, b.OpsURL+path), secrets...)
	}
	require.NoError(t, b.Stop())
	require.Contains(t, b.Log(), "UPSTREAM_UNAVAILABLE", "the failures did happen, and are logged")
	absent(t, "the log", b.Log(), secrets...)
	files := 0
	require.NoError(t, filepath.WalkDir(site.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		absent(t, filepath.Base(path), string(text), secrets...)
		return err
	}))
	require.GreaterOrEqual(t, files, 4, "the database is among them")
}

// failures gives a connector for each stage at which a call can fail.
func failures(t *testing.T, slots, tools string) map[string]string {
	t.Helper()
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	behave := map[string]http.HandlerFunc{
		"timeout": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		},
		"status": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, "failed: "+r.URL.String()+" "+r.Header.Get("Authorization"))
		},
		"json": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"broken": `+r.URL.RawQuery+r.Header.Get("Authorization"))
		},
		"cut": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, r.URL.RawQuery+r.Header.Get("Authorization"))
			panic(http.ErrAbortHandler)
		},
		"large": func(w http.ResponseWriter, r *http.Request) {
			for range 1 << 12 {
				_, _ = io.WriteString(w, strings.Repeat("x", 1<<10)+r.URL.RawQuery+r.Header.Get("Authorization"))
			}
		},
		"encoding": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, r.URL.RawQuery+r.Header.Get("Authorization"))
		},
	}
	all := map[string]string{}
	for name, h := range behave {
		all[name] = testenv.NewUpstream(t, h).Manifest(name, slots, tools)
	}
	good := testenv.NewUpstream(t, http.NotFoundHandler())
	_, otherCA := testenv.Certificate(t, "localhost")
	all["name"] = testenv.Manifest("name", "https://nothing.invalid", good.CA, slots, tools)
	all["refused"] = testenv.Manifest("refused", "https://localhost:"+unused(t), good.CA, slots, tools)
	all["untrusted"] = testenv.Manifest("untrusted", good.Origin, otherCA, slots, tools)
	all["plain"] = testenv.Manifest("plain", "https://localhost:"+speaks(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n") }), "", slots, tools)
	// net/http quotes what it cannot read in its errors: the request itself, given back.
	certificate, ca := testenv.Certificate(t, "localhost")
	for name, before := range map[string]string{"garbage": "", "header": "HTTP/1.1 200 OK\r\n", "version": "HTTP/9.9 "} {
		port := speaks(t, func(c net.Conn) {
			secure := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
			request := make([]byte, 4096)
			n, _ := secure.Read(request)
			_, _ = secure.Write(append([]byte(before), request[:n]...))
		})
		all[name] = testenv.Manifest(name, "https://localhost:"+port, ca, slots, tools)
	}
	return all
}

// speaks serves something other than HTTPS and gives its port.
func speaks(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer func() { _ = c.Close() }(); serve(c) }()
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

// unused gives a port on which nobody listens.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return port
}

func get(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	answer := testenv.Fetch(t, testenv.HTTPS(t, nil), request)
	require.Equal(t, http.StatusOK, answer.Status)
	return answer.Body
}

// The demo upstreams' secrets lie in DIR/demo and nowhere else: not in the log, not in
// another file of the folder.
func TestAttack17_DemoSecrets(t *testing.T) {
	b := testenv.Dev(t)
	var secrets []string
	demo, err := os.ReadDir(filepath.Join(b.Dir, "demo"))
	require.NoError(t, err)
	for _, one := range demo {
		text, err := os.ReadFile(filepath.Join(b.Dir, "demo", one.Name()))
		require.NoError(t, err)
		secrets = append(secrets, string(text))
	}
	require.Len(t, secrets, 3)
	task := b.Mint(t, nil, "crm: contacts.* READ contact:*")
	_, err = b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "crm", "contacts.search", map[string]string{"q": "a"})
	require.NoError(t, err)
	absent(t, "the log", b.Log(), append(secrets, task.Key)...)
	require.NoError(t, filepath.WalkDir(b.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Base(filepath.Dir(path)) == "demo" {
			return err
		}
		text, err := os.ReadFile(path)
		absent(t, filepath.Base(path), string(text), append(secrets, task.Key)...)
		return err
	}))
}
