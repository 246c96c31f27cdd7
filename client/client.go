// Package client calls a Onedoor broker.
//
//	c, err := client.Dial(ctx, client.FromEnv())
//	if err != nil { … }
//	defer c.Close()
//	answer, err := c.Invoke(ctx, "crm", "contacts.get", map[string]any{"id": "42"})
//
// A caller proves who it is by its X.509-SVID, in mutual TLS 1.3, and in a sandbox by
// the key of its task. It accepts exactly one SPIFFE ID as the broker. When its SVID
// rotates, new calls go over a new connection while running ones end on the old.
//
// A call that fails is tried again only where the broker's reason says that nothing
// was sent, and never after OUTCOME_UNKNOWN or CONFLICT; see Invoke.
//
// SDKs and other HTTP clients call by Transport, an http.RoundTripper. Delegate mints a
// task for a sub-agent. The package onedoortest runs a broker within a test.
package client

import (
	"context"
	"fmt"
	"io"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// Client is a broker's client. It is safe for concurrent use.
type Client struct {
	conn      *conn
	random    io.Reader
	ownSource io.Closer // nil where the source was given
}

// Dial prepares a client. It waits until this workload has an identity, within
// opts.StartupTimeout and ctx; the broker is first spoken to by the first RPC. Errors
// are ErrNotConfigured and ErrNoIdentity. Close the client after use.
func Dial(ctx context.Context, opts Options) (*Client, error) {
	broker, err := opts.check()
	if err != nil {
		return nil, err
	}
	c := &Client{random: &lockedReader{r: opts.Random}}
	source := opts.X509Source
	if source == nil {
		own, err := NewSource(ctx, opts.WorkloadSocket, opts.StartupTimeout)
		if err != nil {
			return nil, err
		}
		source, c.ownSource = own, own
	}
	c.conn = &conn{
		dial:  dialer{addr: opts.Addr, broker: broker, source: source},
		links: map[*link]struct{}{},
	}
	if opts.TaskKey != "" {
		b := newBearer(opts.TaskKey)
		c.conn.bearer = &b
	}
	return c, nil
}

// Close ends every connection, and with them the RPCs that still run.
func (c *Client) Close() error {
	err := c.conn.close()
	if c.ownSource != nil {
		if closeErr := c.ownSource.Close(); err == nil {
			err = closeErr
		}
	}
	return err
}

// Broker gives the typed stub for what sandboxes call. Its errors are *Error too; it
// sets no idempotency key and tries nothing again but SVID_EXPIRED.
func (c *Client) Broker() onedoorv1.BrokerClient { return onedoorv1.NewBrokerClient(c.conn) }

// Tasks gives the typed stub with which orchestrators mint tasks.
func (c *Client) Tasks() onedoorv1.TasksClient { return onedoorv1.NewTasksClient(c.conn) }

// Connectors gives the typed stub with which operators describe upstreams.
func (c *Client) Connectors() onedoorv1.ConnectorsClient {
	return onedoorv1.NewConnectorsClient(c.conn)
}

// Credentials gives the typed stub with which operators store upstream credentials.
func (c *Client) Credentials() onedoorv1.CredentialsClient {
	return onedoorv1.NewCredentialsClient(c.conn)
}

// Audit gives the typed stub with which operators read the trail.
func (c *Client) Audit() onedoorv1.AuditClient { return onedoorv1.NewAuditClient(c.conn) }

// Usage gives the typed stub with which operators sum what models were used for.
func (c *Client) Usage() onedoorv1.UsageClient { return onedoorv1.NewUsageClient(c.conn) }

// Keys gives the typed stub with which operators see and rotate the broker's keys.
func (c *Client) Keys() onedoorv1.KeysClient { return onedoorv1.NewKeysClient(c.conn) }

// Tools lists exactly the tools that the task was granted.
func (c *Client) Tools(ctx context.Context) ([]*onedoorv1.Tool, error) {
	var reply *onedoorv1.ListToolsResponse
	err := c.try(ctx, call{}, func(string) (err error) {
		reply, err = c.Broker().ListTools(ctx, &onedoorv1.ListToolsRequest{})
		return err
	})
	return reply.GetTools(), err
}

// Explain says whether a call would be allowed now, and if not, why. It calls nothing
// and reserves nothing. arguments are as in Invoke.
func (c *Client) Explain(ctx context.Context, connector, tool string, arguments any) (*onedoorv1.ExplainResponse, error) {
	text, err := argumentsJSON(arguments)
	if err != nil {
		return nil, err
	}
	var reply *onedoorv1.ExplainResponse
	err = c.try(ctx, call{}, func(string) (err error) {
		reply, err = c.Broker().Explain(ctx, &onedoorv1.ExplainRequest{Connector: connector, Tool: tool, ArgumentsJson: text})
		return err
	})
	return reply, err
}

// Task gives the task to which the client's key belongs.
func (c *Client) Task(ctx context.Context) (*onedoorv1.Task, error) {
	var reply *onedoorv1.GetTaskResponse
	err := c.try(ctx, call{}, func(string) (err error) {
		reply, err = c.Broker().GetTask(ctx, &onedoorv1.GetTaskRequest{})
		return err
	})
	return reply.GetTask(), err
}

// String names the client without its secrets.
func (c *Client) String() string { return fmt.Sprintf("onedoor client of %s", c.conn.dial.addr) }
