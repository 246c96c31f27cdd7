package attack_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// attachment is one way in which a credential comes to a call.
type attachment struct {
	// slots are the manifest's credentials. In the place of AT stands the origin at which
	// the token is bought, and of CA its CA, as JSON.
	slots string
	// stored is what is put, by slot.
	stored map[string]string
	// secrets are what must be nowhere.
	secrets []string
	// plain is what the upstream must have received; empty where that is not stored.
	plain string
}

// vendors are those that give tokens for what is stored.
type vendors struct {
	auth *testenv.AuthServer
	till *till
	aws  *testenv.Upstream
}

func newVendors(t *testing.T) vendors {
	t.Helper()
	return vendors{testenv.NewAuthServer(t, time.Hour), newTill(t), testenv.NewUpstream(t, http.HandlerFunc(hostileAWS))}
}

// place is where a kind's tokens are honestly bought, and the CA to trust there.
func (v vendors) place(kind string) (at, ca string) {
	switch kind {
	case "account", "client":
		return v.auth.Origin, v.auth.CA
	case "role":
		return v.aws.Origin, v.aws.CA
	}
	return v.till.Origin + "/good", v.till.CA
}

// attachments are all the ways. A kind is bought for if its slots say AT.
func attachments(t *testing.T) map[string]attachment {
	t.Helper()
	direct := func(attach, stored string, secrets ...string) attachment {
		return attachment{
			slots: "{main: {owner: workspace, attach: " + attach + "}}", stored: map[string]string{"main": stored},
			secrets: append(secrets, stored), plain: stored,
		}
	}
	const reach = "network: {allow: [127.0.0.0/8]}, tls: {ca: CA}"
	oauth := func(fields string) string {
		return "{main: {owner: workspace, attach: bearer, oauth: {token_endpoint: AT/token, " + fields + ", " + reach + "}}}"
	}
	generated, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	key := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(generated)}))
	keyed := func(slots string) attachment {
		return attachment{slots: slots, stored: map[string]string{"main": key}, secrets: []string{strings.Split(key, "\n")[5], "minted-"}}
	}
	certificate := testenv.NewClientCA(t).Issue(t, "broker")
	tail := len(certificate) - len("\n-----END PRIVATE KEY-----\n")
	const ofAuth = "canary-access-"
	awsKey := direct("{aws: {region: eu-central-1, service: s3}}", storedID+":"+storedSecret, storedSecret)
	awsKey.plain = storedID
	all := map[string]attachment{
		"bearer": direct("bearer", "canary-bearer-3b9e71c04d8f2"),
		"header": direct("{header: X-Api-Key}", `canary-header-"5a/7+=1c04d8f2`),
		"query":  direct("{query: api_key}", "canary-query 3b/9e+71c=04&d8f2"),
		"basic":  direct("basic", "canary-user:canary-password-71c04d8f2", "canary-password-71c04d8f2"),
		"account": {
			slots: `{main: {owner: user, attach: bearer, oauth: {grant: authorization_code, authorization_endpoint: AT/authorize, token_endpoint: AT/token,
				client: {id: onedoor, auth: basic, secret: client}, ` + reach + `}}, client: {owner: workspace, attach: token-endpoint}}`,
			stored:  map[string]string{"main": "", "client": testenv.ClientSecret},
			secrets: []string{testenv.ClientSecret, ofAuth, "canary-refresh-"}, plain: ofAuth,
		},
		"client": {
			slots: oauth("grant: client_credentials, client: {id: onedoor, auth: post}"), stored: map[string]string{"main": testenv.ClientSecret},
			secrets: []string{testenv.ClientSecret, ofAuth}, plain: ofAuth,
		},
		"signed":   keyed(oauth("grant: jwt_bearer, assertion: {issuer: i, algorithm: RS256}")),
		"proven":   keyed(oauth("grant: client_credentials, client: {id: c, auth: private_key_jwt, algorithm: RS256}")),
		"exchange": keyed(oauth("grant: token_exchange, exchange: {subject: assertion, actor: assertion}, client: {id: c, auth: private_key_jwt, algorithm: RS256}")),
		"github": keyed("{main: {owner: workspace, attach: bearer, github_app: {app_id: 7, installation_id: 42, api: AT, " +
			"permissions: {contents: read}, all_repositories: true, " + reach + "}}}"),
		"aws": awsKey,
		"role": {
			slots:  `{main: {owner: workspace, attach: {aws: {region: eu-central-1, service: s3, role: "arn:aws:iam::123456789012:role/x", sts: {endpoint: AT/, ` + reach + `}}}}}`,
			stored: map[string]string{"main": storedID + ":" + storedSecret}, secrets: []string{storedSecret, temporarySecret, temporaryToken}, plain: temporaryToken,
		},
		"certificate": {
			slots: "{main: {owner: workspace, attach: certificate}}", stored: map[string]string{"main": certificate},
			secrets: []string{certificate[tail-50 : tail]},
		},
	}
	require.Equal(t, 2048/8, generated.Size())
	return all
}

// isBought says whether what a call gets is bought for what is stored.
func (a attachment) isBought() bool {
	return strings.Contains(a.slots, "AT/") || strings.Contains(a.slots, "AT,")
}

// at gives the slots with the place where tokens are bought.
func (a attachment) at(place, ca string) string {
	quoted, _ := json.Marshal(ca)
	return strings.NewReplacer("AT/", place+"/", "AT,", place+",", "CA}", string(quoted)+"}").Replace(a.slots)
}

// put stores what a connector of this kind needs, for alice where it is a user's.
func (a attachment) put(t *testing.T, operator onedoorv1.CredentialsClient, connector string, v vendors) {
	t.Helper()
	for slot, secret := range a.stored {
		request := &onedoorv1.CredentialsPutRequest{
			Connector: connector, Slot: slot, Secret: []byte(secret),
			Owner: &onedoorv1.CredentialsPutRequest_WorkspaceOwned{WorkspaceOwned: true},
		}
		if secret == "" { // an account
			request.Secret, request.Owner = []byte(v.auth.Account("alice")), &onedoorv1.CredentialsPutRequest_User{User: "alice"}
		}
		_, err := operator.Put(t.Context(), request)
		require.NoError(t, err)
	}
}
