package attack_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// methods are all RPCs of the API.
func methods() (all []protoreflect.MethodDescriptor) {
	for _, file := range []protoreflect.FileDescriptor{
		onedoorv1.File_onedoor_v1_audit_proto, onedoorv1.File_onedoor_v1_broker_proto, onedoorv1.File_onedoor_v1_connector_proto,
		onedoorv1.File_onedoor_v1_credential_proto, onedoorv1.File_onedoor_v1_keys_proto, onedoorv1.File_onedoor_v1_task_proto, onedoorv1.File_onedoor_v1_usage_proto,
	} {
		for i := range file.Services().Len() {
			for j := range file.Services().Get(i).Methods().Len() {
				all = append(all, file.Services().Get(i).Methods().Get(j))
			}
		}
	}
	return all
}

// TestAttack17_NoAnswerHasRoomForASecret: of all fields of all answers, these alone bear
// something secret, or bytes in which it could hide; a new one must be thought about here.
func TestAttack17_NoAnswerHasRoomForASecret(t *testing.T) {
	secret, odd, opaque := map[string]bool{}, map[string]bool{}, map[string]bool{}
	suspicious := regexp.MustCompile(`secret|passw|token|private|cipher|wrapped|dek|kek|pepper|cookie|authorization|sealed`)
	seen := map[protoreflect.FullName]bool{}
	var walk func(m protoreflect.MessageDescriptor)
	walk = func(m protoreflect.MessageDescriptor) {
		if seen[m.FullName()] {
			return
		}
		seen[m.FullName()] = true
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			name := string(f.FullName().Parent().Name()) + "." + string(f.Name())
			if options, ok := f.Options().(*descriptorpb.FieldOptions); ok && options.GetDebugRedact() {
				secret[name] = true
			}
			if f.Kind() == protoreflect.BytesKind {
				opaque[name] = true
			}
			if suspicious.MatchString(string(f.Name())) && f.Kind() != protoreflect.Int64Kind {
				odd[name] = true
			}
			if f.Message() != nil {
				walk(f.Message())
			}
		}
	}
	for _, m := range methods() {
		walk(m.Output())
	}
	require.Greater(t, len(seen), 30)
	keys := func(names ...string) map[string]bool {
		all := map[string]bool{}
		for _, n := range names {
			all[n] = true
		}
		return all
	}
	require.Equal(t, keys("TasksCreateResponse.task_key", "DelegateTaskResponse.task_key", "CredentialsConnectResponse.link"), secret)
	require.Equal(t, keys("TasksListResponse.next_page_token", "AuditListResponse.next_page_token"), odd)
	require.Equal(t, keys("AuditEvent.hash", "AuditEvent.prev_hash", "InvokeResponse.body", "InvokeStreamResponse.data", "RelayResponse.data"), opaque)
}

// TestAttack17_SandboxesSeeNothing: with the key of its task or without, a sandbox is
// refused every RPC that is not a sandbox's, over gRPC and over REST, whatever it asks;
// and nothing that it may ask lists a credential.
func TestAttack17_SandboxesSeeNothing(t *testing.T) {
	b, _ := target(t, echoPath, func(c *config.Config) { c.Limits.FailureBurst = 10_000 })
	task := b.Mint(t, nil, readThings)
	conf := b.TLS(t, testenv.Sandbox)
	conf.ServerName = "localhost"
	conn, err := grpc.NewClient(b.Addr, grpc.WithTransportCredentials(credentials.NewTLS(conf)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	refused := 0
	for _, m := range methods() {
		if m.Parent().Name() == "Broker" {
			continue
		}
		for name, key := range map[string]string{"with a key": task.Key, "without": ""} {
			t.Run(string(m.FullName())+" "+name, func(t *testing.T) {
				ctx := t.Context()
				if key != "" {
					ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
				}
				for _, workspace := range []string{"", "default", "other"} {
					request := dynamicpb.NewMessage(m.Input())
					if f := m.Input().Fields().ByName("workspace"); f != nil {
						request.Set(f, protoreflect.ValueOfString(workspace))
					}
					err := conn.Invoke(ctx, "/"+string(m.Parent().FullName())+"/"+string(m.Name()), request, dynamicpb.NewMessage(m.Output()))
					require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
				}
				refused++
				method, path := route(t, m)
				answer := b.REST(t, testenv.Sandbox, key).Do(t, method, path, map[bool]string{true: "{}"}[method == http.MethodPost])
				require.Equal(t, http.StatusForbidden, answer.Status, "%s %s: %s", method, path, answer.Body)
			})
		}
	}
	require.GreaterOrEqual(t, refused, 2*16)

	c := b.Client(t, testenv.Sandbox, task.Key)
	tools, err := c.Broker().ListTools(t.Context(), &onedoorv1.ListToolsRequest{})
	require.NoError(t, err)
	itself, err := c.Broker().GetTask(t.Context(), &onedoorv1.GetTaskRequest{})
	require.NoError(t, err)
	explained, err := c.Broker().Explain(t.Context(), &onedoorv1.ExplainRequest{Connector: "things", Tool: "things.get", ArgumentsJson: []byte(`{"id":"1"}`)})
	require.NoError(t, err)
	for _, m := range []proto.Message{tools, itself, explained} {
		require.NotRegexp(t, `(?i)credential|bearer|slot|canary`, m)
	}
}

// route is where the REST API has an RPC.
func route(t *testing.T, m protoreflect.MethodDescriptor) (method, path string) {
	t.Helper()
	rule, ok := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	require.True(t, ok)
	for method, path := range map[string]string{http.MethodGet: rule.GetGet(), http.MethodPost: rule.GetPost(), http.MethodDelete: rule.GetDelete()} {
		if path != "" {
			return method, regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(path, "0190a1b2-0000-7000-8000-000000000000")
		}
	}
	t.Fatalf("%s has no route", strings.TrimPrefix(string(m.FullName()), "onedoor.v1."))
	return "", ""
}
