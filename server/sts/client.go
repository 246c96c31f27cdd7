package sts

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/sigv4"
)

// Timeout bounds one request, from the name's resolution to the answer's last byte.
const Timeout = 10 * time.Second

const (
	// maxAnswer bounds an answer, in bytes.
	maxAnswer = 64 << 10
	version   = "2011-06-15"
)

// Client asks STS. It is for any number of goroutines.
type Client struct {
	door *egress.Door
	now  func() time.Time
}

// New makes a Client. now is the time by which AWS judges signatures.
func New(door *egress.Door, now func() time.Time) *Client { return &Client{door, now} }

// Request is one role to be assumed.
type Request struct {
	// Workspace and Connector are for whom: connections are not shared.
	Workspace, Connector string
	// AWS says which role, where, and for how long.
	AWS *connector.AWS
	// Key proves who asks.
	Key sigv4.Key
	// Name says in AWS's own records for whom: 2 to 64 of letters, digits and _+=,.@-.
	Name string
	// Policy narrows the role; empty: it is not narrowed.
	Policy string
}

// Session is what a role is given.
type Session struct {
	Key  sigv4.Key
	Life time.Duration
}

var errKey = errors.New("the stored key cannot sign")

// AssumeRole sends a request. Every error is an *[Error].
func (c *Client) AssumeRole(ctx context.Context, r Request) (Session, error) {
	attachment, err := c.attachment(r)
	if err != nil {
		return Session{}, &Error{Kind: Refused, cause: errKey}
	}
	at := r.AWS.STS
	pool := egress.PoolKey{Workspace: r.Workspace, Connector: r.Connector + "|sts"} // no connector is named so
	res, err := c.door.Do(ctx, pool, r.AWS.Egress, &egress.Request{
		Method: http.MethodPost, Origin: at.Origin, Path: at.Path,
		Header: http.Header{"Accept": {"text/xml"}, "Content-Type": {"application/x-www-form-urlencoded"}},
		Body:   []byte(form(r).Encode()),
	}, attachment, egress.Limits{Total: Timeout, MaxResponseBytes: maxAnswer})
	if err != nil {
		return Session{}, lost(err)
	}
	body, err := res.Bytes()
	if err != nil {
		return Session{}, lost(err)
	}
	if res.Status != http.StatusOK {
		return Session{}, refusal(res.Status, body)
	}
	return readSession(body, c.now(), r.AWS.Session)
}

func (c *Client) attachment(r Request) (egress.Attachment, error) {
	a := egress.NewAttachment()
	if err := a.Use(egress.NewScrubber(r.Key.Secrets()...)); err != nil {
		return a, err
	}
	return a, a.SignWith(sigv4.Signer(r.Key, sigv4.Scope{Region: r.AWS.Region, Service: "sts"}, c.now))
}

func form(r Request) url.Values {
	form := url.Values{
		"Action": {"AssumeRole"}, "Version": {version}, "RoleArn": {r.AWS.Role}, "RoleSessionName": {r.Name},
		"DurationSeconds": {strconv.Itoa(int(r.AWS.Session / time.Second))},
	}
	if r.AWS.ExternalID != "" {
		form.Set("ExternalId", r.AWS.ExternalID)
	}
	if r.Policy != "" {
		form.Set("Policy", r.Policy)
	}
	return form
}
