package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/onedoor/onedoor/client/internal/brokertest"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

func TestMain(m *testing.M) {
	time.Local = time.FixedZone("CET", 3600) // golden tables show local times
	os.Exit(m.Run())
}

// stage sets the environment for a broker with a Workload API.
func stage(t *testing.T, broker *brokertest.Broker) *brokertest.WorkloadAPI {
	t.Helper()
	authority, err := brokertest.Start(broker)
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	source, err := authority.NewSource("/operator")
	require.NoError(t, err)
	api, err := brokertest.ServeWorkloadAPI(t.TempDir(), source, 0)
	require.NoError(t, err)
	t.Cleanup(api.Close)
	t.Setenv("ONEDOOR_ADDR", broker.Addr)
	t.Setenv("ONEDOOR_BROKER_ID", "spiffe://test.example/broker")
	t.Setenv("SPIFFE_ENDPOINT_SOCKET", api.Addr)
	t.Setenv("ONEDOOR_TASK_KEY", "od1t_key")
	return api
}

// onedoor runs one command line.
func onedoor(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &errOut)
	return code, out.String(), errOut.String()
}

var (
	noon = timestamppb.New(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	task = &onedoorv1.Task{
		Id: "t1", Workspace: "default", Agent: "mailer", UserSubject: "alice", Sandbox: "spiffe://test.example/sandbox/1",
		State: onedoorv1.TaskState_TASK_STATE_ACTIVE, CreatedAt: noon, ExpiresAt: noon, KeyId: "k1",
		Grants: []*onedoorv1.Grant{{
			Connector: "crm", Revision: 3, Tools: []string{"contacts.get"}, MaxSeverity: onedoorv1.Severity_SEVERITY_READ,
			Resources: []string{"contact:*"}, Limits: &onedoorv1.Limits{Calls: 10, MicroUsd: 1500000},
		}},
	}
	connector  = &onedoorv1.Connector{Name: "crm", Revision: 3, Kind: "http", Tools: []string{"a", "b"}, Origins: []string{"https://crm.example"}, AppliedAt: noon}
	credential = &onedoorv1.Credential{Id: "c1", Connector: "crm", Slot: "main", UserId: "u1", UserSubject: "alice", Kind: "bearer", Version: 2, CreatedAt: noon, State: onedoorv1.CredentialState_CREDENTIAL_STATE_CONNECTED}
	event      = &onedoorv1.AuditEvent{Time: noon, Kind: "REFUSAL", SpiffeId: "spiffe://test.example/s", Agent: "mailer", Connector: "crm",
		Tool: "contacts.get\x1b[2J", Resources: []string{"contact:1"}, Decision: "REFUSED", Reason: "GRANT_MISSING", Count: 3, TaskId: "t1"}
	key = &onedoorv1.Key{Id: "k1", Purpose: onedoorv1.KeyPurpose_KEY_PURPOSE_KEK, State: onedoorv1.KeyState_KEY_STATE_PENDING, CreatedAt: noon}
)
