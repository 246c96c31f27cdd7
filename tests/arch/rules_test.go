package arch_test

// The rules of the house as data. docs/design says why they are what they are; a
// change here is a decision, not a repair of a red test.

// levels are the parts of the server from the bottom up. A part imports those below
// it, never one beside or above it.
var levels = [][]string{
	{"fault", "yamlnode"},
	{"task"},
	{"grant"},
	{"store"},
	{"lease", "limit"},
	{"model"},
	{"audit", "connector", "egress", "vault"},
	// Token endpoints are asked as connectors describe them, through egress; and so is
	// STS, by signed requests.
	{"oauth", "sigv4"},
	{"sts"},
	// An assertion, like a credential, is attached to a recorded call of a connector.
	{"assertion", "authn", "credential", "idtoken", "upstream"},
	{"broker", "connect", "mint"},
	{"api", "store/sqlstore"},
	{"rest"},
	{"config", "demo", "devspiffe"},
	{"app"},
	{"cmd"},
}

// beside are the imports within a level that are allowed, each in one direction: a
// connector is plainly made of the origins and address policies of egress.
var beside = map[string][]string{
	"connector": {"egress"},
}

// leaves import nothing of ours.
var leaves = []string{"server/fault", "server/devspiffe", "server/demo"}

// clientUsers are the parts of the server that may use the client: app puts up the
// demo as an operator would, over the API.
var clientUsers = []string{"server/app"}

// reserved says which packages only some may import; production code alone.
var reserved = []struct {
	imports []string // import paths, with all below them
	by      []string // folders, with all below them
	why     string
}{
	{
		imports: []string{module + "/server/store/sqlstore"},
		by:      []string{"server/app", "server/store/sqlstore"},
		why:     "only app names a concrete store",
	},
	{
		imports: []string{module + "/server/devspiffe", module + "/server/demo"},
		by:      []string{"server/app", "server/devspiffe", "server/demo"},
		why:     "what development alone needs is wired by app",
	},
	{
		imports: []string{module + "/server/app"},
		by:      []string{"server/app", "server/cmd"},
		why:     "app is started by cmd",
	},
	{
		imports: []string{
			module + "/proto", "google.golang.org/grpc", "google.golang.org/protobuf", "google.golang.org/genproto",
			"buf.build/go/protovalidate", "github.com/grpc-ecosystem/go-grpc-middleware",
		},
		by: []string{
			"proto", "client", "server/api", "server/rest", "server/app", "server/authn", "server/devspiffe", "server/audit/otlp",
		},
		why: "the domain does not know its transport",
	},
	{
		imports: []string{"github.com/grpc-ecosystem/grpc-gateway"},
		by:      []string{"server/rest"},
		why:     "grpc-gateway is rest's alone",
	},
	{
		imports: []string{"github.com/modelcontextprotocol/go-sdk"},
		by:      []string{"server/rest"},
		why:     "MCP is a form of the API; its clients are for tests",
	},
	{
		imports: []string{
			"database/sql", "modernc.org/sqlite", "github.com/jackc/pgx", "github.com/cockroachdb/cockroach-go",
			"github.com/pressly/goose", "github.com/lib/pq", "github.com/mattn/go-sqlite3",
		},
		by:  []string{"server/store/sqlstore", "server/upstream/postgres"},
		why: "SQL stays in the store",
	},
	{
		imports: []string{"github.com/tink-crypto"},
		by:      []string{"server/vault", "server/assertion"},
		why:     "keys are the vault's",
	},
	{
		// The libraries from here on dial by themselves, to what the configuration alone
		// names: nothing that a caller or a manifest says comes near them.
		imports: []string{"github.com/aws/aws-sdk-go-v2", "cloud.google.com/go", "google.golang.org/api", "github.com/hashicorp/vault/api"},
		by:      []string{"server/vault"},
		why:     "KMS are the vault's",
	},
	{
		imports: []string{"go.opentelemetry.io/otel/exporters"},
		by:      []string{"server/app"},
		why:     "traces leave from app",
	},
	{
		imports: []string{"github.com/spiffe/go-spiffe/v2/workloadapi"},
		by:      []string{"server/app", "client"},
		why:     "SVIDs come in at app",
	},
	{
		imports: []string{"unsafe", "plugin"},
		by:      []string{"proto"}, // generated
		why:     "memory safety is not given up",
	},
}

