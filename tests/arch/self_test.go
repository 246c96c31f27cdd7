package arch_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// snippet is a small tree and what the rules must find in it: the name of the rule
// that is broken, or nothing.
type snippet struct {
	name   string
	file   string // where the source stands
	source string
	breaks string
}

// TestRulesBite breaks every rule on purpose. A rule that finds nothing here would
// find nothing in the tree either.
func TestRulesBite(t *testing.T) {
	broken := map[string]bool{}
	for _, s := range snippets() {
		t.Run(s.name, func(t *testing.T) {
			files, err := load(fstest.MapFS{s.file: {Data: []byte(s.source)}})
			require.NoError(t, err)
			require.Len(t, files, 1)
			var found []string
			for _, r := range rules() {
				for _, b := range r.check(files) {
					require.True(t, strings.HasPrefix(b.where, s.file+":"), "a breach says where it is: %s", b.where)
					found = append(found, r.name)
				}
			}
			if s.breaks == "" {
				require.Empty(t, found)
				return
			}
			require.Equal(t, []string{s.breaks}, found)
			broken[s.breaks] = true
		})
	}
	for _, r := range rules() {
		require.True(t, broken[r.name], "no snippet breaks %q", r.name)
	}
}

func snippets() []snippet {
	return append(append(importSnippets(), stateSnippets()...), callSnippets()...)
}

func importing(pkg string, paths ...string) string {
	var b strings.Builder
	b.WriteString("package " + pkg + "\n")
	for _, p := range paths {
		b.WriteString("import " + p + "\n")
	}
	return b.String()
}

func importSnippets() []snippet {
	const apart, down, reserved = "proto, client and server stand apart", "imports point down", "reserved packages"
	const tests, plain, vague = "no test code in production", "no dot and side-effect imports", "names that say something"
	ours := func(dir string) string { return `"` + module + "/" + dir + `"` }
	return []snippet{
		{"proto alone", "proto/onedoor/v1/a.pb.go", importing("onedoorv1", `"google.golang.org/protobuf/proto"`, `"unsafe"`), ""},
		{"proto imports server", "proto/onedoor/v1/a.go", importing("onedoorv1", ours("server/fault")), apart},
		{"client imports proto", "client/a.go", importing("client", ours("proto/onedoor/v1"), `"google.golang.org/grpc"`), ""},
		{"client imports server", "client/a.go", importing("client", ours("server/fault")), apart},
		{"client's test imports server", "client/a_test.go", importing("client_test", ours("server/fault")), apart},
		{"the published harness imports server", "client/onedoortest/a.go", importing("onedoortest", ours("server/app")), ""},
		{"another folder imports server", "demo/a.go", importing("demo", ours("server/fault")), apart},
		{"server imports client", "server/api/a.go", importing("api", ours("client")), apart},
		{"app imports client", "server/app/a.go", importing("app", ours("client")), ""},
		{"server imports tests", "server/app/a_test.go", importing("app_test", ours("tests/testenv")), ""},
		{"tests import server", "tests/e2e/a_test.go", importing("e2e_test", ours("server/app"), ours("client")), ""},

		{"broker imports audit", "server/broker/a.go", importing("broker", ours("server/audit")), ""},
		{"connector imports egress", "server/connector/a.go", importing("connector", ours("server/egress")), ""},
		{"egress imports connector", "server/egress/a.go", importing("egress", ours("server/connector")), down},
		{"vault imports audit, beside it", "server/vault/a.go", importing("vault", ours("server/audit")), down},
		{"grant imports broker, above it", "server/grant/a.go", importing("grant", ours("server/broker")), down},
		{"fault imports anything", "server/fault/a.go", importing("fault", ours("server/task")), down},
		{"the development authority imports fault", "server/devspiffe/a.go", importing("devspiffe", ours("server/fault")), down},
		{"a part without a level", "server/cache/a.go", importing("cache"), down},
		{"a part's own folders", "server/vault/hcvault/a.go", importing("hcvault", ours("server/vault")), ""},
		{"store imports its implementation's users", "server/store/a.go", importing("store", ours("server/audit")), down},
		{"sqlstore imports audit and mint", "server/store/sqlstore/a.go", importing("sqlstore", ours("server/audit"), ours("server/mint")), ""},
		{"a test may look up", "server/grant/a_test.go", importing("grant_test", ours("server/broker")), ""},
		{"the conformance suite", "server/store/storetest/a.go", importing("storetest", ours("server/mint"), `"testing"`), ""},

		{"config names a concrete store", "server/config/a.go", importing("config", ours("server/store/sqlstore")), reserved},
		{"cmd wires the development authority", "server/cmd/onedoord/a.go", importing("main", ours("server/devspiffe")), reserved},
		{"the broker knows grpc", "server/broker/a.go", importing("broker", `"google.golang.org/grpc/codes"`), reserved},
		{"the broker knows generated code", "server/broker/a.go", importing("broker", ours("proto/onedoor/v1")), reserved},
		{"api knows grpc", "server/api/a.go", importing("api", `"google.golang.org/grpc/codes"`, ours("proto/onedoor/v1")), ""},
		{"the gateway in api", "server/api/a.go", importing("api", `"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"`), reserved},
		{"the gateway in rest", "server/rest/a.go", importing("rest", `"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"`), ""},
		{"SQL in audit", "server/audit/a.go", importing("audit", `"database/sql"`), reserved},
		{"a driver in the client", "client/a.go", importing("client", `"github.com/jackc/pgx/v5"`), reserved},
		{"a driver in sqlstore", "server/store/sqlstore/a.go", importing("sqlstore", `_ "modernc.org/sqlite"`), ""},
		{"tink in the broker", "server/broker/a.go", importing("broker", `"github.com/tink-crypto/tink-go/v2/aead"`), reserved},
		{"unsafe", "server/egress/a.go", importing("egress", `"unsafe"`), reserved},

		{"testing in production", "server/egress/a.go", importing("egress", `"testing"`), tests},
		{"httptest in production", "server/egress/a.go", importing("egress", `"net/http/httptest"`), tests},
		{"require in production", "server/egress/a.go", importing("egress", `"github.com/stretchr/testify/require"`), tests},
		{"a test package in production", "server/vault/a.go", importing("vault", ours("server/vault/vaulttest")), tests},
		{"dot import", "server/grant/a.go", importing("grant", `. "strings"`), plain},
		{"dot import in a test", "server/grant/a_test.go", importing("grant_test", `. "strings"`), plain},
		{"side effects", "server/app/a.go", importing("app", `_ "net/http/pprof"`), plain},

		{"a vague package", "client/util/a.go", importing("util"), vague},
		{"a vague folder", "client/common/a.go", importing("kit"), vague},
		{"a vague test package", "client/a_test.go", importing("helpers_test"), vague},
		{"init", "client/a.go", "package client\nfunc init() {}", "no init"},
		{"init in a test", "client/a_test.go", "package client\nfunc init() {}", "no init"},
		{"a method named init", "client/a.go", "package client\ntype T struct{}\nfunc (T) init() {}", ""},
		{"init in generated code", "client/a.go", "// Code generated by a tool. DO NOT EDIT.\n\npackage client\nfunc init() {}", ""},
	}
}

