package aws_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/tests/testenv"
)

const reportTools = `  - name: report.get
    severity: READ
    method: GET
    path: /reports/{id}
    arguments: {type: object, required: [id], properties: {id: {type: string}}}
    resources: ["report:{id}"]
  - name: report.put
    severity: WRITE
    method: PUT
    path: /reports/{id}
    body: [total]
    arguments: {type: object, required: [id], properties: {id: {type: string}, total: {type: integer}}}
    resources: ["report:{id}"]
  - name: report.delete
    severity: DESTRUCTIVE
    method: DELETE
    path: /reports/{id}
    arguments: {type: object, required: [id], properties: {id: {type: string}}}
    resources: ["report:{id}"]
`

// manifest of S3 as moto plays it; more stands beside region and service.
func (m *moto) manifest(t *testing.T, more string) string {
	t.Helper()
	return m.front.Manifest("reports", "{main: {owner: workspace, attach: {aws: {region: us-east-1, service: s3"+more+"}}}}", reportTools)
}

// role is what a manifest says of the role; STS is asked behind the same front.
func (m *moto) role(externalID string) string {
	ca := strings.ReplaceAll(m.front.CA, "\n", "\\n")
	return `, role: "` + roleARN + `", external_id: ` + externalID +
		`, session_policy: {report: {actions: ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], arn: "arn:aws:s3:::reports/{id}"}}` +
		`, sts: {endpoint: "` + m.front.Origin + `/", network: {allow: [127.0.0.0/8]}, tls: {ca: "` + ca + `"}}`
}

// A role is assumed for a task and used: moto checks both signatures, the user's policy,
// the role's trust and the role's policy.
func TestMotoAssumesTheRole(t *testing.T) {
	t.Parallel()
	m := startMoto(t)
	key := m.furnish(t)
	m.enforce(t)
	b := testenv.NewSite(t, "", 0).Start(t)
	b.Apply(t, m.manifest(t, m.role(external)))
	b.Put(t, "reports", "", key)
	task := b.Mint(t, nil, "reports: report.* DESTRUCTIVE report:*")
	c := b.Client(t, testenv.Sandbox, task.Key)
	call := func(tool string, arguments map[string]any) *client.Response {
		t.Helper()
		answer, err := c.Invoke(t.Context(), "reports", tool, arguments)
		require.NoError(t, err)
		return answer
	}
	read := call("report.get", map[string]any{"id": "q1"})
	require.Equal(t, http.StatusOK, read.Status, string(read.Body))
	require.Equal(t, "first quarter", string(read.Body))
	written := call("report.put", map[string]any{"id": "q2.json", "total": 9007199254740993})
	require.Equal(t, http.StatusOK, written.Status, string(written.Body))
	require.Equal(t, `{"total":9007199254740993}`, string(call("report.get", map[string]any{"id": "q2.json"}).Body))
	// The session policy allows it, but the role does not: the narrower of both holds.
	refused := call("report.delete", map[string]any{"id": "q1"})
	require.Equal(t, http.StatusForbidden, refused.Status, string(refused.Body))

	// The broker may hear of its own credential's change once more and then asks again, but
	// never for anything else.
	policies := map[string]bool{}
	for _, form := range asks(t, m.front.Wire()) {
		policies[form.Get("Policy")] = true
		require.True(t, strings.HasSuffix(form.Get("RoleSessionName"), strings.ReplaceAll(task.ID, "-", "")))
	}
	require.Len(t, policies, 2)
	for _, id := range []string{"q1", "q2.json"} {
		require.Contains(t, policies, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],`+
			`"Resource":["arn:aws:s3:::reports/`+id+`"]}]}`)
	}
	_, secret, _ := strings.Cut(key, ":")
	require.NotContains(t, m.front.Wire(), secret, "a key is never sent")
}

var anAsk = regexp.MustCompile(`Action=AssumeRole[!-~]*`)

// asks gives the forms that STS was sent.
func asks(t *testing.T, wire string) []url.Values {
	t.Helper()
	var all []url.Values
	for _, text := range anAsk.FindAllString(wire, -1) {
		// What follows a body on the wire is the next request.
		text, _, _ = strings.Cut(text, "GET")
		form, err := url.ParseQuery(text)
		require.NoError(t, err)
		all = append(all, form)
	}
	return all
}

// What AWS refuses, the sandbox is told of by us or by AWS's own 403, and never with a
// credential in it.
func TestMotoRefuses(t *testing.T) {
	t.Parallel()
	m := startMoto(t)
	key := m.furnish(t)
	m.enforce(t)
	id, secret, _ := strings.Cut(key, ":")
	wrong := id + ":" + strings.Repeat("x", len(secret))
	for name, c := range map[string]struct {
		more, key string
		status    int
		reason    error
	}{
		"a key that may not read":    {"", key, http.StatusForbidden, nil},
		"a key that is wrong":        {"", wrong, http.StatusForbidden, nil},
		"a role by a wrong key":      {m.role(external), wrong, 0, client.CredentialNeedsReconnect},
		"a role by an unknown key":   {m.role(external), "AKIAUNKNOWNUNKNOWN00:" + secret, 0, client.CredentialNeedsReconnect},
		"another external id":        {m.role("somebody-else"), key, 0, client.CredentialNeedsReconnect},
		"a role that does not trust": {strings.Replace(m.role(external), ":role/reports", ":role/other", 1), key, 0, client.CredentialNeedsReconnect},
	} {
		t.Run(name, func(t *testing.T) {
			b := testenv.NewSite(t, "", 0).Start(t)
			b.Apply(t, m.manifest(t, c.more))
			b.Put(t, "reports", "", c.key)
			task := b.Mint(t, nil, "reports: report.get READ report:*")
			answer, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "reports", "report.get", map[string]string{"id": "q1"})
			if c.reason != nil {
				require.ErrorIs(t, err, c.reason)
				require.NotContains(t, err.Error(), id)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.status, answer.Status, string(answer.Body))
			require.NotContains(t, string(answer.Body), id)
		})
	}
}
