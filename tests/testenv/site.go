package testenv

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/server/devspiffe"
)

// Domain is the trust domain of a Site.
const Domain = "site.test"

// Site is what several brokers share: a SPIFFE authority, a store and a master key.
// The authority runs in the test, so that it outlives a broker and can be played with.
type Site struct {
	Authority *devspiffe.Authority
	Dir       string
	// Store is the store's URL.
	Store string
	// User is whom the brokers run as that start from now on; nil for the tests' own.
	User *syscall.Credential
	// Env is added to their environment.
	Env     []string
	sockets map[Role]string
	brokers int
}

// NewSite makes a site on a SQLite file, or on the given store. SVIDs live for life;
// zero means the authority's default.
func NewSite(t testing.TB, storeURL string, life time.Duration) *Site {
	t.Helper()
	s := &Site{Dir: ShortDir(t), Store: storeURL, sockets: map[Role]string{}}
	if s.Store == "" {
		s.Store = "sqlite:" + filepath.Join(s.Dir, "onedoor.db")
	}
	var err error
	s.Authority, err = devspiffe.New(devspiffe.Options{
		TrustDomain: spiffeid.RequireTrustDomainFromString(Domain), Dir: filepath.Join(s.Dir, "s"), SVIDLife: life,
		Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(s.Authority.Close)
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir, "bundle.pem"), s.Authority.BundlePEM(), 0o600))
	for role, path := range map[Role]string{Sandbox: "/sandbox/one", Sandbox2: "/sandbox/two", Orchestrator: "/orchestrator", Operator: "/operator"} {
		s.sockets[role], err = s.Authority.Add(devspiffe.Workload{ID: id(path).ID, Socket: strings.ToLower(string(role))})
		require.NoError(t, err)
	}
	return s
}

func id(path string) config.SPIFFEID {
	return config.SPIFFEID{ID: spiffeid.RequireFromString("spiffe://" + Domain + path)}
}

// Start runs one more broker of the site until the test ends. edit may change its
// configuration.
func (s *Site) Start(t testing.TB, edit ...func(*config.Config)) *Broker {
	t.Helper()
	path, self := s.Configure(t, edit...)
	program := Binary(t, "onedoord")
	if s.User != nil {
		program = s.handOver(t, program)
	}
	p, err := startAs(s.User, s.Env, program, "serve", "--config", path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Stop()) })
	b := &Broker{
		Process: p, Dir: s.Dir, ID: self, Bundle: filepath.Join(s.Dir, "bundle.pem"), sockets: s.sockets,
		ids: map[Role]string{Sandbox: id("/sandbox/one").String(), Sandbox2: id("/sandbox/two").String()},
	}
	addresses, err := servedAt(p.Log())
	require.NoError(t, err)
	b.Addr = addresses["grpc"]
	for name, url := range map[string]*string{"rest": &b.RESTURL, "rest_jwt": &b.JWTURL, "public": &b.PublicURL} {
		if addresses[name] != "" {
			*url = "https://" + addresses[name]
		}
	}
	b.OpsURL = "http://" + addresses["ops"]
	return b
}

// StartRefused runs one more broker of the site, which must end before it serves, and
// gives what it said.
func (s *Site) StartRefused(t testing.TB, edit ...func(*config.Config)) string {
	t.Helper()
	path, _ := s.Configure(t, edit...)
	p, err := start(Binary(t, "onedoord"), "serve", "--config", path)
	if err == nil {
		_ = p.Kill()
		t.Fatal("it serves under a configuration that must be refused")
	}
	return err.Error()
}

// handOver gives all files of the site to its user, and a copy of a program.
func (s *Site) handOver(t testing.TB, program string) (copied string) {
	t.Helper()
	text, err := os.ReadFile(program)
	require.NoError(t, err)
	copied = filepath.Join(s.Dir, filepath.Base(program))
	require.NoError(t, os.WriteFile(copied, text, 0o700))
	require.NoError(t, filepath.WalkDir(s.Dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, int(s.User.Uid), int(s.User.Gid)))
	}))
	return copied
}

