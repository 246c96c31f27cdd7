package credential_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/vault"
)

const withCertificate = "main: {owner: user, attach: certificate}"

// signed makes a certificate of a key, signed by itself, perhaps changed, as PEM.
func signed(t testing.TB, name string, key crypto.Signer, changes ...func(*x509.Certificate)) string {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: now().Add(-time.Hour), NotAfter: now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, change := range changes {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return block("CERTIFICATE", der)
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return block("PRIVATE KEY", der)
}

func curve(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	require.NoError(t, err)
	return key
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	return key
}

// asking has the bench's upstream ask its clients for a certificate.
func asking(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	b.upstream.TLS.ClientAuth = tls.RequireAnyClientCert
	return b
}

// TestACertificateIsShown, whatever its key and the order of its text, and beside another
// credential; each user's own, and no byte of it in the request.
func TestACertificateIsShown(t *testing.T) {
	p256, other, small := curve(t, elliptic.P256()), curve(t, elliptic.P384()), rsaKey(t, 2048)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	sec1, err := x509.MarshalECPrivateKey(other)
	require.NoError(t, err)
	parameters, err := asn1.Marshal(asn1.ObjectIdentifier{1, 3, 132, 0, 34})
	require.NoError(t, err)
	for name, text := range map[string]string{
		"PKCS #8":          signed(t, "alice", p256) + pkcs8(t, p256),
		"key first":        pkcs8(t, p256) + signed(t, "alice", p256),
		"with its chain":   signed(t, "alice", p256) + signed(t, "ca", other) + pkcs8(t, p256),
		"SEC 1 by openssl": block("EC PARAMETERS", parameters) + block("EC PRIVATE KEY", sec1) + signed(t, "alice", other),
		"PKCS #1":          block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small)) + signed(t, "alice", small),
		"Ed25519":          signed(t, "alice", edwards) + pkcs8(t, edwards),
		"with comments":    "Bag Attributes\n  friendlyName: alice\n" + signed(t, "alice", p256) + "Key Attributes: <No Attributes>\r\n" + pkcs8(t, p256),
		"any purpose": signed(t, "alice", p256, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }) +
			pkcs8(t, p256),
		"no purpose": signed(t, "alice", p256, func(c *x509.Certificate) { c.ExtKeyUsage = nil }) + strings.TrimSpace(pkcs8(t, p256)),
	} {
		t.Run(name, func(t *testing.T) {
			b := asking(t)
			c := b.connector(t, slots(withCertificate, "ours: {owner: workspace, attach: bearer}"))
			bobs := curve(t, elliptic.P256())
			b.put(t, c, "main", b.alice, text)
			b.put(t, c, "main", b.bob, signed(t, "bob", bobs)+pkcs8(t, bobs))
			b.put(t, c, "ours", "", secret)
			for range 3 {
				for user, want := range map[string]string{b.alice: "alice", b.bob: "bob"} {
					got := b.send(t, b.Keeper, c, user)
					require.Equal(t, want, got.TLS.PeerCertificates[0].Subject.CommonName)
					require.Equal(t, []string{"Bearer " + secret}, got.Header.Values("Authorization"))
					require.Empty(t, got.URL.RawQuery)
				}
			}
		})
	}
}

// TestBadCertificatesAreRefused when put, in words that hold nothing of the text.
func TestBadCertificatesAreRefused(t *testing.T) {
	key, weak, odd := curve(t, elliptic.P256()), rsaKey(t, 1024), curve(t, elliptic.P224())
	good, private := signed(t, "canary", key), pkcs8(t, key)
	change := func(f func(*x509.Certificate)) string { return signed(t, "canary", key, f) + private }
	purpose := func(u ...x509.ExtKeyUsage) string {
		return change(func(c *x509.Certificate) { c.ExtKeyUsage = u })
	}
	b := newBench(t)
	c := b.connector(t, slots(withCertificate))
	for name, k := range map[string]struct{ text, says string }{
		"empty":                 {"", "no certificate"},
		"a token":               {"canary", "no certificate"},
		"no key":                {good, "no private key"},
		"no certificate":        {private, "no certificate"},
		"two keys":              {private + good + private, "more than one private key"},
		"another's key":         {good + pkcs8(t, curve(t, elliptic.P256())), "not that of the first certificate"},
		"leaf behind its chain": {signed(t, "ca", curve(t, elliptic.P256())) + good + private, "put the leaf before"},
		"expired":               {change(func(c *x509.Certificate) { c.NotAfter = now().Add(-time.Minute) }), "has expired"},
		"not valid yet":         {change(func(c *x509.Certificate) { c.NotBefore = now().Add(time.Minute) }), "not valid yet"},
		"for servers":           {purpose(x509.ExtKeyUsageServerAuth), "extended key usage"},
		"for something unknown": {change(func(c *x509.Certificate) {
			c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{{1, 2, 3}}
		}), "extended key usage"},
		"short RSA":                 {signed(t, "canary", weak) + pkcs8(t, weak), "2048"},
		"a curve that TLS lacks":    {signed(t, "canary", odd) + pkcs8(t, odd), "of a kind that TLS does not take"},
		"encrypted, PKCS #8":        {good + block("ENCRYPTED PRIVATE KEY", []byte("canary")), "encrypted"},
		"encrypted, as of old":      {good + "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nY2FuYXJ5\n-----END RSA PRIVATE KEY-----\n", "encrypted"},
		"key that cannot be read":   {good + block("PRIVATE KEY", []byte("canary")), "private key cannot be read"},
		"key of another kind":       {good + block("OPENSSH PRIVATE KEY", []byte("canary")), "private key cannot be read"},
		"certificate cut short":     {block("CERTIFICATE", []byte("canary")) + private, "cannot be read"},
		"something else beside":     {good + private + block("CANARY", []byte("canary")), "nothing else"},
		"too many certificates":     {strings.Repeat(good, 17) + private, "more than 16"},
		"larger than what is taken": {good + private + strings.Repeat("\n", 64<<10), "64 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.Put(t.Context(), credential.Put{Connector: c, Slot: "main", UserID: b.alice, Secret: vault.NewSecret([]byte(k.text))})
			require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
			require.Equal(t, "secret", fault.From(err).Metadata["field"])
			require.ErrorContains(t, err, k.says)
			requireSilent(t, err)
		})
	}
}

