package attack_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// hunt is a broker under attack, and what was seen of it.
type hunt struct {
	site    *testenv.Site
	broker  *testenv.Broker
	spans   *testenv.Collector
	vendors vendors
	hostile *hostile

	client  *http.Client         // of the REST API
	dead    map[string][2]string // see unreachable
	secrets []string
	calls   int

	mu   sync.Mutex
	seen strings.Builder // all that sandboxes got
}

// sandboxed is a sandbox with a task's key.
type sandboxed struct {
	key    string
	broker onedoorv1.BrokerClient
}

func newHunt(t *testing.T, store string) *hunt {
	t.Helper()
	h := &hunt{spans: testenv.NewCollector(t), site: testenv.NewSite(t, store, 0), vendors: newVendors(t), hostile: newHostile(t, "")}
	h.site.Env = []string{"GRPC_GO_LOG_SEVERITY_LEVEL=info", "GRPC_GO_LOG_VERBOSITY_LEVEL=99"}
	h.broker = h.site.Start(t, h.spans.Tracing, func(c *config.Config) { c.Assertions = config.Assertions{Issuer: "https://broker.test"} })
	h.client = testenv.HTTPS(t, h.broker.TLS(t, testenv.Sandbox))
	return h
}

// run tries the kinds of attachments, all of them where none are named, and then looks
// at everything; last happens in between.
func (h *hunt) run(t *testing.T, kinds []string, last ...func([]call)) {
	t.Helper()
	all := attachments(t)
	if kinds == nil {
		kinds = slices.Sorted(maps.Keys(all))
	}
	h.dead = unreachable(t)
	var calls []call
	for _, kind := range kinds {
		calls = append(calls, h.kind(t, kind, all[kind])...)
	}
	calls = append(calls, h.model(t)...)
	h.make(t, calls)
	for _, f := range last {
		f(calls)
	}
	for _, kind := range kinds {
		h.secrets = append(h.secrets, all[kind].secrets...)
		if plain := all[kind].plain; plain != "" {
			require.True(t, found(h.hostile.sent(), plain), "the upstream did get the secret of %s", kind)
		}
	}
	signed, _ := h.vendors.till.seen()
	h.secrets = append(h.secrets, signed...)
	for _, one := range regexp.MustCompile(`Signature=([0-9a-f]{64})`).FindAllStringSubmatch(h.hostile.sent(), -1) {
		h.secrets = append(h.secrets, one[1])
	}
	h.look(t)
}

// call is one call to be made, of a way or a stage to fail.
type call struct {
	by            sandboxed
	connector, id string
	pass          bool // of a model API
}

// kind makes the connectors of one kind of attachment, and gives the calls that fail at
// every stage.
func (h *hunt) kind(t *testing.T, kind string, a attachment) (calls []call) {
	t.Helper()
	operator := h.broker.Client(t, testenv.Operator, "")
	tools := strings.ReplaceAll(testenv.Things, "timeout: 10s", "timeout: 400ms")
	connect := func(name, origin, originCA, at, ca string) {
		_, err := operator.Connectors().Apply(t.Context(), &onedoorv1.ConnectorsApplyRequest{
			Manifest: testenv.Manifest(name, origin, originCA, a.at(at, ca), tools),
		})
		require.NoError(t, err)
		a.put(t, operator.Credentials(), name, h.vendors)
		calls = append(calls, call{connector: name, id: "cut"})
	}
	at, ca := h.vendors.place(kind)
	for stage, to := range h.dead {
		connect(kind+"-"+stage, to[0], to[1], at, ca)
		if a.isBought() {
			connect(kind+"-sold-"+stage, h.hostile.origin, h.hostile.ca, to[0], to[1])
		}
	}
	for way := range ways() {
		if a.isBought() {
			connect(kind+"-sold-"+way, h.hostile.origin, h.hostile.ca, h.hostile.origin+"/"+way, h.hostile.ca)
		}
	}
	connect(kind, h.hostile.origin, h.hostile.ca, at, ca)
	for way := range ways() {
		calls = append(calls, call{connector: kind, id: way})
	}
	return h.by(t, calls, "things.get READ thing:*")
}

