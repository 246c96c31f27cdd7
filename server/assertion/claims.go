package assertion

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/task"
)

// life is how long an assertion is good for: drafts say "minutes or less".
const life = 60 * time.Second

// The values of typ. Neither can be taken for a JWT-SVID, which has none of these, nor
// for an access token (RFC 9068).
const (
	typDefault  = "onedoor-assertion+jwt"
	typTxnToken = "txntoken+jwt"
)

// agentProfile is the sub_profile of an actor that is an AI agent
// (draft-mcguinness-oauth-actor-profile).
const agentProfile = "ai_agent"

// head is the JOSE header (RFC 7515, 4.1).
type head struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

// claims are those of both profiles; what a profile lacks is left out.
type claims struct {
	Issuer   string  `json:"iss"`
	Audience string  `json:"aud"` // one string and never a list
	Subject  string  `json:"sub"` // the user's opaque id
	Actor    actor   `json:"act"` // RFC 8693, 4.1
	Workload string  `json:"req_wl"`
	Txn      string  `json:"txn"`
	ID       string  `json:"jti"`
	IssuedAt int64   `json:"iat"`
	Expires  int64   `json:"exp"`
	Scope    string  `json:"scope"`
	Method   string  `json:"htm,omitempty"` // RFC 9449, 4.2
	Target   string  `json:"htu,omitempty"`
	Context  purpose `json:"tctx"`
	Request  request `json:"rctx"`
	// Confirm is left out where the connection shows no certificate.
	Confirm *confirmation `json:"cnf,omitempty"`
}

// confirmation names the certificate over whose connections alone the assertion holds
// (RFC 8705, 3.1).
type confirmation struct {
	Thumbprint string `json:"x5t#S256"`
}

// actor is who acts; within it who delegated to it. Only the outermost decides anything:
// the others are history (RFC 8693, 4.1).
type actor struct {
	Subject string `json:"sub"`
	Profile string `json:"sub_profile"`
	Actor   *actor `json:"act,omitempty"`
}

// actorOf is the agent of a task, and within it those of the tasks above, its parent's
// first.
func actorOf(t *task.Task) *actor {
	first := &actor{Subject: t.Agent, Profile: agentProfile}
	last := first
	for _, above := range t.Above {
		last.Actor = &actor{Subject: above.Agent, Profile: agentProfile}
		last = last.Actor
	}
	return first
}

// purpose holds what must not change on the way (tctx).
type purpose struct {
	Task      string `json:"task"`
	Workspace string `json:"workspace"`
	Tool      string `json:"tool"`
	Severity  string `json:"severity"`
	// QuerySHA256 is base64url of the query's hash; left out where there is no query.
	QuerySHA256 string `json:"query_sha256,omitempty"`
	// ContentDigest is the Content-Digest (RFC 9530) of the body, the empty one too.
	ContentDigest string `json:"content_digest,omitempty"`
}

// request is the environment of the request (rctx).
type request struct {
	SPIFFEID string `json:"spiffe_id"`
	KeyID    string `json:"key_id"`
}

// attempt is what is new with every assertion.
type attempt struct {
	txn, jti string
	at       time.Time
}

// build makes the claims of one attempt. It is pure: the same parts give the same claims.
// thumbprint is that of the certificate which the connection shows; empty for none.
func (m *Minter) build(a attempt, caller *task.Caller, bound *connector.Bound, thumbprint string) claims {
	c := claims{
		Issuer: m.o.Issuer, Audience: m.o.TrustDomain,
		Subject:  caller.Task.User.ID,
		Actor:    *actorOf(&caller.Task),
		Workload: caller.Workload.String(),
		Txn:      a.txn, ID: a.jti,
		IssuedAt: a.at.Unix(), Expires: a.at.Add(life).Unix(),
		Scope: bound.Connector.Name + "." + bound.Tool.Name,
		Context: purpose{
			Task: caller.Task.ID, Workspace: caller.Task.Workspace,
			Tool: bound.Tool.Name, Severity: bound.Severity.String(),
		},
		Request: request{SPIFFEID: caller.Workload.String(), KeyID: caller.Task.KeyID},
	}
	if bound.Connector.Assertion.Profile == connector.RequestBound {
		c.bind(bound, thumbprint)
	}
	return c
}

// bind ties the claims to one upstream, one request and one connection's certificate. A
// Transaction Token is not: it is handed on, over other connections, to requests that
// nobody knows yet.
func (c *claims) bind(b *connector.Bound, thumbprint string) {
	if thumbprint != "" {
		c.Confirm = &confirmation{thumbprint}
	}
	c.Audience = b.Connector.Assertion.Audience
	c.Method, c.Target = b.Method, b.Origin.String()+b.Path
	if b.Query != "" {
		sum := sha256.Sum256([]byte(b.Query))
		c.Context.QuerySHA256 = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	c.Context.ContentDigest = contentDigest(b.Body)
}

// contentDigest is the value of the header Content-Digest (RFC 9530, section 2).
func contentDigest(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// typ is the media type of a profile, as the JOSE header has it.
func typ(p connector.AssertionProfile) string {
	if p == connector.TxnToken {
		return typTxnToken
	}
	return typDefault
}

// header gives the request's headers beside the assertion itself.
func (c *claims) header() http.Header {
	if c.Context.ContentDigest == "" {
		return nil
	}
	return http.Header{connector.ContentDigest: {c.Context.ContentDigest}}
}
