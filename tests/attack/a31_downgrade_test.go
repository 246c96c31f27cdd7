package attack_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// forged is a certificate of an upstream, changed, under a CA of its own.
type forged struct {
	key      crypto.Signer // nil: a good one
	caKey    crypto.Signer
	leaf, ca func(*x509.Certificate)
	unsigned bool // by the CA: by itself
}

func (f forged) make(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	good := func(k crypto.Signer) crypto.Signer {
		if k != nil {
			return k
		}
		made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		return made
	}
	key, caKey := good(f.key), good(f.caKey)
	template := func(serial int64, change func(*x509.Certificate)) *x509.Certificate {
		c := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		}
		if serial == 1 {
			c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
		} else {
			c.DNSNames, c.ExtKeyUsage = []string{"localhost"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}
		if change != nil {
			change(c)
		}
		return c
	}
	authority := template(1, f.ca)
	ca, err := x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey)
	require.NoError(t, err)
	leaf := template(2, f.leaf)
	parent, signer := authority, caKey
	if f.unsigned {
		parent, signer = leaf, key
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, parent, key.Public(), signer)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca}))
}

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	return key
}

// TestAttack31_Upstream: no request goes to an upstream that is not verified by its name
// and by its connector's CA, over a protocol and with keys of today.
func TestAttack31_Upstream(t *testing.T) {
	short, long := rsaKey(t, 1024), rsaKey(t, 2048)
	name := func(c *x509.Certificate) { c.DNSNames = []string{"elsewhere.test"} }
	sha1 := func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA }
	b := testenv.NewSite(t, "", 0).Start(t)
	_, otherCA := forged{}.make(t)
	call := func(t *testing.T, origin, ca string) error {
		t.Helper()
		b.Apply(t, testenv.Manifest("things", origin, ca, bearerOfAll, testenv.Things))
		b.Put(t, "things", "", canary)
		task := b.Mint(t, nil, readThings)
		_, err := b.Client(t, testenv.Sandbox, task.Key).Broker().Invoke(t.Context(), // which does not try again
			&onedoorv1.InvokeRequest{Connector: "things", Tool: "things.get", ArgumentsJson: []byte(`{"id":"1"}`)})
		return err
	}
	for what, one := range map[string]struct {
		forged
		conf  func(*tls.Config)
		ca    string
		fine  bool
		plain bool
	}{
		"as it should be":     {fine: true},
		"RSA of 2048 bits":    {forged: forged{key: long, caKey: long}, fine: true},
		"TLS 1.0":             {conf: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 }},
		"TLS 1.1":             {conf: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }},
		"an RSA key exchange": {forged: forged{key: long}, conf: weakSuite(tls.TLS_RSA_WITH_AES_128_GCM_SHA256)},
		"3DES":                {forged: forged{key: long}, conf: weakSuite(tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA)},
		"RC4":                 {forged: forged{key: long}, conf: weakSuite(tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA)},
		"no TLS":              {plain: true},
		"expired":             {forged: forged{leaf: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }}},
		"not yet valid":       {forged: forged{leaf: func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) }}},
		"its CA expired":      {forged: forged{ca: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }}},
		"signed by itself":    {forged: forged{unsigned: true}},
		"another name":        {forged: forged{leaf: name}},
		"a name in CN alone":  {forged: forged{leaf: func(c *x509.Certificate) { c.DNSNames = nil }}},
		"for clients":         {forged: forged{leaf: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }}},
		"its CA is none":      {forged: forged{ca: func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature }}},
		"its CA for other names": {forged: forged{ca: func(c *x509.Certificate) {
			c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"elsewhere.test"}
		}}},
		"SHA-1":                  {forged: forged{caKey: long, leaf: sha1}},
		"RSA of 1024 bits":       {forged: forged{key: short}},
		"a CA of 1024 bits":      {forged: forged{caKey: short}},
		"another connector's CA": {ca: otherCA},
		"the system's CAs":       {ca: "-"},
	} {
		t.Run(what, func(t *testing.T) {
			certificate, ca := one.make(t)
			conf := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
			if one.conf != nil {
				one.conf(conf)
			}
			origin := "https://localhost:" + speaks(t, func(c net.Conn) {
				if !one.plain {
					c = tls.Server(c, conf)
				}
				_, _ = c.Read(make([]byte, 1))
				if one.fine {
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			})
			switch one.ca {
			case "":
			case "-":
				ca = ""
			default:
				ca = one.ca
			}
			err := call(t, origin, ca)
			if one.fine {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "nothing was sent")
		})
	}
}

func weakSuite(suite uint16) func(*tls.Config) {
	return func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{suite} }
}

