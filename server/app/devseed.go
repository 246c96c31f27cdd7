package app

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/demo"
	"github.com/onedoor/onedoor/server/task"
)

// seed applies the demo connectors and puts what the demo upstreams demand, as an
// operator would: over the API, with the operator's own SVID, recorded like any other
// act. What stands already stays as it is.
func (a *App) seed(ctx context.Context, address string) error {
	operator, err := client.Dial(ctx, client.Options{Addr: address, BrokerID: devBroker, WorkloadSocket: a.parts.sockets[devOperator]})
	if err != nil {
		return fmt.Errorf("connect as operator: %w", err)
	}
	defer operator.Close()
	manifests := a.parts.upstreams.Manifests()
	names := make([]string, 0, len(manifests))
	for name := range manifests {
		names = append(names, name)
	}
	sort.Strings(names)
	origins := map[string][]string{}
	for _, name := range names {
		res, err := operator.Connectors().Apply(ctx, &onedoorv1.ConnectorsApplyRequest{Manifest: manifests[name]})
		if err != nil {
			return fmt.Errorf("apply connector %s: %w", name, err)
		}
		origins[name] = res.GetConnector().GetOrigins()
	}
	origins["crm"] = append(origins["crm"], a.parts.upstreams.Accounts) // where its tokens are refreshed
	return a.putDemoSecrets(ctx, operator, origins)
}

func (a *App) putDemoSecrets(ctx context.Context, operator *client.Client, origins map[string][]string) error {
	stored, err := operator.Credentials().List(ctx, &onedoorv1.CredentialsListRequest{})
	if err != nil {
		return fmt.Errorf("list credentials: %w", err)
	}
	secrets := a.parts.upstreams.Secrets
	for _, one := range []struct {
		connector, user string
		secret          demo.Secret
	}{
		{"crm", "alice", secrets.CRMAlice},
		{"model", "", secrets.Model},
		{"payroll", "", secrets.Payroll},
	} {
		stands := slices.ContainsFunc(stored.GetCredentials(), func(c *onedoorv1.Credential) bool {
			local := one.user == "" || c.GetUserIssuer() == task.LocalIssuer
			return local && c.GetConnector() == one.connector && c.GetUserSubject() == one.user && slices.Equal(c.GetOrigins(), origins[one.connector])
		})
		if stands {
			continue
		}
		put := &onedoorv1.CredentialsPutRequest{Connector: one.connector, Secret: []byte(one.secret.Reveal())}
		put.Owner = &onedoorv1.CredentialsPutRequest_WorkspaceOwned{WorkspaceOwned: true}
		if one.user != "" {
			put.Owner = &onedoorv1.CredentialsPutRequest_User{User: one.user}
		}
		if _, err := operator.Credentials().Put(ctx, put); err != nil {
			return fmt.Errorf("put credential for %s: %w", one.connector, err)
		}
	}
	return nil
}

// environment is the file for `source`.
func (a *App) environment(addresses map[string]string, bundle string) string {
	var b strings.Builder
	b.WriteString("# Written by `onedoord dev` at each start; for `source`.\n")
	for _, v := range [][2]string{
		{"ONEDOOR_ADDR", addresses["grpc"]},
		{"ONEDOOR_REST_URL", "https://" + addresses["rest"]},
		{"ONEDOOR_PUBLIC_URL", "https://" + addresses["public"]},
		{"ONEDOOR_TRUST_BUNDLE", bundle},
		{"ONEDOOR_BROKER_ID", devBroker},
		{"ONEDOOR_SANDBOX_SOCKET", a.parts.sockets[devSandbox]},
		{"ONEDOOR_SANDBOX2_SOCKET", a.parts.sockets[devSandbox2]},
		{"ONEDOOR_ORCHESTRATOR_SOCKET", a.parts.sockets[devOrchestrator]},
		{"ONEDOOR_OPERATOR_SOCKET", a.parts.sockets[devOperator]},
		{"ONEDOOR_SANDBOX_ID", devSandbox},
		{"ONEDOOR_SANDBOX2_ID", devSandbox2},
	} {
		b.WriteString("export " + v[0] + "=" + shellWord(v[1]) + "\n")
	}
	return b.String()
}

// shellWord quotes a word for a shell where it needs it.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/:._-@+", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
