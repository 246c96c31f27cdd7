package broker_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/broker"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
)

// modelled makes the bench's connector one of kind model, with two tools.
func modelled(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	b.options.Upstreams[connector.KindModel] = b.options.Upstreams[connector.KindHTTP]
	b.Broker = broker.New(b.options)
	b.apply(t, func(text string) string {
		head, _, _ := strings.Cut(text, "tools:\n")
		return strings.Replace(head, "kind: http", "kind: model\nmodel: {dialect: openai}", 1) + `tools:
  - name: ask
    severity: READ
    method: POST
    path: /v1/ask
    body: all
    arguments: {type: object, required: [model], properties: {model: {type: string}, n: {}}}
    resources: ["model:{model}"]
  - name: list
    severity: READ
    method: GET
    path: /v1/models
    resources: ["model:*"]
`
	})
	return b
}

type noting struct{ bytes.Buffer }

func (*noting) Head(int, map[string]string, string) error { return nil }

func (n *noting) Data(piece []byte) error {
	_, err := n.Write(piece)
	return err
}

// A request in the provider's own form is the call that Invoke would have made: as to
// what is sent, what is recorded and what is refused.
func TestRequest(t *testing.T) {
	const granted = "crm: ask READ model:m"
	ask := func(method, path, body string) *connector.Request {
		return &connector.Request{Method: method, Path: path, ContentType: "application/json", Body: []byte(body)}
	}
	t.Run("it is sent and recorded", func(t *testing.T) {
		b := modelled(t)
		b.answer(func(w http.ResponseWriter, r *http.Request) {
			var body bytes.Buffer
			_, _ = body.ReadFrom(r.Body)
			_, _ = w.Write([]byte(r.Method + " " + r.URL.Path + " " + body.String()))
		})
		c := b.call(t, "", "", granted)
		c.Request = ask("POST", "/v1/ask", `{"n": 1.10,"model":"m"}`)
		sink := &noting{}
		_, err := b.InvokeStream(t.Context(), c, sink)
		require.NoError(t, err)
		require.Equal(t, `POST /v1/ask {"n":1.10,"model":"m"}`, sink.String())
		done := b.outcome(t, c)
		require.Equal(t, "ask", done.Tool)
	})
	for name, one := range map[string]struct {
		grant   string
		request *connector.Request
		reason  fault.Reason
		tool    string // as it is recorded
	}{
		"no grant for the connector":    {"other: ask READ model:m", ask("POST", "/v1/ask", `{"model":"m"}`), fault.GrantMissing, ""},
		"no such tool":                  {granted, ask("POST", "/v1/other", `{}`), fault.ToolUnknown, ""},
		"another tool":                  {granted, ask("GET", "/v1/models", ""), fault.GrantMissing, "list"},
		"another tool, and malformed":   {granted, ask("GET", "/v1/models", "{}"), fault.GrantMissing, "list"},
		"malformed":                     {granted, ask("POST", "/v1/ask", `{"x":1}`), fault.ArgumentInvalid, "ask"},
		"another model":                 {granted, ask("POST", "/v1/ask", `{"model":"n"}`), fault.ResourceNotGranted, "ask"},
		"a reference to what is stored": {granted, ask("POST", "/v1/ask", `{"model":"m","n":{"file_id":"f"}}`), fault.ArgumentInvalid, "ask"},
		"only another tool":             {"crm: list READ model:*", ask("POST", "/v1/ask", `{"model":"m"}`), fault.GrantMissing, "ask"},
	} {
		t.Run(name, func(t *testing.T) {
			b := modelled(t)
			c := b.call(t, "", "", one.grant)
			c.Request = one.request
			_, err := b.InvokeStream(t.Context(), c, &noting{})
			requireReason(t, one.reason, err)
			require.Zero(t, b.hits.Load())
			rows := b.rows(t, c)
			require.Len(t, rows, 1)
			require.Equal(t, string(one.reason), rows[0].Reason)
			require.Equal(t, one.tool, rows[0].Tool)
		})
	}
}

