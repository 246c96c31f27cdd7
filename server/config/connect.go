package config

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/onedoor/onedoor/server/connect"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/idtoken"
	"github.com/onedoor/onedoor/server/vault"
)

func (c *Config) checkConnect(k *checker) {
	if at := c.Connect.URL; at != "" {
		k.when(!isOrigin(at), "connect.url", "%q: want https://HOST or https://HOST:PORT as a browser shows it, in lower case, without :443 and nothing behind it", at)
		k.when(c.Listeners.Public.Address == "", "connect.url", "needs listeners.public, which serves the pages")
	}
	for i, one := range c.Issuers {
		s := one.SignIn
		if s == nil {
			continue
		}
		path := fmt.Sprintf("issuers[%d].sign_in", i)
		k.when(c.Connect.URL == "", path, "needs connect.url, to which browsers come back")
		k.when(!slices.Contains(one.Audiences, s.ClientID), path+".client_id", "%q is not one of audiences, so its ID tokens would be refused", s.ClientID)
		switch connector.ClientAuth(s.Auth) {
		case connector.ClientBasic, connector.ClientPost:
			k.when(s.ClientSecretFile == "", path+".client_secret_file", "is needed for auth: %s", s.Auth)
		case connector.ClientNone:
			k.when(s.ClientSecretFile != "", path+".client_secret_file", "auth: none takes no secret")
		default:
			k.fault(path+".auth", "%q: want basic, post or none", s.Auth)
		}
	}
}

// isOrigin: exactly as browsers write an origin, for what they send is compared with it.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Hostname() != "" && "https://"+u.Host == text && strings.ToLower(text) == text &&
		u.Port() != "443" && !strings.HasSuffix(u.Host, ":")
}

// checkMCP refuses what no browser would send, and with it wildcards: a page of somebody
// else's must not be let in by a pattern.
func (c *Config) checkMCP(k *checker) {
	for i, origin := range c.MCP.Origins {
		bad := http.NewCrossOriginProtection().AddTrustedOrigin(origin) != nil || strings.ToLower(origin) != origin || strings.ContainsAny(origin, "*@ ")
		k.when(bad, fmt.Sprintf("mcp.origins[%d]", i), "%q: want an origin as a browser sends it, like https://HOST or https://HOST:PORT, in lower case and with nothing behind it", origin)
	}
}

// SignIns is where users can prove in a browser who they are. It reads the clients'
// secrets.
func (c *Config) SignIns() ([]connect.SignIn, error) {
	var list []connect.SignIn
	for i, one := range c.Issuers {
		if one.SignIn == nil {
			continue
		}
		s := connect.SignIn{
			Workspaces: one.Workspaces, Issuer: one.Issuer, ClientID: one.SignIn.ClientID,
			Auth: connector.ClientAuth(one.SignIn.Auth), Scope: scopeFor(one.SubjectClaim),
		}
		if path := one.SignIn.ClientSecretFile; path != "" {
			text, err := os.ReadFile(path) //nolint:gosec // the operator names it
			if err != nil {
				return nil, fmt.Errorf("issuers[%d].sign_in.client_secret_file: %w", i, err)
			}
			text = bytes.TrimRight(text, "\r\n")
			if len(text) == 0 {
				return nil, fmt.Errorf("issuers[%d].sign_in.client_secret_file: %s is empty", i, path)
			}
			s.Secret = vault.NewSecret(text)
		}
		list = append(list, s)
	}
	return list, nil
}

// scopeFor asks for the claim that says who the user is (OpenID Connect Core 1.0,
// section 5.4).
func scopeFor(subjectClaim string) string {
	switch subjectClaim {
	case "", idtoken.DefaultSubjectClaim:
		return "openid"
	case "email":
		return "openid email"
	}
	return "openid profile"
}
