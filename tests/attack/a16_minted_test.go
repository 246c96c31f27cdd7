package attack_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// till is an endpoint that gives tokens, below /good, and fails in one way, below any
// other path. It keeps everything signed that it was sent, and every token it gave.
type till struct {
	*testenv.Upstream
	mu     sync.Mutex
	signed []string
	tokens []string
}

var aJWT = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`)

func newTill(t *testing.T) *till {
	t.Helper()
	s := &till{}
	s.Upstream = testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent := r.Header.Get("Authorization") + " " + string(body)
		token := "minted-" + rand.Text()
		s.mu.Lock()
		s.signed = append(s.signed, aJWT.FindAllString(sent, -1)...)
		s.tokens = append(s.tokens, token)
		s.mu.Unlock()
		how := strings.Split(r.URL.Path, "/")[1]
		switch how {
		case "good":
			w.WriteHeader(map[bool]int{true: http.StatusCreated, false: http.StatusOK}[strings.Contains(r.URL.Path, "installations")])
			_, _ = fmt.Fprintf(w, `{"access_token":%q,"token":%q,"expires_in":60,"expires_at":%q}`, token, token, time.Now().Add(time.Minute).UTC().Format(time.RFC3339))
		case "broken":
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(sent + token))
		case "odd":
			_, _ = w.Write([]byte(sent + token))
		default:
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": sent, "error_description": sent + token, "message": sent})
		}
	}))
	return s
}

// seen gives the signatures of what was signed, and the tokens that were given.
func (s *till) seen() (signatures, tokens []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range s.signed {
		signatures = append(signatures, text[strings.LastIndexByte(text, '.')+1:])
	}
	return signatures, append(tokens, s.tokens...)
}

// sold are slots whose stored secret only buys what is attached, below a path of the till.
func (s *till) sold(how string) map[string]string {
	ca, _ := json.Marshal(s.CA)
	reach := "network: {allow: [127.0.0.0/8]}, tls: {ca: " + string(ca) + "}"
	at := s.Origin + "/" + how
	oauth := func(fields string) string {
		return "{main: {owner: workspace, attach: bearer, oauth: {token_endpoint: " + at + "/token, " + fields + ", " + reach + "}}}"
	}
	return map[string]string{
		"signed":   oauth("grant: jwt_bearer, assertion: {issuer: i, algorithm: RS256}"),
		"client":   oauth("grant: client_credentials, client: {id: c, auth: private_key_jwt, algorithm: RS256}"),
		"exchange": oauth("grant: token_exchange, exchange: {subject: assertion, actor: assertion}, client: {id: c, auth: private_key_jwt, algorithm: RS256}"),
		"github": "{main: {owner: workspace, attach: bearer, github_app: {app_id: 7, installation_id: 42, api: " + at +
			", permissions: {contents: read}, repository: thing, " + reach + "}}}",
	}
}

// TestAttack16_MintedSecrets: an upstream that gives back the token it was called with,
// and endpoints that give back what they were sent, bring neither the token, nor what
// was signed for it, nor the key to the sandbox, the log, the trail or the disk.
func TestAttack16_MintedSecrets(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	stored := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	keyLine := strings.Split(stored, "\n")[5]
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Kind", r.Header.Get("Authorization"))
		_, _ = w.Write([]byte("you sent " + r.Header.Get("Authorization")))
	}))
	s := newTill(t)
	site := testenv.NewSite(t, "", 0)
	b := site.Start(t, func(c *config.Config) { c.Assertions = config.Assertions{Issuer: "https://broker.test"} })
	conf := b.TLS(t, testenv.Sandbox)
	var got strings.Builder
	answered, failed := 0, 0
	for _, how := range []string{"good", "broken", "odd", "refusing"} {
		for kind, slots := range s.sold(how) {
			name := kind + "-" + how
			b.Apply(t, upstream.Manifest(name, slots, testenv.Things))
			b.Put(t, name, "", stored)
			task := b.Mint(t, nil, name+": things.get READ thing:*")
			rest := b.RESTWith(t, conf, b.RESTURL, task.Key) // which does not try again
			for range 2 {
				answer := rest.Do(t, http.MethodPost, "/v1/invoke", strings.Replace(invoke("things.get", `{"id":"door"}`), `"things"`, `"`+name+`"`, 1))
				_, _ = fmt.Fprintf(&got, "%v %s\n", answer.Header, answer.Body)
				require.Equal(t, how == "good", answer.Status == http.StatusOK, "%s: %s", name, answer.Body)
				if answer.Status != http.StatusOK {
					failed++
					continue
				}
				answered++
				body, err := base64.StdEncoding.DecodeString(between(answer.Body, `"bodyBase64":"`))
				require.NoError(t, err)
				require.Contains(t, string(body), "you sent Bearer ")
				got.Write(body)
			}
		}
	}
	require.Equal(t, 8, answered)
	require.Equal(t, 24, failed)
	signatures, tokens := s.seen()
	require.GreaterOrEqual(t, len(tokens), 16)
	require.GreaterOrEqual(t, len(signatures), 4*(1+1+3+1))
	secrets := append(append(signatures, tokens...), keyLine)
	absent(t, "what the sandbox got", got.String(), secrets...)
	absent(t, "what the endpoints got", s.Wire(), keyLine)
	var listed strings.Builder
	for _, e := range b.ListEvents(t, &onedoorv1.AuditListRequest{}) {
		listed.WriteString(protojson.Format(e))
	}
	require.Contains(t, listed.String(), "credential.token")
	absent(t, "the audit trail", listed.String(), secrets...)
	require.NoError(t, b.Stop())
	absent(t, "the log", b.Log(), secrets...)
	require.NoError(t, filepath.WalkDir(site.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		absent(t, filepath.Base(path), string(text), secrets...)
		return err
	}))
}
