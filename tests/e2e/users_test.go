package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

const ofUsers = "{main: {owner: user, attach: {header: X-Token}}}"

// distrusting starts a broker whose orchestrators may not assert users, with an issuer
// in the workspace default and one in other.
func distrusting(t *testing.T, here, there *testenv.Issuer) *testenv.Broker {
	t.Helper()
	return testenv.NewSite(t, "", 0).Start(t, func(c *config.Config) {
		c.Workspaces[0].Orchestrators[0].MayAssertUsers = false
		c.Issuers = []config.Issuer{here.Config(t, "default"), there.Config(t, "other")}
	})
}

// TestUsersByIDToken: an orchestrator that is not trusted with users mints with what an
// issuer says, and cannot mint with what it says itself. The user's own credential is
// used, and the trail says whose word the user is.
func TestUsersByIDToken(t *testing.T) {
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.Header.Get("X-Token")[:3]))
	}))
	here, there := testenv.NewIssuer(t), testenv.NewIssuer(t)
	here.Down(true) // an issuer that is down keeps no broker from starting
	b := distrusting(t, here, there)
	b.Apply(t, upstream.Manifest("things", ofUsers, testenv.Things))
	b.Put(t, "things", "8f2c", "abc-of-the-local-one")
	said := b.CLIWith(t, testenv.Operator, "", "def-of-the-issuers", "credential", "put", "things", "--user", "8f2c", "--issuer", here.URL, "--from-file", "-")
	require.Zero(t, said.Code, said.Stderr)
	require.Contains(t, said.Stdout, "user 8f2c of "+here.URL)

	create := func(edit func(r *onedoorv1.TasksCreateRequest)) (*onedoorv1.TasksCreateResponse, error) {
		r := &onedoorv1.TasksCreateRequest{
			Agent: "tester", Sandbox: b.SPIFFEID(testenv.Sandbox), Grants: []string{"things: things.get READ thing:*"}, Ttl: durationpb.New(time.Minute),
		}
		edit(r)
		return b.Client(t, testenv.Orchestrator, "").Tasks().Create(t.Context(), r)
	}
	token := here.Sign(t, here.Claims("8f2c"))
	_, err := create(func(r *onedoorv1.TasksCreateRequest) { r.IdToken = token })
	require.ErrorIs(t, err, client.IssuerUnavailable)
	here.Down(false)
	testenv.Eventually(t, "the issuer is asked again", func() bool {
		_, err = create(func(r *onedoorv1.TasksCreateRequest) { r.IdToken = token })
		return err == nil
	})
	made, err := create(func(r *onedoorv1.TasksCreateRequest) { r.IdToken = token })
	require.NoError(t, err)
	require.Equal(t, here.URL, made.GetTask().GetUserIssuer())
	require.Equal(t, "8f2c", made.GetTask().GetUserSubject())

	answer, err := b.Client(t, testenv.Sandbox, made.GetTaskKey()).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
	require.NoError(t, err)
	require.Equal(t, "def", string(answer.Body))

	foreign := there.Sign(t, there.Claims("8f2c"))
	for name, edit := range map[string]func(r *onedoorv1.TasksCreateRequest){
		"by name":                        func(r *onedoorv1.TasksCreateRequest) { r.User = "8f2c" },
		"both":                           func(r *onedoorv1.TasksCreateRequest) { r.User, r.IdToken = "8f2c", token },
		"nobody":                         func(*onedoorv1.TasksCreateRequest) {},
		"a token of another workspace's": func(r *onedoorv1.TasksCreateRequest) { r.IdToken = foreign },
		"another nonce":                  func(r *onedoorv1.TasksCreateRequest) { r.IdToken, r.IdTokenNonce = token, "n" },
		"too long":                       func(r *onedoorv1.TasksCreateRequest) { r.IdToken = strings.Repeat("x", 16<<10+1) },
	} {
		t.Run(name, func(t *testing.T) {
			made, err := create(edit)
			require.Nil(t, made)
			want := client.ArgumentInvalid
			if name == "by name" {
				want = client.CallerNotAllowed
			}
			require.ErrorIs(t, err, want)
			require.NotContains(t, err.Error(), token[:40])
		})
	}
	requireTrail(t, b, made, token)
}