func stateSnippets() []snippet {
	const state, foreign = "no package state", "no writing to another package"
	in := func(source string) string { return "package client\n" + source }
	out := []snippet{}
	for source, breaks := range map[string]string{
		`import "errors"; var ErrA = errors.New("a")`:                              "",
		`import "regexp"; var form = regexp.MustCompile("a")`:                      "",
		"import \"embed\"\n//go:embed a.sql\nvar files embed.FS":                   "",
		`type T struct{}; type I interface{}; var _ I = (*T)(nil); var _ I = &T{}`: "",
		`var names = [...]string{"a"}; func f() string { return names[0] }`:        "",
		`var set = of("a"); func of(s string) map[string]bool { return nil }`:      "",
		`import "regexp"; var forms = []*regexp.Regexp{regexp.MustCompile("a")}`:   "",
		`var name string`:                                                            state,
		`import "sync"; var mu sync.Mutex`:                                           state,
		`import "sync"; var mu = sync.Mutex{}`:                                       state,
		`import s "sync"; var once = [2]s.Once{}`:                                    state,
		`import "sync/atomic"; var n = atomic.Pointer[int]{}`:                        state,
		`var c chan int = nil`:                                                       state,
		`var m = make(map[string]int)`:                                               state,
		`var p = new(int)`:                                                           state,
		`type T struct{}; var p = &T{}`:                                              state,
		`type T struct{}; var p = made(); func made() *T { return nil }`:             state,
		`type T struct{}; var p = made[int](); func made[X any]() *T { return nil }`: state,
		`import "time"; var start = time.Now()`:                                      state,
		`import "log/slog"; var log = slog.Default().With("a", 1)`:                   state,
		`var n = 1; func f() { n = 2 }`:                                              state,
		`var n = 1; func f() { n++ }`:                                                state,
		`var n = 1; func f() *int { return &n }`:                                     state,
		`var m = map[string]int{}; func f() { m["a"] = 1 }`:                          state,
		`var m = map[string]int{}; func f() { delete(m, "a") }`:                      state,
		`var l = []int{1}; func f() { l = append(l, 2) }`:                            state,
		`var l = []int{1}; func f() { copy(l[1:], l) }`:                              state,
		`var l = []int{1}; func f() { for l[0] = range 3 {} }`:                       state,
		`var s = struct{ a int }{}; func f() { (s.a) = 1 }`:                          state,
		`import "os"; func f() { os.Args = nil }`:                                    foreign,
		`import h "net/http"; func f() { h.DefaultTransport = nil }`:                 foreign,
		`type O struct{ Args int }; func f(os O) { os.Args = 1 }`:                    "",
	} {
		out = append(out, snippet{source, "client/a.go", in(source), breaks})
	}
	return append(out, snippet{"state in a test", "client/a_test.go", in("var n int"), ""})
}