// Nothing that asks for less than that can be written down.
func TestAttack31_Manifests(t *testing.T) {
	b := testenv.NewSite(t, "", 0).Start(t)
	_, ca := testenv.Certificate(t, "localhost")
	good := testenv.Manifest("things", "https://localhost", ca, bearerOfAll, testenv.Things)
	b.Apply(t, good)
	oauth := func(fields string) string {
		return "{main: {owner: workspace, attach: bearer, oauth: {grant: client_credentials, client: {id: c, auth: basic}, " + fields + "}}}"
	}
	for what, one := range map[string]struct{ old, new, says string }{
		"http":                 {"origin: https:", "origin: http:", "https"},
		"ws":                   {"origin: https:", "origin: ws:", "https"},
		"no scheme":            {"origin: https://", "origin: ", "origin"},
		"skip_verify":          {"tls:\n", "tls:\n  skip_verify: true\n", "skip_verify"},
		"insecure_skip_verify": {"tls:\n", "tls:\n  insecure_skip_verify: true\n", "insecure_skip_verify"},
		"verify":               {"tls:\n", "tls:\n  verify: false\n", "verify"},
		"min_version":          {"tls:\n", "tls:\n  min_version: \"1.0\"\n", "min_version"},
		"server_name":          {"tls:\n", "tls:\n  server_name: elsewhere.test\n", "server_name"},
		"insecure":             {"kind: http", "kind: http\ninsecure: true", "insecure"},
		"allow_http":           {"network: {", "network: {allow_http: true, ", "allow_http"},
		"no CA in ca":          {"tls:\n  ca: |", "tls:\n  ca: \"\"\nx: |", "tls.ca"},
		"token endpoint":       {bearerOfAll, oauth("token_endpoint: http://login.test/token"), "https"},
		"its tls":              {bearerOfAll, oauth("token_endpoint: https://login.test/token, tls: {skip_verify: true}"), "skip_verify"},
		"GitHub": {bearerOfAll, "{main: {owner: workspace, attach: bearer, github_app: {app_id: 7, installation_id: 4, api: http://github.test, " +
			"permissions: {contents: read}, all_repositories: true}}}", "https"},
		"STS":              {bearerOfAll, `{main: {owner: workspace, attach: {aws: {region: eu-central-1, service: s3, role: "arn:aws:iam::123456789012:role/x", sts: {endpoint: http://sts.test/}}}}}`, "https"},
		"an issuer's keys": {"kind: http", "kind: http\nassertion: {audience: http://things.test, verify: false}", "verify"},
	} {
		t.Run(what, func(t *testing.T) {
			require.Contains(t, good, one.old)
			said := b.CLIWith(t, testenv.Operator, "", strings.Replace(good, one.old, one.new, 1), "connector", "apply", "-f", "-")
			require.NotZero(t, said.Code, said.Stdout)
			require.Contains(t, said.Stderr, one.says)
		})
	}
}

// Neither can it be configured, nor set in the broker's environment.
func TestAttack31_Configuration(t *testing.T) {
	site := testenv.NewSite(t, "", 0)
	start := func(t *testing.T, env []string, edit func(text string) string) testenv.Result {
		t.Helper()
		path, _ := site.Configure(t)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, []byte(edit(string(text))), 0o600))
		return testenv.Run(t, "", env, testenv.Binary(t, "onedoord"), "serve", "--config", path)
	}
	for what, one := range map[string]struct{ more, says string }{
		"an unknown field":  {"tls: {min_version: \"1.0\"}", `unknown field "tls"`},
		"skip verify":       {"insecure_skip_verify: true", `unknown field "insecure_skip_verify"`},
		"a plain issuer":    {"issuers: [{issuer: http://login.test, audiences: [a], workspaces: [default]}]", "https"},
		"plain assertions":  {"assertions: {issuer: http://broker.test}", "https"},
		"plain connect":     {"connect: {url: http://broker.test}", "https"},
		"plain telemetry":   {"telemetry: {otlp_endpoint: collector.test:4317, otlp_insecure: true}", "loopback"},
		"ops for everybody": {"listeners: {grpc: {address: 127.0.0.1:0}, ops: {address: 0.0.0.0:9090}}", "loopback"},
	} {
		t.Run(what, func(t *testing.T) {
			field, _, _ := strings.Cut(one.more, ":")
			said := start(t, nil, func(text string) string { return without(text, field) + one.more + "\n" })
			require.NotZero(t, said.Code)
			require.Contains(t, said.Stderr, one.says)
		})
	}
	for _, mode := range []string{"", "?sslmode=disable", "?sslmode=prefer", "?sslmode=require"} {
		t.Run("the database "+mode, func(t *testing.T) {
			path, _ := site.Configure(t, func(c *config.Config) {
				c.Environment, c.Keys.Master = config.Production, "aws-kms://arn:aws:kms:eu-central-1:111122223333:key/k"
				c.Store.URL = "postgres://onedoor@db.invalid/onedoor" + mode
			})
			for _, command := range []string{"serve", "migrate"} {
				said := testenv.Run(t, "", nil, testenv.Binary(t, "onedoord"), command, "--config", path)
				require.NotZero(t, said.Code)
				require.Contains(t, said.Stderr, "sslmode=verify-full")
			}
		})
	}
	for _, setting := range []string{"tls10server=1", "tlsrsakex=1", "tls3des=1", "x509sha1=1", "rsa1024min=0", "http2debug=2", "httplaxcontentlength=1", "gctrace=0,tlssha1=1"} {
		t.Run(setting, func(t *testing.T) {
			said := start(t, []string{"GODEBUG=" + setting}, func(text string) string { return text })
			require.NotZero(t, said.Code)
			require.Contains(t, said.Stderr, "GODEBUG")
		})
	}
}

