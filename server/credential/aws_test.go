package credential_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/vault"
)

const (
	awsSecret = "AKIDEXAMPLE:wJalrXUtnFEMI/canary/stored"
	awsRole   = "arn:aws:iam::123456789012:role/reports"
	aTask     = "0190c0de-0000-7000-8000-00000000000a"
	otherTask = "0190c0de-0000-7000-8000-00000000000b"
)

// awsService plays STS under /sts and an upstream everywhere else.
type awsService struct {
	*bench
	server *httptest.Server

	mu      sync.Mutex
	assumed []url.Values
	calls   []*http.Request
	refuse  int // the status with which STS refuses; 0: it grants
}

func newAWS(t *testing.T) *awsService {
	t.Helper()
	s := &awsService{bench: newBench(t)}
	s.server = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.server.Close)
	s.upstream = s.server
	return s
}

func (s *awsService) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = r.ParseForm()
	if r.URL.Path != "/sts" {
		s.calls = append(s.calls, r)
		_, _ = fmt.Fprintf(w, "%s %s", r.Header.Get("Authorization"), r.Header.Get("X-Amz-Security-Token"))
		return
	}
	s.assumed = append(s.assumed, r.PostForm)
	if s.refuse != 0 {
		w.WriteHeader(s.refuse)
		_, _ = w.Write([]byte("<ErrorResponse><Error><Code>AccessDenied</Code><Message>canary</Message></Error></ErrorResponse>"))
		return
	}
	n := strconv.Itoa(len(s.assumed))
	_, _ = w.Write([]byte("<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIACANARY" + n + "</AccessKeyId>" +
		"<SecretAccessKey>canary-temporary-secret</SecretAccessKey><SessionToken>canary-session-token-" + n + "</SessionToken>" +
		"<Expiration>" + s.now().Add(15*time.Minute).UTC().Format(time.RFC3339Nano) + "</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"))
}

// seen gives what STS and the upstream were sent so far.
func (s *awsService) seen() (assumed []url.Values, calls []*http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.assumed), slices.Clone(s.calls)
}

// connectorOf has one slot, signed for DynamoDB, and a tool on an item.
func (s *awsService) connectorOf(t *testing.T, more string, changes ...func(string) string) *connector.Connector {
	t.Helper()
	aws := slots("main: {owner: workspace, attach: {aws: {region: eu-central-1, service: dynamodb" + more + "}}}")
	tool := func(text string) string {
		return strings.Replace(text, `path: /get, resources: ["contact:*"]`,
			`path: /get, query: {id: id}, arguments: {type: object, required: [id], properties: {id: {type: string}}}, resources: ["item:{id}"]`, 1)
	}
	return s.connector(t, append([]func(string) string{aws, tool}, changes...)...)
}

// roleOf is what stands in the manifest for the role that is assumed.
func (s *awsService) roleOf(t *testing.T, policy bool) string {
	t.Helper()
	u, err := url.Parse(s.server.URL)
	require.NoError(t, err)
	ca := strconv.Quote(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw})))
	text := ", role: '" + awsRole + "', sts: {endpoint: 'https://example.com:" + u.Port() + "/sts', network: {allow: [127.0.0.0/8]}, tls: {ca: " + ca + "}}"
	if policy {
		text += `, session_policy: {item: {actions: ["dynamodb:GetItem"], arn: "arn:aws:dynamodb:eu-central-1:123456789012:table/{id}"}}`
	}
	return text
}

// call makes a call in a task, and gives the answer.
func (s *awsService) call(t *testing.T, k *credential.Keeper, c *connector.Connector, task, id string) (string, error) {
	t.Helper()
	b, err := c.Bind("get", []byte(`{"id":"`+id+`"}`))
	require.NoError(t, err)
	records, err := k.Find(t.Context(), c, s.alice)
	require.NoError(t, err)
	i, err := s.trail.BeginAdmin(t.Context(), audit.Event{Workspace: workspace, InvocationID: uuid.NewString(), TaskID: task, UserID: s.alice})
	require.NoError(t, err)
	a, err := k.Attach(t.Context(), i, nil, b, records)
	if err != nil {
		return "", err
	}
	res, err := s.door.Do(t.Context(), egress.PoolKey{Credential: a.Pool}, c.Egress,
		&egress.Request{Method: "GET", Origin: c.Origin, Path: b.Path, Query: b.Query}, a.Attachment, egress.Limits{})
	require.NoError(t, err)
	text, err := res.Bytes()
	require.NoError(t, err)
	return string(text), nil
}

