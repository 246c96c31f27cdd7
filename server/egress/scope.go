package egress

import (
	"errors"
	"strings"
)

const anyName = "*"

// Scope names connections by whose they are: those of a connector, its token endpoints
// among them; of a workspace's connectors; of the issuers of ID tokens; or all.
type Scope struct{ workspace, connector string }

// issuers belong to no workspace.
func issuers() Scope { return Scope{connector: "issuers"} }

// ErrScope says what a Scope looks like.
var ErrScope = errors.New(`want "*", WORKSPACE/*, WORKSPACE/CONNECTOR or issuers`)

// ParseScope reads "*", "workspace/*", "workspace/connector" or "issuers".
func ParseScope(s string) (Scope, error) {
	switch s {
	case anyName:
		return Scope{anyName, anyName}, nil
	case issuers().connector:
		return issuers(), nil
	}
	workspace, connector, _ := strings.Cut(s, "/")
	if !isScopeName(workspace) || connector != anyName && !isScopeName(connector) {
		return Scope{}, ErrScope
	}
	return Scope{workspace, connector}, nil
}

func isScopeName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// Workspace is the one workspace that is meant; empty where it is none or all.
func (s Scope) Workspace() string {
	if s.workspace == anyName {
		return ""
	}
	return s.workspace
}

// String gives what ParseScope reads.
func (s Scope) String() string {
	switch s {
	case issuers():
		return s.connector
	case Scope{anyName, anyName}:
		return anyName
	}
	return s.workspace + "/" + s.connector
}

func (s Scope) isConnector() bool { return s.Workspace() != "" && s.connector != anyName }

// scopeOf leaves out what tells a connector's endpoints from its upstream: it stands
// behind a "|". Users are signed in at an issuer from within a workspace.
func scopeOf(key PoolKey) Scope {
	connector, _, _ := strings.Cut(key.Connector, "|")
	if key.Workspace == "" || strings.HasPrefix(connector, "issuer:") {
		return issuers()
	}
	return Scope{key.Workspace, connector}
}