// without takes a field of the top level out of a YAML text.
func without(text, field string) string {
	var kept strings.Builder
	in := false
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "-") {
			in = strings.HasPrefix(line, field+":")
		}
		if !in {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// The environment adds no CA to a connector's own, and takes no key of a session.
func TestAttack31_Environment(t *testing.T) {
	certificate, ca := testenv.Certificate(t, "localhost")
	_, otherCA := testenv.Certificate(t, "localhost")
	site := testenv.NewSite(t, "", 0)
	roots, keys := filepath.Join(site.Dir, "roots.pem"), filepath.Join(site.Dir, "keys.log")
	require.NoError(t, os.WriteFile(roots, []byte(ca), 0o600))
	site.Env = []string{"SSL_CERT_FILE=" + roots, "SSLKEYLOGFILE=" + keys, "GODEBUG=gctrace=0"}
	b := site.Start(t)
	origin := testenv.ServeTLS(t, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for trusted, ok := range map[string]bool{otherCA: false, ca: true} {
		b.Apply(t, testenv.Manifest("things", origin, trusted, "", testenv.Things))
		task := b.Mint(t, nil, readThings)
		_, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
		require.Equal(t, ok, err == nil, "%v", err)
	}
	require.NoFileExists(t, keys)
}

// No listener takes less than TLS 1.3, and those of the API nobody without an SVID.
func TestAttack31_Inbound(t *testing.T) {
	b, _ := target(t, echoPath, func(c *config.Config) {
		c.Listeners.RESTJWT = config.JWTListener{Listener: config.Listener{Address: "127.0.0.1:0"}, Audience: "a"}
	})
	mutual, anonymous := b.TLS(t, testenv.Sandbox), b.Anonymous(t)
	stranger, _ := testenv.Certificate(t, "localhost")
	strange := anonymous.Clone()
	strange.Certificates = []tls.Certificate{stranger}
	// get makes a request by hand: the errors of a server come with the first reading.
	get := func(url string, conf *tls.Config) (answer string, err error) {
		addr := strings.TrimPrefix(url, "https://")
		var c net.Conn
		if conf == nil {
			c, err = net.Dial("tcp", addr)
		} else {
			conf = conf.Clone()
			conf.ServerName = "localhost"
			c, err = tls.Dial("tcp", addr, conf)
		}
		if err != nil {
			return "", err
		}
		defer func() { _ = c.Close() }()
		require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
		_, _ = io.WriteString(c, "GET /v1/task HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		text, err := io.ReadAll(c)
		return string(text), err
	}
	with := func(conf *tls.Config, proto string, most uint16) *tls.Config {
		conf = conf.Clone()
		conf.NextProtos, conf.MinVersion, conf.MaxVersion = []string{proto}, tls.VersionTLS10, most
		return conf
	}
	for listener, at := range map[string]struct {
		url, proto string
		mutual     bool
	}{
		"grpc": {b.Addr, "h2", true}, "rest": {b.RESTURL, "http/1.1", true}, "rest_jwt": {b.JWTURL, "http/1.1", false}, "public": {b.PublicURL, "http/1.1", false},
	} {
		own := anonymous
		if at.mutual {
			own = mutual
		}
		_, err := get(at.url, with(own, at.proto, tls.VersionTLS13))
		require.NoError(t, err, listener)
		for what, conf := range map[string]*tls.Config{
			"TLS 1.2": with(own, at.proto, tls.VersionTLS12), "TLS 1.1": with(own, at.proto, tls.VersionTLS11), "no TLS": nil,
			"another protocol": with(own, "http/0.9", tls.VersionTLS13),
			"no certificate":   with(anonymous, at.proto, tls.VersionTLS13), "a stranger's": with(strange, at.proto, tls.VersionTLS13),
		} {
			if !at.mutual && strings.Contains(what, "certificate") || !at.mutual && strings.Contains(what, "stranger") {
				continue
			}
			t.Run(listener+"/"+what, func(t *testing.T) {
				answer, err := get(at.url, conf)
				if conf != nil {
					require.Error(t, err)
				}
				require.NotContains(t, answer, "reason", "no handler has answered")
				require.NotContains(t, answer, "HTTP/1.1")
			})
		}
	}
}