// model makes connectors of a model API that fails at every stage.
func (h *hunt) model(t *testing.T) (calls []call) {
	t.Helper()
	const key = "canary-model-key-9e71c04d8f2"
	to := maps.Clone(h.dead)
	for way := range ways() {
		one := newHostile(t, way)
		to[way] = [2]string{one.origin, one.ca}
	}
	for stage, at := range to {
		name := "model-" + stage
		h.broker.Apply(t, strings.Replace(testenv.Manifest(name, at[0], at[1], bearerOfAll+"\nmodel: {dialect: openai}", chat), "kind: http", "kind: model", 1))
		h.broker.Put(t, name, "", key)
		calls = append(calls, call{connector: name, pass: true})
	}
	h.secrets = append(h.secrets, key)
	return h.by(t, calls, "chat.completions READ model:*")
}

// by mints a task for what calls need.
func (h *hunt) by(t *testing.T, calls []call, grant string) []call {
	t.Helper()
	grants := map[string]bool{}
	for _, one := range calls {
		grants[one.connector+": "+grant] = true
	}
	task := h.broker.Mint(t, nil, slices.Collect(maps.Keys(grants))...)
	h.secrets = append(h.secrets, task.Key)
	by := sandboxed{task.Key, h.broker.Client(t, testenv.Sandbox, task.Key).Broker()}
	for i := range calls {
		calls[i].by = by
	}
	return calls
}

// make makes the calls, many at a time: most of them wait.
func (h *hunt) make(t *testing.T, calls []call) {
	t.Helper()
	h.calls += len(calls)
	todo := make(chan func())
	var running sync.WaitGroup
	for range 32 {
		running.Go(func() {
			for f := range todo {
				f()
			}
		})
	}
	for n, one := range calls {
		todo <- func() {
			if one.pass {
				h.pass(t.Context(), one)
				return
			}
			h.invoke(t.Context(), one, n)
		}
	}
	close(todo)
	running.Wait()
}

// invoke calls a tool over gRPC, and once more over another transport.
func (h *hunt) invoke(ctx context.Context, c call, n int) {
	arguments := []byte(`{"id":"` + c.id + `"}`)
	var header, trailer metadata.MD
	answer, err := c.by.broker.Invoke(ctx, &onedoorv1.InvokeRequest{Connector: c.connector, Tool: "things.get", ArgumentsJson: arguments},
		grpc.Header(&header), grpc.Trailer(&trailer))
	h.saw("%v %v %v %s %v %+v", header, trailer, answer, answer.GetBody(), status.Convert(err).Proto(), err)
	body := strings.Replace(invoke("things.get", string(arguments)), `"things"`, `"`+c.connector+`"`, 1)
	switch n % 3 {
	case 0:
		stream, err := c.by.broker.InvokeStream(ctx, &onedoorv1.InvokeStreamRequest{Connector: c.connector, Tool: "things.get", ArgumentsJson: arguments})
		received(h, stream, err)
	case 1:
		h.post(ctx, "/v1/invoke", c.by.key, body)
	case 2:
		h.post(ctx, "/v1/invoke:stream", c.by.key, body)
	}
}

// pass calls a model API in the provider's own form, and over gRPC.
func (h *hunt) pass(ctx context.Context, c call) {
	const body = `{"model":"m","messages":[{"role":"user","content":"x"}]}`
	h.post(ctx, "/c/"+c.connector+"/v1/chat/completions", c.by.key, body)
	stream, err := c.by.broker.Relay(ctx, &onedoorv1.RelayRequest{
		Connector: c.connector, Method: http.MethodPost, Path: "/v1/chat/completions", Body: []byte(body), ContentType: "application/json",
	})
	received(h, stream, err)
}

const bearerOfAll = "{main: {owner: workspace, attach: bearer}}"

const chat = `  - name: chat.completions
    severity: READ
    method: POST
    path: /v1/chat/completions
    body: all
    arguments: {type: object, required: [model, messages], properties: {model: {type: string}, messages: {type: array}}}
    resources: ["model:{model}"]
    response: {headers: [X-Kind], max_bytes: 1MiB}
    timeout: 400ms
`

func (h *hunt) saw(format string, args ...any) {
	text := strings.ReplaceAll(fmt.Sprintf(format+"\n", args...), padding, "")
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen.WriteString(text)
}