// requireTrail: the acts and calls say whose word the user is, and nothing holds the
// token.
func requireTrail(t *testing.T, b *testenv.Broker, made *onedoorv1.TasksCreateResponse, token string) {
	t.Helper()
	issuer := made.GetTask().GetUserIssuer()
	signature := token[strings.LastIndexByte(token, '.')+1:]
	var asserted, byToken, calls int
	for _, e := range b.ListEvents(t, &onedoorv1.AuditListRequest{}) {
		require.NotContains(t, e.String(), signature)
		targets := strings.Join(e.GetResources(), " ")
		var detail map[string]string
		if e.GetDetail() != "" {
			require.NoError(t, json.Unmarshal([]byte(e.GetDetail()), &detail))
		}
		switch e.GetKind() {
		case "ADMIN_INTENT":
			if strings.Contains(targets, "user:8f2c (asserted)") {
				asserted++
			}
		case "ADMIN_OUTCOME":
			if detail["task_id"] == made.GetTaskId() {
				byToken++
				require.Contains(t, targets, "user by id token")
				require.Equal(t, issuer, detail["user_issuer"])
				require.Equal(t, "8f2c", detail["user"])
				require.Equal(t, made.GetTask().GetUserId(), detail["user_id"])
			}
		case "INTENT":
			calls++
			require.Equal(t, map[string]string{"user_issuer": issuer}, detail)
		}
	}
	require.Equal(t, []int{1, 1, 1}, []int{asserted, byToken, calls})
	require.NotContains(t, b.Log(), signature)
}

// TestIDTokensAtTheCommandLineAndOverREST: the same, as people and programs do it.
func TestIDTokensAtTheCommandLineAndOverREST(t *testing.T) {
	here, there := testenv.NewIssuer(t), testenv.NewIssuer(t)
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	b := distrusting(t, here, there)
	b.Apply(t, upstream.Manifest("things", "", testenv.Things))
	claims := here.Claims("8f2c")
	claims["nonce"] = "n-1"
	token := here.Sign(t, claims)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(token+"\n"), 0o600))
	run := func(stdin string, more ...string) testenv.Result {
		return b.CLIWith(t, testenv.Orchestrator, "", stdin, append([]string{
			"task", "create", "--agent", "a", "--ttl", "1m", "--sandbox", b.SPIFFEID(testenv.Sandbox), "--grant", "things: things.get READ thing:*",
		}, more...)...)
	}
	for name, c := range map[string]struct {
		stdin string
		args  []string
		code  int
	}{
		"from a file":          {"", []string{"--id-token-file", file, "--id-token-nonce", "n-1"}, 0},
		"from stdin":           {token, []string{"--id-token-file", "-"}, 0},
		"by name":              {"", []string{"--user", "8f2c"}, 3},
		"both":                 {token, []string{"--user", "8f2c", "--id-token-file", "-"}, 2},
		"neither":              {"", nil, 2},
		"an empty file":        {"\n", []string{"--id-token-file", "-"}, 2},
		"a nonce and no token": {"", []string{"--user", "8f2c", "--id-token-nonce", "n-1"}, 2},
		"another nonce":        {token, []string{"--id-token-file", "-", "--id-token-nonce", "n-2"}, 4},
		"a token that is none": {"canary", []string{"--id-token-file", "-"}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			said := run(c.stdin, c.args...)
			require.Equal(t, c.code, said.Code, said.Stderr)
			require.NotContains(t, said.Stdout+said.Stderr, token[:40])
			if c.code == 0 {
				require.Contains(t, said.Stdout, here.URL)
			}
		})
	}

	rest := b.REST(t, testenv.Orchestrator, "")
	body := func(part string) string {
		return `{"agent":"a","sandbox":"` + b.SPIFFEID(testenv.Sandbox) + `","grants":["things: things.get READ thing:*"],"ttl":"60s",` + part + `}`
	}
	answer := rest.Do(t, http.MethodPost, "/v1/tasks", body(`"idToken":"`+token+`"`))
	require.Equal(t, http.StatusOK, answer.Status, answer.Body)
	require.Contains(t, answer.Body, here.URL)
	answer = rest.Do(t, http.MethodPost, "/v1/tasks", body(`"idToken":"`+there.Sign(t, there.Claims("x"))+`"`))
	require.Equal(t, http.StatusBadRequest, answer.Status)
	require.Equal(t, "id_token", answer.Field(t))

	operator := b.REST(t, testenv.Operator, "")
	put := operator.Do(t, http.MethodPost, "/v1/credentials", `{"connector":"things","user":"x","issuer":"`+there.URL+`","secret":"YQ=="}`)
	require.Equal(t, "issuer", put.Field(t), "an issuer of another workspace's names nobody here")
	put = operator.Do(t, http.MethodPost, "/v1/credentials", `{"connector":"things","workspaceOwned":true,"issuer":"local","secret":"YQ=="}`)
	require.Equal(t, "issuer", put.Field(t))
}