func TestAWSKeySigns(t *testing.T) {
	s := newAWS(t)
	c := s.connectorOf(t, "")
	s.put(t, c, "main", "", awsSecret+":canary-stored-session-token")
	text, err := s.call(t, s.Keeper, c, aTask, "a")
	require.NoError(t, err)
	assumed, calls := s.seen()
	require.Empty(t, assumed)
	require.Contains(t, calls[0].Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
	require.Equal(t, "canary-stored-session-token", calls[0].Header.Get("X-Amz-Security-Token"))
	require.NotContains(t, text, "canary")
	require.NotContains(t, text, "AKIDEXAMPLE")
	require.Regexp(t, `Signature=\[redacted\]`, text)
}

func TestAWSRefusesAtPut(t *testing.T) {
	s := newAWS(t)
	for name, secret := range map[string]string{"a bearer": "sk-canary-4f9Qz7Lm2XcVbN8s", "no secret": "AKIDEXAMPLE:", "a line break": awsSecret + "\n"} {
		for _, more := range []string{"", ", role: '" + awsRole + "'"} {
			_, err := s.Put(t.Context(), credential.Put{Connector: s.connectorOf(t, more), Slot: "main", Secret: vault.NewSecret([]byte(secret))})
			require.True(t, fault.Is(err, fault.ArgumentInvalid), name)
			require.ErrorContains(t, err, "ACCESS_KEY_ID:SECRET_ACCESS_KEY")
			requireSilent(t, err)
		}
	}
}

// A session is one task's, for what its calls act on; whatever differs buys another.
func TestAWSRoleIsAssumedOncePerTaskAndResource(t *testing.T) {
	s := newAWS(t)
	c := s.connectorOf(t, s.roleOf(t, true))
	s.put(t, c, "main", "", awsSecret)
	policy := func(id string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["dynamodb:GetItem"],"Resource":["arn:aws:dynamodb:eu-central-1:123456789012:table/` + id + `"]}]}`
	}
	hex := func(id string) string { return strings.ReplaceAll(id, "-", "") }
	for i, step := range []struct {
		task, id string
		asked    int // how often STS was asked by then
	}{{aTask, "a", 1}, {aTask, "a", 1}, {aTask, "b", 2}, {otherTask, "a", 3}, {aTask, "a", 3}, {otherTask, "a", 3}} {
		text, err := s.call(t, s.Keeper, c, step.task, step.id)
		require.NoError(t, err)
		require.NotContains(t, text, "canary")
		require.NotContains(t, text, "ASIACANARY")
		assumed, _ := s.seen()
		require.Len(t, assumed, step.asked, "step %d", i)
	}
	assumed, calls := s.seen()
	for i, want := range []struct{ task, id string }{{aTask, "a"}, {aTask, "b"}, {otherTask, "a"}} {
		require.Equal(t, url.Values{
			"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {awsRole}, "DurationSeconds": {"900"},
			"RoleSessionName": {hex(s.alice) + hex(want.task)}, "Policy": {policy(want.id)},
		}, assumed[i])
	}
	events, err := s.store.Audit().Events(t.Context(), audit.Filter{Workspace: workspace, Limit: 1000})
	require.NoError(t, err)
	tasks := map[string]int{}
	for _, e := range events {
		if e.Tool == "credential.token" && e.Kind == audit.AdminIntent {
			require.Equal(t, s.alice, e.UserID)
			tasks[e.TaskID]++
		}
	}
	require.Equal(t, map[string]int{aTask: 2, otherTask: 1}, tasks, "the trail says for which task a role was assumed")
	used := []string{"1", "1", "2", "3", "1", "3"}
	for i, r := range calls {
		require.Equal(t, "canary-session-token-"+used[i], r.Header.Get("X-Amz-Security-Token"), "call %d", i)
		require.Contains(t, r.Header.Get("Authorization"), "Credential=ASIACANARY"+used[i]+"/")
	}
}

// Without a session policy the role is not narrowed, but still one task's.
func TestAWSRoleWithoutPolicy(t *testing.T) {
	s := newAWS(t)
	c := s.connectorOf(t, s.roleOf(t, false))
	s.put(t, c, "main", "", awsSecret)
	for _, step := range []struct{ task, id string }{{aTask, "a"}, {aTask, "b"}, {otherTask, "a"}} {
		_, err := s.call(t, s.Keeper, c, step.task, step.id)
		require.NoError(t, err)
	}
	assumed, _ := s.seen()
	require.Len(t, assumed, 2)
	require.NotContains(t, assumed[0], "Policy")
}

// A session is bought anew shortly before it has run out.
func TestAWSRoleIsAssumedAgain(t *testing.T) {
	s := newAWS(t)
	c := s.connectorOf(t, s.roleOf(t, true))
	r := s.put(t, c, "main", "", awsSecret)
	require.Len(t, r.Origins, 2, "the upstream's and that of STS")
	for _, step := range []struct {
		later time.Duration
		asked int // how often STS was asked by then
	}{{0, 1}, {13 * time.Minute, 1}, {14 * time.Minute, 2}, {20 * time.Minute, 2}, {28 * time.Minute, 3}} {
		s.at(step.later)
		_, err := s.call(t, s.Keeper, c, aTask, "a")
		require.NoError(t, err)
		assumed, _ := s.seen()
		require.Len(t, assumed, step.asked, "after %s", step.later)
	}
}

func TestAWSRoleRefused(t *testing.T) {
	s := newAWS(t)
	c := s.connectorOf(t, s.roleOf(t, true))
	s.put(t, c, "main", "", awsSecret)
	for status, reason := range map[int]fault.Reason{403: fault.CredentialNeedsReconnect, 503: fault.UpstreamUnavailable} {
		s.mu.Lock()
		s.refuse = status
		s.mu.Unlock()
		_, err := s.call(t, s.keeper(), c, aTask, "a")
		require.True(t, fault.Is(err, reason), "%d: %v", status, err)
		requireSilent(t, err)
	}
	asked, calls := s.seen()
	require.Empty(t, calls)
	_, err := s.call(t, s.Keeper, c, aTask, "a?")
	require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
	_, err = s.call(t, s.Keeper, c, "", "a")
	require.True(t, fault.Is(err, fault.Internal), "no task: %v", err)
	assumed, _ := s.seen()
	require.Len(t, assumed, len(asked), "STS was not even asked")
}

// A key is bound to what it signs for: whoever edits the manifest cannot have it sign for
// another service or role, nor send it to an STS of their own.
func TestAWSDestinationIsFixed(t *testing.T) {
	s := newAWS(t)
	role := s.roleOf(t, true)
	c := s.connectorOf(t, role)
	s.put(t, c, "main", "", awsSecret)
	for name, changed := range map[string]*connector.Connector{
		"another STS":     s.connectorOf(t, strings.Replace(role, "/sts'", "/other'", 1)),
		"another role":    s.connectorOf(t, strings.Replace(role, "role/reports", "role/admin", 1)),
		"no role":         s.connectorOf(t, ""),
		"another region":  s.connectorOf(t, role, func(text string) string { return strings.Replace(text, "region: eu-central-1", "region: eu-west-1", 1) }),
		"another service": s.connectorOf(t, role, func(text string) string { return strings.Replace(text, "service: dynamodb", "service: kms", 1) }),
		"a bearer":        s.connector(t, slots("main: {owner: workspace, attach: bearer}")),
	} {
		_, err := s.Find(t.Context(), changed, s.alice)
		require.True(t, fault.Is(err, fault.CredentialMissing), "%s: %v", name, err)
	}
	narrower := s.connectorOf(t, strings.Replace(role, "dynamodb:GetItem", "dynamodb:Query", 1))
	_, err := s.Find(t.Context(), narrower, s.alice)
	require.NoError(t, err, "what a call may do there is the manifest's to say")
}
