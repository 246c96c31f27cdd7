package api

import (
	"context"
	"errors"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
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

// issuerOf is who names the user of a Put.
func issuerOf(in *onedoorv1.CredentialsPutRequest) string {
	if in.GetIssuer() == "" {
		return task.LocalIssuer
	}
	return in.GetIssuer()
}

func (c *credentialsServer) List(ctx context.Context, in *onedoorv1.CredentialsListRequest) (*onedoorv1.CredentialsListResponse, error) {
	records, err := c.s.Credentials.List(ctx, callOf(ctx).who.Workspace, in.GetConnector())
	if err != nil {
		return nil, err
	}
	out := &onedoorv1.CredentialsListResponse{}
	for _, r := range records {
		out.Credentials = append(out.Credentials, credentialMessage(r))
	}
	return out, nil
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
