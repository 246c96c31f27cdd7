package oauth

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/vault"
)

// Timeout bounds one request to a token endpoint, from the name's resolution to the
// answer's last byte.
const Timeout = 10 * time.Second

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 1 << 20

// Client asks token endpoints. It is for any number of goroutines.
type Client struct {
	door   *egress.Door
	now    func() time.Time
	random io.Reader
}

// New makes a Client. now is the machine's clock: Retry-After may be a date, and what is
// signed for a provider is dated. random gives the ids of what is signed.
func New(door *egress.Door, now func() time.Time, random io.Reader) *Client {
	return &Client{door, now, random}
}

// Request is one request for a token.
type Request struct {
	// Workspace and Connector are for whom it is made: connections are not shared.
	Workspace, Connector string
	// OAuth says where, and as which client.
	OAuth *connector.OAuth
	// GrantType is the value of grant_type.
	GrantType string
	// Form are the grant's own parameters; those of the client and of the manifest are
	// added.
	Form map[string]vault.Secret
	// ClientSecret proves the client, or is the private key with which it proves itself;
	// zero for a public one.
	ClientSecret vault.Secret
}

// errClient says that a request cannot be made as the manifest describes it.
var errClient = errors.New("the client cannot be proven in the declared way")

// Ask sends a request. Every error is an *[Error].
func (c *Client) Ask(ctx context.Context, r Request) (Token, error) {
	form := url.Values{"grant_type": {r.GrantType}}
	for _, p := range r.OAuth.Parameters {
		form.Set(p.Name, p.Value)
	}
	for name, value := range r.Form {
		form.Set(name, string(value.Reveal()))
	}
	attachment := egress.NewAttachment()
	if err := c.prove(r, form, attachment); err != nil {
		return Token{}, &Error{Kind: Refused, cause: err}
	}
	at := r.OAuth.TokenEndpoint
	res, err := c.door.Do(ctx, poolKey(r.Workspace, r.Connector), r.OAuth.Egress, &egress.Request{
		Method: http.MethodPost, Origin: at.Origin, Path: at.Path, Query: at.Query,
		Header: http.Header{"Accept": {"application/json"}, "Content-Type": {"application/x-www-form-urlencoded"}},
		Body:   []byte(form.Encode()),
	}, attachment, egress.Limits{Total: Timeout, MaxResponseBytes: maxAnswer})
	if err != nil {
		return Token{}, lost(err)
	}
	body, err := res.Bytes()
	if err != nil {
		return Token{}, lost(err)
	}
	if res.Status == http.StatusOK {
		return readToken(body)
	}
	return Token{}, refusal(res.Status, res.Header, body, c.now())
}

// poolKey keeps connections to token endpoints apart from those to upstreams: the name
// is none that a connector can have.
func poolKey(workspace, connector string) egress.PoolKey {
	return egress.PoolKey{Workspace: workspace, Connector: connector + "|token-endpoint"}
}

// clientAssertion is the type of a JWT that proves a client (RFC 7523, section 2.2).
const clientAssertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// prove adds what says which client asks.
func (c *Client) prove(r Request, form url.Values, to egress.Attachment) error {
	id, secret := r.OAuth.ClientID, string(r.ClientSecret.Reveal())
	if r.OAuth.Auth != connector.ClientNone && secret == "" {
		return errClient
	}
	switch r.OAuth.Auth {
	case connector.ClientNone:
		if id != "" { // a signed grant or a token to exchange may speak for itself
			form.Set("client_id", id)
		}
	case connector.ClientPost:
		form.Set("client_id", id)
		form.Set("client_secret", secret)
	case connector.ClientBasic: // RFC 6749, 2.3.1: both are form-encoded first
		basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id) + ":" + url.QueryEscape(secret)))
		if err := to.Scrub([]byte(basic)); err != nil {
			return errClient
		}
		return to.SetHeader("Authorization", "Basic "+basic)
	case connector.PrivateKeyJWT:
		signed, err := c.Sign(r.ClientSecret, r.OAuth.ClientKey)
		if err != nil {
			return err
		}
		form.Set("client_id", id)
		form.Set("client_assertion_type", clientAssertion)
		form.Set("client_assertion", string(signed.Reveal()))
	default:
		return errClient
	}
	return nil
}