// testImports are never linked into what we ship.
var testImports = []string{
	"testing", "net/http/httptest", "github.com/stretchr/testify", "pgregory.net/rapid", "go.uber.org/goleak",
}

// vagueNames say nothing about what a package holds.
var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "shared", "core", "types", "mocks", "misc", "base"}

// mentions are the names of other packages that only some may so much as mention;
// production code of the server.
var mentions = []struct {
	pkg   string // import path
	names []string
	by    []string
	// pointer: `*pkg.Name` as a type is allowed: to be handed one is not to make one.
	pointer bool
	why     string
}{
	{
		pkg:     "net/http",
		names:   []string{"Client", "Transport"},
		by:      []string{"server/egress", "server/demo"}, // demo plays a service that fetches the issuer's keys
		pointer: true,
		why:     "only egress makes outbound connections",
	},
	{
		pkg:   "net/http",
		names: []string{"DefaultClient", "DefaultTransport", "Get", "Head", "Post", "PostForm"},
		why:   "the default client knows no limits and no policy",
	},
	{
		pkg:   "net/http",
		names: []string{"DefaultServeMux", "Handle", "HandleFunc"},
		why:   "the default mux is state that anybody may add to",
	},
	{
		pkg:   "net",
		names: []string{"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialIP", "DialUnix", "Dialer"},
		by:    []string{"server/egress", "server/devspiffe"},
		why:   "only egress makes outbound connections",
	},
	{
		pkg:   "net",
		names: []string{"Resolver", "DefaultResolver", "LookupHost", "LookupIP", "LookupAddr", "LookupCNAME", "LookupTXT", "LookupSRV", "LookupNS", "LookupMX", "ResolveTCPAddr", "ResolveUDPAddr", "ResolveIPAddr"},
		by:    []string{"server/egress"},
		why:   "names are looked up where their addresses are judged",
	},
	{
		pkg:   "google.golang.org/grpc",
		names: []string{"NewClient", "Dial", "DialContext"},
		why:   "only egress makes outbound connections",
	},
	{
		pkg:   "crypto/tls",
		names: []string{"Dial", "DialWithDialer", "Dialer", "Client"},
		by:    []string{"server/egress"},
		why:   "only egress makes outbound connections",
	},
	{
		pkg:   "os",
		names: []string{"Exit"},
		by:    []string{"server/cmd"},
		why:   "only main ends the process",
	},
}

// revealers may call Reveal: they hash a task key, show it once, or seal, refresh and
// attach a secret. Whoever is added here, folder or file, can see secrets.
var revealers = []string{
	"server/vault", "server/task", "server/credential", "server/authn", "server/mint", "server/api", "server/idtoken", "server/oauth",
	"server/sigv4",
	"server/demo", "server/app/devseed.go", // the demo's own, invented ones
}

// clocks may ask the machine for the time: at the edges, for deadlines, logs and
// metrics. All others are given theirs, since what they decide must agree between
// brokers and be testable. `time.Now` as a default value is no asking.
var clocks = []string{"server/api", "server/app", "server/cmd", "server/demo", "server/devspiffe", "server/rest"}

// pureCalls are the functions of other packages that may give a package variable its
// value: what they return is never changed by anybody.
var pureCalls = []string{
	"errors.New", "fmt.Errorf", "regexp.MustCompile", "strings.NewReplacer",
	"netip.MustParsePrefix", "netip.MustParseAddr", "netip.IPv6Loopback", "netip.IPv4Unspecified",
}

// statefulPackages hold types whose very purpose is to change.
var statefulPackages = []string{"sync", "sync/atomic", "bytes", "math/rand", "math/rand/v2", "container/list"}