// Connectors of kind http are called by the same steps: what is granted, recorded and
// sent does not depend on the form of the request.
func TestRequestHTTP(t *testing.T) {
	b := newBench(t)
	b.answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Total", "7")
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte(r.Method + " " + r.URL.Path))
	})
	c := b.call(t, "", "", "crm: contacts.get READ contact:1")
	c.Request = &connector.Request{Method: "GET", Path: "/contacts/1"}
	sink := &noting{}
	n, err := b.InvokeStream(t.Context(), c, sink)
	require.NoError(t, err)
	require.Equal(t, "GET /contacts/1", sink.String())
	require.EqualValues(t, sink.Len(), n)
	done := b.outcome(t, c)
	require.Equal(t, "contacts.get", done.Tool)
	require.Equal(t, http.StatusAccepted, done.UpstreamStatus)
	for path, reason := range map[string]fault.Reason{"/contacts/2": fault.ResourceNotGranted, "/list": fault.ToolUnknown, "/contacts/1/../2": fault.ArgumentInvalid} {
		refused := again(c)
		refused.Request = &connector.Request{Method: "GET", Path: path}
		_, err = b.InvokeStream(t.Context(), refused, &noting{})
		requireReason(t, reason, err)
	}
	require.EqualValues(t, 1, b.hits.Load())
}

// Where a grant limits rows, the answer is counted before anybody sees it.
func TestRequestCountsRows(t *testing.T) {
	b := newBench(t)
	c := b.call(t, "", "", "crm: contacts.list READ contact:* rows=5")
	list := func() (string, error) {
		one := again(c)
		one.Request = &connector.Request{Method: "POST", Path: "/list", ContentType: "application/json", Body: []byte("{}")}
		sink := &noting{}
		n, err := b.InvokeStream(t.Context(), one, sink)
		require.EqualValues(t, sink.Len(), n)
		return sink.String(), err
	}
	b.answer(text(200, `{"items":[1,2,3]}`))
	got, err := list()
	require.NoError(t, err)
	require.Equal(t, `{"items":[1,2,3]}`, got)
	got, err = list()
	requireReason(t, fault.LimitReached, err)
	require.Empty(t, got, "withheld")
	b.answer(text(200, `{"items":[1,2]}`))
	got, err = list()
	require.NoError(t, err, "what was withheld was not counted")
	require.Equal(t, `{"items":[1,2]}`, got)
	hits := b.hits.Load()
	_, err = list()
	requireReason(t, fault.LimitReached, err)
	require.Equal(t, hits, b.hits.Load())
}

// A tool may be called by the name under which models know it. What is judged and recorded
// is the tool.
func TestFunctionName(t *testing.T) {
	for name, one := range map[string]struct {
		grant, connector, tool string
		reason                 fault.Reason // "": the call is made
		recorded               string
	}{
		"a granted tool":            {"crm: contacts.get READ contact:*", "crm", "crm__contacts_get", "", "contacts.get"},
		"one with an underscore":    {"crm: contacts.slow_read READ contact:*", "crm", "crm__contacts_slow_read", "", "contacts.slow_read"},
		"another resource":          {"crm: contacts.get READ contact:1", "crm", "crm__contacts_get", fault.ResourceNotGranted, "contacts.get"},
		"a tool that is no grant's": {"crm: contacts.get READ contact:*", "crm", "crm__contacts_add", fault.GrantMissing, "contacts.add"},
		"no such tool":              {"crm: contacts.get READ contact:*", "crm", "crm__contacts_none", fault.ToolUnknown, "crm__contacts_none"},
		"no grant there":            {"other: contacts.get READ contact:*", "crm", "crm__contacts_get", fault.GrantMissing, "crm__contacts_get"},
		"another connector's":       {"crm: contacts.get READ contact:*", "crm", "other__contacts_get", fault.ToolUnknown, "other__contacts_get"},
		"without the connector":     {"crm: contacts.get READ contact:*", "crm", "contacts_get", fault.ToolUnknown, "contacts_get"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			arguments := `{"id":"2"}`
			if strings.HasSuffix(one.tool, "slow_read") {
				arguments = `{}`
			}
			c := b.call(t, one.tool, arguments, one.grant)
			c.Connector = one.connector
			explained, err := b.Explain(t.Context(), c)
			require.NoError(t, err)
			require.Equal(t, one.reason == "", explained.Err == nil && explained.Decision.Allowed)
			_, err = b.Invoke(t.Context(), c)
			if one.reason == "" {
				require.NoError(t, err)
				require.Equal(t, one.recorded, b.outcome(t, c).Tool)
				return
			}
			requireReason(t, one.reason, err)
			require.Zero(t, b.hits.Load())
			rows := b.rows(t, c)
			require.Len(t, rows, 1)
			require.Equal(t, one.recorded, rows[0].Tool)
		})
	}
}
