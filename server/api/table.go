package api

import (
	"time"

	"github.com/onedoor/onedoor/server/authn"
)

// rule says who may call an RPC and how it is run.
type rule struct {
	// sandbox: a workload with the key of its own task.
	sandbox bool
	// roles: a workload that has one of these in the workspace it names.
	roles []authn.Role
	// anyWorkload: every workload with a trusted SVID.
	anyWorkload bool
	// acts: an administrative act; it is recorded before it takes effect.
	acts bool
	// deadline bounds the RPC; 0 leaves it to the tool and the client.
	deadline time.Duration
}

const adminDeadline = 30 * time.Second

// table names every RPC. What is not in it is refused.
func table() map[string]rule {
	operator := []authn.Role{authn.OperatorRole}
	orchestrator := []authn.Role{authn.OrchestratorRole}
	// The wider role first: an ID that has both sees what an operator sees.
	either := []authn.Role{authn.OperatorRole, authn.OrchestratorRole}
	read := func(roles []authn.Role) rule { return rule{roles: roles, deadline: adminDeadline} }
	act := func(roles []authn.Role) rule { return rule{roles: roles, acts: true, deadline: adminDeadline} }
	return map[string]rule{
		"/onedoor.v1.Broker/Invoke":           {sandbox: true},
		"/onedoor.v1.Broker/InvokeStream":     {sandbox: true},
		"/onedoor.v1.Broker/Relay":            {sandbox: true},
		"/onedoor.v1.Broker/ListTools":        {sandbox: true, deadline: adminDeadline},
		"/onedoor.v1.Broker/Explain":          {sandbox: true, deadline: adminDeadline},
		"/onedoor.v1.Broker/GetTask":          {sandbox: true, deadline: adminDeadline},
		"/onedoor.v1.Broker/DelegateTask":     {sandbox: true, acts: true, deadline: adminDeadline},
		"/onedoor.v1.Broker/EndDelegatedTask": {sandbox: true, acts: true, deadline: adminDeadline},

		"/onedoor.v1.Tasks/Create": act(orchestrator),
		"/onedoor.v1.Tasks/Get":    read(either),
		"/onedoor.v1.Tasks/List":   read(either),
		"/onedoor.v1.Tasks/Revoke": act(either),

		"/onedoor.v1.Connectors/Apply":  act(operator),
		"/onedoor.v1.Connectors/Import": read(operator),
		"/onedoor.v1.Connectors/Get":    read(operator),
		"/onedoor.v1.Connectors/List":   read(operator),
		"/onedoor.v1.Connectors/Delete": act(operator),

		"/onedoor.v1.Credentials/Put":     act(operator),
		"/onedoor.v1.Credentials/List":    read(operator),
		"/onedoor.v1.Credentials/Connect": act(operator),
		"/onedoor.v1.Credentials/Delete":  act(operator),

		"/onedoor.v1.Audit/List": read(operator),

		"/onedoor.v1.Usage/Summarize": read(operator),

		"/onedoor.v1.Keys/List":   read(operator),
		"/onedoor.v1.Keys/Rotate": act(operator),

		"/grpc.health.v1.Health/Check": {anyWorkload: true, deadline: adminDeadline},
		"/grpc.health.v1.Health/List":  {anyWorkload: true, deadline: adminDeadline},
		"/grpc.health.v1.Health/Watch": {anyWorkload: true},

		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":      {roles: operator},
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": {roles: operator},
	}
}
