package api

import (
	"context"
	"errors"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/connect"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

type credentialsServer struct {
	onedoorv1.UnimplementedCredentialsServer
	s Services
}

func (c *credentialsServer) Put(ctx context.Context, in *onedoorv1.CredentialsPutRequest) (*onedoorv1.CredentialsPutResponse, error) {
	at := callOf(ctx)
	if credential.IsProxyPlace(in.GetConnector()) {
		return c.putProxy(ctx, in)
	}
	revision, err := c.s.Connectors.Current(ctx, at.who.Workspace, in.GetConnector())
	if err != nil {
		return nil, err
	}
	conn, err := c.s.Connectors.Parsed(ctx, revision)
	if err != nil {
		return nil, err
	}
	put := credential.Put{Connector: conn, Slot: in.GetSlot(), Secret: vault.NewSecret(in.GetSecret()), By: at.peer.ID.String()}
	if put.Slot == "" {
		put.Slot = connector.DefaultSlot
	}
	owner, err := c.owner(ctx, in)
	if err != nil {
		return nil, err
	}
	put.UserID = owner.ID
	r, err := c.s.Credentials.Put(ctx, put)
	if err != nil {
		return nil, err
	}
	r.UserIssuer, r.UserSubject = owner.Issuer, owner.Subject
	return &onedoorv1.CredentialsPutResponse{Credential: credentialMessage(r)}, nil
}

// putProxy stores the secret of a proxy: the workspace's, in the one slot there is.
func (c *credentialsServer) putProxy(ctx context.Context, in *onedoorv1.CredentialsPutRequest) (*onedoorv1.CredentialsPutResponse, error) {
	at := callOf(ctx)
	switch {
	case in.GetUser() != "":
		return nil, fault.Invalid("owner", "a proxy's secret is the workspace's (--workspace)")
	case in.GetSlot() != "" && in.GetSlot() != connector.DefaultSlot:
		return nil, fault.Invalid("slot", "a proxy has none but main")
	}
	r, err := c.s.Credentials.PutProxy(ctx, at.who.Workspace, in.GetConnector(), vault.NewSecret(in.GetSecret()), at.peer.ID.String())
	if err != nil {
		return nil, err
	}
	return &onedoorv1.CredentialsPutResponse{Credential: credentialMessage(r)}, nil
}

// owner is the user whose credential is put, made where they are new; the zero User
// for the workspace's. An issuer that says nothing here could never name them.
func (c *credentialsServer) owner(ctx context.Context, in *onedoorv1.CredentialsPutRequest) (task.User, error) {
	workspace, issuer := callOf(ctx).who.Workspace, issuerOf(in)
	switch {
	case in.GetUser() == "" && in.GetIssuer() != "":
		return task.User{}, fault.Invalid("issuer", "belongs to a user")
	case in.GetUser() == "":
		return task.User{}, nil
	case issuer != task.LocalIssuer && !c.s.Issuers.Accepts(workspace, issuer):
		return task.User{}, fault.Invalid("issuer", "not one that the configuration names for this workspace")
	}
	user, err := c.s.Users.EnsureUser(ctx, workspace, issuer, in.GetUser(), c.s.NewID(), c.s.Now())
	if err != nil {
		return task.User{}, storeFault("the user could not be stored; try again", err)
	}
	return user, nil
}

// Connect makes a link. The user is stored, and all else checked, by connect.
func (c *credentialsServer) Connect(ctx context.Context, in *onedoorv1.CredentialsConnectRequest) (*onedoorv1.CredentialsConnectResponse, error) {
	at := callOf(ctx)
	link, expires, err := c.s.Connects.Offer(ctx, connect.Offer{
		Workspace: at.who.Workspace, Connector: in.GetConnector(), Slot: in.GetSlot(),
		Issuer: issuerOf(in), Subject: in.GetUser(), By: at.peer.ID.String(),
	})
	if err != nil {
		return nil, err
	}
	return &onedoorv1.CredentialsConnectResponse{Link: link, ExpiresAt: timestamp(expires)}, nil
}

// issuerOf is who names the user of a request.
func issuerOf(in interface{ GetIssuer() string }) string {
	if in.GetIssuer() == "" {
		return task.LocalIssuer
	}
	return in.GetIssuer()
}

func (c *credentialsServer) List(ctx context.Context, in *onedoorv1.CredentialsListRequest) (*onedoorv1.CredentialsListResponse, error) {
	workspace := callOf(ctx).who.Workspace
	records, err := c.s.Credentials.List(ctx, workspace, in.GetConnector())
	if err != nil {
		return nil, err
	}
	out, seen := &onedoorv1.CredentialsListResponse{}, map[string]*connector.Connector{}
	for _, r := range records {
		m := credentialMessage(r)
		switch {
		case m.GetState() != onedoorv1.CredentialState_CREDENTIAL_STATE_CONNECTED:
		case credential.IsProxyPlace(r.Connector):
			if !c.s.Credentials.FitsProxy(r) {
				m.StateReason = "the broker's configuration has no such proxy, or has it at another address"
				m.State = onedoorv1.CredentialState_CREDENTIAL_STATE_OUTDATED
			}
		default:
			conn, ok := seen[r.Connector]
			if !ok {
				if conn, err = c.current(ctx, workspace, r.Connector); err != nil {
					return nil, err
				}
				seen[r.Connector] = conn
			}
			outdate(m, conn, r)
		}
		out.Credentials = append(out.Credentials, m)
	}
	return out, nil
}

// current is the connector as new tasks have it; nil where it has none.
func (c *credentialsServer) current(ctx context.Context, workspace, name string) (*connector.Connector, error) {
	revision, err := c.s.Connectors.Current(ctx, workspace, name)
	if err == nil {
		conn, perr := c.s.Connectors.Parsed(ctx, revision)
		if perr == nil {
			return conn, nil
		}
		err = perr
	}
	if fault.Is(err, fault.ConnectorChanged) || fault.Is(err, fault.ConnectorUnknown) {
		return nil, nil //nolint:nilnil // there is none
	}
	return nil, err
}

// outdate says of a credential that new tasks cannot use it, where that is so.
func outdate(m *onedoorv1.Credential, conn *connector.Connector, r credential.Record) {
	switch {
	case conn == nil:
		m.StateReason = "the connector was withdrawn, or its manifest is not accepted any more"
	case !credential.Fits(conn, r):
		m.StateReason = "it was stored for another origin or attachment than the manifest has now"
	default:
		return
	}
	m.State = onedoorv1.CredentialState_CREDENTIAL_STATE_OUTDATED
}

func (c *credentialsServer) Delete(ctx context.Context, in *onedoorv1.CredentialsDeleteRequest) (*onedoorv1.CredentialsDeleteResponse, error) {
	if err := c.s.Credentials.Delete(ctx, callOf(ctx).who.Workspace, in.GetCredentialId()); err != nil {
		return nil, err
	}
	return &onedoorv1.CredentialsDeleteResponse{}, nil
}

// storeFault says that the store did not answer, where that is what happened.
func storeFault(public string, err error) error {
	if errors.Is(err, store.ErrUnavailable) {
		return fault.New(fault.StoreUnavailable, public, err)
	}
	return fault.New(fault.Internal, "internal error", err)
}