// TestAnExpiredCertificateIsNotShown: the call ends before anything is sent, and says
// what to do.
func TestAnExpiredCertificateIsNotShown(t *testing.T) {
	b := asking(t)
	c := b.connector(t, slots(withCertificate))
	key := curve(t, elliptic.P256())
	b.put(t, c, "main", b.alice, signed(t, "alice", key)+pkcs8(t, key))
	require.Equal(t, "alice", b.send(t, b.Keeper, c, b.alice).TLS.PeerCertificates[0].Subject.CommonName)
	b.at(2 * time.Hour)
	records, err := b.Find(t.Context(), c, b.alice)
	require.NoError(t, err)
	_, err = b.Attach(t.Context(), b.intent(t, workspace), nil, bound(t, c), records)
	require.True(t, fault.Is(err, fault.CredentialNeedsReconnect), "%v", err)
	require.ErrorContains(t, err, "put a new one")
	require.Equal(t, map[string]string{"connector": "crm", "slot": "main", "owner": "user", "mend": "put"}, fault.From(err).Metadata)
}

// TestAnEchoedKeyIsScrubbed: an upstream cannot have got it from us, and gives it to
// nobody all the same.
func TestAnEchoedKeyIsScrubbed(t *testing.T) {
	large := rsaKey(t, 4096)
	for name, key := range map[string]crypto.Signer{"ECDSA": curve(t, elliptic.P256()), "RSA": large} {
		t.Run(name, func(t *testing.T) {
			b := asking(t)
			private := pkcs8(t, key)
			parsed, _ := pem.Decode([]byte(private))
			single := base64.StdEncoding.EncodeToString(parsed.Bytes)
			b.upstream.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "PEM:"+private+"JSON:"+strings.ReplaceAll(private, "\n", `\n`)+"base64:"+single+"DER:"+string(parsed.Bytes)+"end")
			})
			c := b.connector(t, slots(withCertificate))
			b.put(t, c, "main", b.alice, signed(t, "alice", key)+private)
			records, err := b.Find(t.Context(), c, b.alice)
			require.NoError(t, err)
			a, err := b.Attach(t.Context(), b.intent(t, workspace), nil, bound(t, c), records)
			require.NoError(t, err)
			res, err := b.door.Do(t.Context(), egress.PoolKey{}, c.Egress, &egress.Request{Method: "GET", Origin: c.Origin, Path: "/"}, a.Attachment, egress.Limits{})
			require.NoError(t, err)
			text, err := res.Bytes()
			require.NoError(t, err)
			require.NotContains(t, string(text), string(parsed.Bytes))
			for line := range strings.Lines(private) {
				if line = strings.TrimSpace(line); len(line) == 64 {
					require.False(t, strings.Contains(string(text), line), "a line of the key came through")
				}
			}
			require.True(t, strings.HasSuffix(string(text), "end"))
			require.Contains(t, string(text), "PEM:-----BEGIN PRIVATE KEY-----\n"+egress.Redacted)
		})
	}
}

func FuzzCertificate(f *testing.F) {
	key := curve(f, elliptic.P256())
	f.Add(signed(f, "alice", key) + pkcs8(f, key))
	f.Add(block("CERTIFICATE", []byte("x")) + block("EC PRIVATE KEY", []byte("x")))
	f.Add("-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: x\n\neA==\n-----END RSA PRIVATE KEY-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := credential.ParsePair(text)
		if err == nil && (n == 0 || n > 16) {
			t.Fatalf("accepted %d certificates", n)
		}
	})
}