// Configure writes the configuration of one more broker, which has an SVID of its own,
// and gives its path and the broker's SPIFFE ID.
func (s *Site) Configure(t testing.TB, edit ...func(*config.Config)) (path, self string) {
	t.Helper()
	s.brokers++
	name := fmt.Sprintf("broker%d", s.brokers)
	own := id("/" + name)
	socket, err := s.Authority.Add(devspiffe.Workload{
		ID: own.ID, Socket: name, DNSNames: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)},
	})
	require.NoError(t, err)
	c := s.config(socket)
	for _, e := range edit {
		e(c)
	}
	text, err := yaml.Marshal(c)
	require.NoError(t, err)
	path = filepath.Join(s.Dir, name+".yaml")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path, own.String()
}

func (s *Site) config(socket string) *config.Config {
	free := config.Listener{Address: "127.0.0.1:0"}
	workspace := func(name string) config.Workspace {
		return config.Workspace{
			Name: name, Operators: []config.SPIFFEID{id("/operator")},
			Orchestrators: []config.Orchestrator{{
				ID: id("/orchestrator"), Sandboxes: id("/sandbox"), MayAssertUsers: true,
				MaxTTL: config.Duration(time.Hour), MaxSeverity: "ADMIN", Connectors: []string{"*"},
			}},
		}
	}
	return &config.Config{
		Environment: config.Development, // it brings its store up to date by itself
		SPIFFE:      config.SPIFFE{WorkloadAPI: socket, TrustDomains: []config.TrustDomain{{TrustDomain: id("/x").TrustDomain()}}},
		Listeners:   config.Listeners{GRPC: free, REST: free, Public: free, Ops: free},
		Store:       config.Store{URL: s.Store},
		Keys:        config.Keys{Master: "file:" + filepath.Join(s.Dir, "master.json")},
		Workspaces:  []config.Workspace{workspace("default"), workspace("other")},
		// A loop of calls on a fast machine must not run into the limit of one task.
		Limits: config.Limits{
			Task: config.Share{CallsPerSecond: 1e6, CallBurst: 1e6}, User: config.Share{CallsPerSecond: 1e6, CallBurst: 1e6},
			Workspace: config.Share{CallsPerSecond: 1e6, CallBurst: 1e6}, Connector: config.Share{CallsPerSecond: 1e6, CallBurst: 1e6},
			Workload: config.Share{CallsPerSecond: 1e6, CallBurst: 1e6},
		},
		Log:   config.Log{Level: "debug", Format: "json"},
		Drain: config.Duration(2 * time.Second),
	}
}

// servedAt finds in a broker's log where it serves.
func servedAt(text string) (map[string]string, error) {
	for line := range strings.Lines(text) {
		var entry struct {
			Message   string            `json:"msg"`
			Addresses map[string]string `json:"addresses"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Message == "serving" {
			return entry.Addresses, nil
		}
	}
	return nil, fmt.Errorf("the log does not say where the broker serves:\n%s", text)
}

// Apply applies a manifest as the operator.
func (b *Broker) Apply(t testing.TB, manifest string) {
	t.Helper()
	_, err := b.Client(t, Operator, "").Connectors().Apply(t.Context(), &onedoorv1.ConnectorsApplyRequest{Manifest: manifest})
	require.NoError(t, err)
}

// Put stores a secret of a user's, or of the workspace where user is empty.
func (b *Broker) Put(t testing.TB, connector, user, secret string) {
	t.Helper()
	request := &onedoorv1.CredentialsPutRequest{Connector: connector, Secret: []byte(secret)}
	request.Owner = &onedoorv1.CredentialsPutRequest_WorkspaceOwned{WorkspaceOwned: true}
	if user != "" {
		request.Owner = &onedoorv1.CredentialsPutRequest_User{User: user}
	}
	_, err := b.Client(t, Operator, "").Credentials().Put(t.Context(), request)
	require.NoError(t, err)
}