// received reads a stream to its end.
func received[M proto.Message](h *hunt, stream interface {
	grpc.ClientStream
	Recv() (M, error)
}, err error) {
	for err == nil {
		var m M
		if m, err = stream.Recv(); err == nil {
			h.saw("%v", m)
			if got, ok := any(m).(interface{ GetData() []byte }); ok {
				h.saw("%s", got.GetData())
			}
		}
	}
	h.saw("%v %+v", status.Convert(err).Proto(), err)
	if stream != nil {
		header, _ := stream.Header()
		h.saw("%v %v", header, stream.Trailer())
	}
}

// post makes a request whose answer may break off.
func (h *hunt) post(ctx context.Context, path, key, body string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.broker.RESTURL+path, strings.NewReader(body))
	if err != nil {
		panic(err) // the test's own mistake
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	answer, err := h.client.Do(request)
	if err != nil {
		h.saw("%v", err)
		return
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	h.saw("%s %v %v %s %v", answer.Status, answer.Header, answer.Trailer, text, err)
}

// look searches everything for the secrets.
func (h *hunt) look(t *testing.T) {
	t.Helper()
	t.Logf("%d calls, %d secrets, %d bytes seen by sandboxes", h.calls, len(h.secrets), h.seen.Len())
	require.Contains(t, h.seen.String(), "[redacted]")
	absent(t, "what the sandboxes got", h.seen.String(), h.secrets...)
	absent(t, "what the sandboxes got, decoded", decodeBase64Members(h.seen.String()), h.secrets...)
	listed := h.answers(t)
	for _, outcome := range []string{"NOT_SENT", "UNKNOWN", "OK"} {
		require.Contains(t, listed, `"`+outcome+`"`)
	}
	absent(t, "what operators get", listed, h.secrets...)
	for _, path := range []string{"/metrics", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline", "/debug/pprof/heap?debug=1"} {
		absent(t, path, get(t, h.broker.OpsURL+path), h.secrets...)
	}
	h.files(t) // while the write-ahead log is there
	require.NoError(t, h.broker.Stop())
	absent(t, "the log", h.broker.Log(), h.secrets...)
	for _, said := range []string{"UPSTREAM_UNAVAILABLE", "OUTCOME_UNKNOWN", "the certificate is not trusted", "[transport]"} {
		require.Contains(t, h.broker.Log(), said, "the failures did happen, and are logged")
	}
	require.Contains(t, h.spans.Spans(), "onedoor.invocation_id")
	absent(t, "the spans", h.spans.Spans(), h.secrets...)
	h.files(t)
}

// files searches every file of the broker's, the database among them.
func (h *hunt) files(t *testing.T) {
	t.Helper()
	files := 0
	require.NoError(t, filepath.WalkDir(h.site.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		absent(t, filepath.Base(path), string(text), h.secrets...)
		return err
	}))
	require.GreaterOrEqual(t, files, 3)
}

// answers gives all that an operator can read over the API.
func (h *hunt) answers(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	write := func(m proto.Message, err error) {
		require.NoError(t, err)
		all.WriteString(protojson.Format(m))
	}
	c := h.broker.Client(t, testenv.Operator, "")
	ctx := context.WithoutCancel(t.Context())
	credentials, err := c.Credentials().List(ctx, &onedoorv1.CredentialsListRequest{})
	write(credentials, err)
	require.NotEmpty(t, credentials.GetCredentials())
	connectors, err := c.Connectors().List(ctx, &onedoorv1.ConnectorsListRequest{})
	write(connectors, err)
	keys, err := c.Keys().List(ctx, &onedoorv1.KeysListRequest{})
	write(keys, err)
	tasks, err := c.Tasks().List(ctx, &onedoorv1.TasksListRequest{})
	write(tasks, err)
	for _, one := range connectors.GetConnectors() {
		manifest, err := c.Connectors().Get(ctx, &onedoorv1.ConnectorsGetRequest{Name: one.GetName()})
		write(manifest, err)
	}
	for _, e := range h.broker.ListEvents(t, &onedoorv1.AuditListRequest{}) {
		write(e, nil)
	}
	return all.String()
}

func get(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	answer := testenv.Fetch(t, testenv.HTTPS(t, nil), request)
	require.Equal(t, http.StatusOK, answer.Status)
	return answer.Body
}
