package attack_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// Without its store the broker sends nothing and changes nothing, whoever asks and by
// whichever way, and says why; when the store is back, so is the broker.
func TestAttack28_StoreDown(t *testing.T) {
	t.Parallel()
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	direct := testenv.Postgres(t)
	database := testenv.NewProxy(t, direct)
	site := testenv.NewSite(t, database.URL, 0)
	b := site.Start(t)
	b.Apply(t, upstream.Manifest("things", "", testenv.Things))
	b.Apply(t, model(upstream, ""))
	task := b.Mint(t, nil, "things: things.* WRITE thing:*", "llm: chat READ model:*")
	rest, operator, orchestrator := b.REST(t, testenv.Sandbox, task.Key), b.REST(t, testenv.Operator, ""), b.REST(t, testenv.Orchestrator, "")
	get := invoke("things.get", `{"id":"1"}`)
	require.Equal(t, http.StatusOK, rest.Do(t, http.MethodPost, "/v1/invoke", get).Status)
	sent := upstream.Requests()

	database.Cut()
	defer database.Mend() // before the broker is stopped
	for name, one := range map[string]struct {
		as         *testenv.REST
		path, body string
	}{
		"a read":         {rest, "/v1/invoke", get},
		"a write":        {rest, "/v1/invoke", invoke("things.make", `{"name":"x"}`)},
		"a stream":       {rest, "/v1/invoke:stream", get},
		"a model's SDK":  {rest, "/c/llm/v1/chat/completions", `{"model":"m","messages":[]}`},
		"a new task":     {orchestrator, "/v1/tasks", `{"agent":"late","user":"alice","sandbox":"` + b.SPIFFEID(testenv.Sandbox) + `","ttl":"60s","grants":["things: things.get READ thing:*"]}`},
		"a new secret":   {operator, "/v1/credentials", `{"connector":"things","user":"alice","secret":"eA=="}`},
		"a new key":      {operator, "/v1/keys:rotate", `{"purpose":"KEY_PURPOSE_KEK"}`},
		"a new manifest": {operator, "/v1/connectors", `{"manifest":"connector: late"}`},
	} {
		answer := one.as.Do(t, http.MethodPost, one.path, one.body)
		require.Equal(t, http.StatusServiceUnavailable, answer.Status, "%s: %s", name, answer.Body)
		require.Contains(t, answer.Body, "_UNAVAILABLE", name)
		require.NotContains(t, answer.Body, "127.0.0.1", "the cause stays in the log")
	}
	public := testenv.HTTPS(t, b.Anonymous(t))
	ready := func(path string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.PublicURL+path, nil)
		require.NoError(t, err)
		return testenv.Fetch(t, public, request).Status
	}
	require.Equal(t, http.StatusServiceUnavailable, ready("/readyz"))
	require.Equal(t, http.StatusOK, ready("/healthz"))
	require.Equal(t, sent, upstream.Requests(), "nothing was sent without a record")

	database.Mend()
	testenv.Eventually(t, "the broker's recovery", func() bool {
		return rest.Do(t, http.MethodPost, "/v1/invoke", get).Status == http.StatusOK
	})
	require.Equal(t, http.StatusOK, ready("/readyz"))
	tasks, err := b.Client(t, testenv.Operator, "").Tasks().List(t.Context(), &onedoorv1.TasksListRequest{})
	require.NoError(t, err)
	require.Len(t, tasks.GetTasks(), 1, "nothing is half made")
}
