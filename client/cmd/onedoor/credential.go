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
	Put    credentialPutCmd    `cmd:"" help:"Store a secret, replacing the one before."`
	List   credentialListCmd   `cmd:"" help:"List credentials, without their secrets."`
	Delete credentialDeleteCmd `cmd:"" help:"Remove a credential and its sealed secret."`
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
value (for kind basic: user:password). One newline at the end of the file is dropped, nothing else.
No command and no API gives a secret back.

  onedoor credential put crm --user alice --from-file alice.token
  onedoor credential put crm --user 8f2c --issuer https://idp.example --from-file alice.token
  printf %s "$TOKEN" | onedoor credential put crm --workspace --slot admin --from-file -`
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

type credentialListCmd struct {
	Connector string `arg:"" optional:"" help:"Only those of this connector."`
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
	t.row("ID", "CONNECTOR", "SLOT", "OWNER", "KIND", "VERSION", "PUT", "ORIGINS")
	for _, c := range credentials {
		owner := "workspace"
		if c.GetUserId() != "" {
			owner = "user " + userText(c.GetUserSubject(), c.GetUserIssuer())
		}
		t.row(c.GetId(), c.GetConnector(), c.GetSlot(), owner, c.GetKind(), strconv.FormatInt(c.GetVersion(), 10),
			moment(c.GetCreatedAt()), strings.Join(c.GetOrigins(), ","))
	}
}

type credentialDeleteCmd struct {
	ID string `arg:"" name:"id" help:"The credential's id."`
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