func callSnippets() []snippet {
	const reserved, reveal, verify = "reserved names", "who may reveal", "certificates are verified"
	const clock = "the clock is passed in"
	web := func(body string) string {
		return "package broker\nimport web \"net/http\"\nfunc f(c *web.Client) {" + body + "}"
	}
	const at = "server/broker/a.go"
	return []snippet{
		{"being handed a client", at, web(""), ""},
		{"a client", at, web("_ = web.Client{}"), reserved},
		{"a client behind a pointer", at, web("_ = &web.Client{}"), reserved},
		{"a new client", at, web("_ = new(web.Client)"), reserved},
		{"a client's zero value", at, web("var c web.Client; _ = c"), reserved},
		{"a transport", at, web("_ = &web.Transport{}"), reserved},
		{"the default client", at, web("_ = web.DefaultClient"), reserved},
		{"get", at, web(`_, _ = web.Get("https://a.example")`), reserved},
		{"get, passed on", at, web("g := web.Get; _ = g"), reserved},
		{"the default mux", at, web(`web.HandleFunc("/", nil)`), reserved},
		{"a client in egress", "server/egress/a.go", strings.Replace(web("_ = &web.Client{}"), "package broker", "package egress", 1), ""},
		{"the default client in egress", "server/egress/a.go", strings.Replace(web("_ = web.DefaultClient"), "package broker", "package egress", 1), reserved},
		{"a client in a test", "server/broker/a_test.go", web("_ = &web.Client{}"), ""},
		{"dial", at, "package broker\nimport \"net\"\nfunc f() { _, _ = net.Dial(\"tcp\", \"a:1\") }", reserved},
		{"a dialer", at, "package broker\nimport \"net\"\nvar d = net.Dialer{}", reserved},
		{"dial with TLS", at, "package broker\nimport \"crypto/tls\"\nfunc f() { _, _ = tls.Dial(\"tcp\", \"a:1\", nil) }", reserved},
		{"exit", at, "package broker\nimport \"os\"\nfunc f() { os.Exit(1) }", reserved},

		{"reveal in the vault", "server/vault/a.go", "package vault\nfunc f(s Secret) { s.Reveal() }", ""},
		{"reveal in audit", "server/audit/a.go", "package audit\nfunc f(s Secret) { s.Reveal() }", reveal},
		{"reveal as a value", "server/audit/a.go", "package audit\nfunc f(s Secret) { g := s.Reveal; g() }", reveal},
		{"reveal through its type", "server/audit/a.go", "package audit\nfunc f(s Secret) { Secret.Reveal(s) }", reveal},
		{"reveal in a file that may", "server/app/devseed.go", "package app\nfunc f(s Secret) { s.Reveal() }", ""},
		{"reveal in a file beside it", "server/app/dev.go", "package app\nfunc f(s Secret) { s.Reveal() }", reveal},
		{"reveal in a test", "server/audit/a_test.go", "package audit_test\nfunc f(s Secret) { s.Reveal() }", ""},

		{"now", at, "package broker\nimport \"time\"\nfunc f() { time.Now() }", clock},
		{"since", at, "package broker\nimport t \"time\"\nfunc f(a t.Time) { t.Since(a) }", clock},
		{"now by default", at, "package broker\nimport \"time\"\nfunc f() func() time.Time { return time.Now }", ""},
		{"now at the edge", "server/api/a.go", "package api\nimport \"time\"\nfunc f() { time.Now() }", ""},
		{"now in a test", "server/broker/a_test.go", "package broker_test\nimport \"time\"\nfunc f() { time.Now() }", ""},

		{"no verification", "client/a.go", "package client\nimport \"crypto/tls\"\nvar c = tls.Config{InsecureSkipVerify: true}", verify},
		{"no verification, later", "client/a.go", "package client\nfunc f(c C) { c.InsecureSkipVerify = true }", verify},
		{"no verification, by a variable", "client/a.go", "package client\nfunc f(c C, skip bool) { c.InsecureSkipVerify = skip }", verify},
		{"verification, forced", "client/a.go", "package client\nfunc f(c C) { c.InsecureSkipVerify = false; _ = C{InsecureSkipVerify: false} }", ""},
		{"verification, asked for", "client/a.go", "package client\nfunc f(c C) bool { return !c.InsecureSkipVerify }", ""},
		{"no verification, by its address", "client/a.go", "package client\nfunc f(c C) { g(&c.InsecureSkipVerify) }", verify},
	}
}

func TestLoadPassesOverForeignCode(t *testing.T) {
	good := &fstest.MapFile{Data: []byte("package a")}
	bad := &fstest.MapFile{Data: []byte("package")}
	files, err := load(fstest.MapFS{
		"client/a.go": good, "client/a.txt": bad, ".cache/a.go": bad, "third_party/x/a.go": bad,
		"tools/buf/a.go": bad, "server/vault/testdata/a.go": bad,
	})
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.Equal(t, "client", files[0].dir)

	_, err = load(fstest.MapFS{"client/a.go": bad})
	require.Error(t, err, "a file that does not parse is not passed over")
}
