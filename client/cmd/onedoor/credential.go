package main

import (
	"bytes"
	"context"
	"strconv"
	"strings"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// maxSecret is the largest secret that the broker takes, in bytes.
const maxSecret = 64 << 10

// localIssuer is the issuer of users whom orchestrators assert by name.
const localIssuer = "local"

type credentialCmd struct {
	Put     credentialPutCmd     `cmd:"" help:"Store a secret, replacing the one before."`
	Connect credentialConnectCmd `cmd:"" help:"Make a link by which a user connects their own account in a browser."`
	List    credentialListCmd    `cmd:"" help:"List credentials, without their secrets, and which must be put or connected again."`
	Delete  credentialDeleteCmd  `cmd:"" help:"Remove a credential and its sealed secret."`
}

type credentialPutCmd struct {
	Connector string `arg:"" help:"The connector's name."`
	User      string `placeholder:"U" xor:"owner" required:"" help:"Whose it is: this user's own."`
	Issuer    string `placeholder:"URL" help:"Who names the user: an issuer of ID tokens; unless given, orchestrators do."`
	Workspace bool   `xor:"owner" required:"" help:"Whose it is: the workspace's."`
	Slot      string `placeholder:"S" help:"The manifest's slot; main unless given."`
	FromFile  string `required:"" placeholder:"FILE" help:"The file that holds the secret; - for stdin."`
}

func (credentialPutCmd) Help() string {
	return `The manifest says for each slot whether a user or the workspace owns it. The secret is the bare
value: a token or key as it is sent; for basic user:password; for a certificate PEM of the chain and its
key; for aws ACCESS_KEY_ID:SECRET_ACCESS_KEY; where a key signs (jwt_bearer, private_key_jwt, github_app)
its PEM. Accounts of users are rather connected: onedoor credential connect. One newline at the end of the
file is dropped, nothing else. No command and no API gives a secret back. What a proxy of the broker's
configuration demands is put in a connector's place as proxy/NAME, for the workspace.

  onedoor credential put crm --user alice --from-file alice.token
  onedoor credential put crm --user 8f2c --issuer https://idp.example --from-file alice.token
  printf %s "$TOKEN" | onedoor credential put crm --workspace --slot admin --from-file -
  onedoor credential put proxy/casb --workspace --from-file proxy.login`
}

// Run implements the command.
func (c *credentialPutCmd) Run(s *session) error {
	secret, err := s.readFile(c.FromFile, maxSecret+2)
	if err != nil {
		return err
	}
	if secret = withoutNewline(secret); len(secret) == 0 {
		return usageError{"the secret is empty"}
	}
	request := &onedoorv1.CredentialsPutRequest{Workspace: s.workspace, Connector: c.Connector, Slot: c.Slot, Secret: secret}
	request.Issuer = c.Issuer
	if c.Workspace {
		request.Owner = &onedoorv1.CredentialsPutRequest_WorkspaceOwned{WorkspaceOwned: true}
	} else {
		request.Owner = &onedoorv1.CredentialsPutRequest_User{User: c.User}
	}
	if c.Workspace && c.Issuer != "" {
		return usageError{"--issuer belongs to --user"}
	}
	return s.call(adminTimeout, func(ctx context.Context, cl *client.Client) error {
		answer, err := cl.Credentials().Put(ctx, request)
		if err != nil {
			return err
		}
		return s.show(answer, func(t *table) { credentialRows(t, answer.GetCredential()) })
	})
}

// withoutNewline drops one newline, which editors and echo leave at the end.
func withoutNewline(b []byte) []byte {
	if rest, ok := bytes.CutSuffix(b, []byte("\r\n")); ok {
		return rest
	}
	return bytes.TrimSuffix(b, []byte("\n"))
}

type credentialConnectCmd struct {
	Connector string `arg:"" help:"The connector's name."`
	User      string `required:"" placeholder:"U" help:"Whose account it will be."`
	Issuer    string `placeholder:"URL" help:"Who names the user: an issuer of ID tokens; unless given, orchestrators do."`
	Slot      string `placeholder:"S" help:"The manifest's slot; main unless given."`
}

func (credentialConnectCmd) Help() string {
	return `The user opens the link in a browser, signs in, and agrees at the provider. The link works once:
give it to the user and to nobody else. What comes of it replaces the credential that stood there, also
one that needs to be reconnected.

  onedoor credential connect crm --user 8f2c --issuer https://idp.example`
}

// Run implements the command.
func (c *credentialConnectCmd) Run(s *session) error {
	request := &onedoorv1.CredentialsConnectRequest{
		Workspace: s.workspace, Connector: c.Connector, Slot: c.Slot, User: c.User, Issuer: c.Issuer,
	}
	return s.call(adminTimeout, func(ctx context.Context, cl *client.Client) error {
		answer, err := cl.Credentials().Connect(ctx, request)
		if err != nil {
			return err
		}
		return s.show(answer, func(t *table) {
			t.line("%s", answer.GetLink())
			t.line("For %s alone. It works once, until %s.", userText(c.User, c.Issuer), moment(answer.GetExpiresAt()))
		})
	})
}

type credentialListCmd struct {
	Connector string `arg:"" optional:"" help:"Only those of this connector."`
}

func (credentialListCmd) Help() string {
	return `STATE says of an account whether it is connected, and of any credential whether it must be put again. No
command shows a secret.

  onedoor credential list
  onedoor credential list crm`
}

// Run implements the command.
func (c *credentialListCmd) Run(s *session) error {
	return s.call(adminTimeout, func(ctx context.Context, cl *client.Client) error {
		answer, err := cl.Credentials().List(ctx, &onedoorv1.CredentialsListRequest{Workspace: s.workspace, Connector: c.Connector})
		if err != nil {
			return err
		}
		return s.show(answer, func(t *table) { credentialRows(t, answer.GetCredentials()...) })
	})
}

// userText names a user. Two issuers may have one each of the same name.
func userText(subject, issuer string) string {
	if issuer == "" || issuer == localIssuer {
		return subject
	}
	return subject + " of " + issuer
}

func credentialRows(t *table, credentials ...*onedoorv1.Credential) {
	t.row("ID", "CONNECTOR", "SLOT", "OWNER", "KIND", "VERSION", "PUT", "ORIGINS", "STATE")
	for _, c := range credentials {
		owner := "workspace"
		if c.GetUserId() != "" {
			owner = "user " + userText(c.GetUserSubject(), c.GetUserIssuer())
		}
		t.row(c.GetId(), c.GetConnector(), c.GetSlot(), owner, c.GetKind(), strconv.FormatInt(c.GetVersion(), 10),
			moment(c.GetCreatedAt()), strings.Join(c.GetOrigins(), ","), stateText(c))
	}
}

// stateText says whether a credential can be used, and if not, why.
func stateText(c *onedoorv1.Credential) string {
	switch c.GetState() {
	case onedoorv1.CredentialState_CREDENTIAL_STATE_CONNECTED:
		return "connected"
	case onedoorv1.CredentialState_CREDENTIAL_STATE_NEEDS_RECONNECT:
		return "NEEDS RECONNECT: " + c.GetStateReason()
	case onedoorv1.CredentialState_CREDENTIAL_STATE_OUTDATED:
		return "OUTDATED: " + c.GetStateReason()
	}
	return ""
}

type credentialDeleteCmd struct {
	ID string `arg:"" name:"id" help:"The credential's id."`
}

func (credentialDeleteCmd) Help() string {
	return `Calls that need it are refused with CREDENTIAL_MISSING from now on. The id stands in "onedoor credential list".

  onedoor credential delete 0198c5a2-7a3e-7c10-9d5e-2f6a1b3c4d5e`
}

// Run implements the command.
func (c *credentialDeleteCmd) Run(s *session) error {
	return s.call(adminTimeout, func(ctx context.Context, cl *client.Client) error {
		answer, err := cl.Credentials().Delete(ctx, &onedoorv1.CredentialsDeleteRequest{Workspace: s.workspace, CredentialId: c.ID})
		if err != nil {
			return err
		}
		return s.show(answer, func(t *table) { t.line("credential %s deleted", c.ID) })
	})
}
