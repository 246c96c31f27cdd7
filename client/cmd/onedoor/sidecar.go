package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/client/sidecar"
)

type sidecarCmd struct {
	Listen      string        `required:"" placeholder:"ADDR" help:"Where programs reach it: 127.0.0.1:PORT (0 takes a free one), or unix:PATH."`
	REST        string        `name:"rest" env:"ONEDOOR_REST_URL" placeholder:"URL" help:"The broker's REST listener, https://HOST:PORT."`
	SocketGroup string        `placeholder:"GROUP" help:"This group may use the unix socket too; its owner alone unless given."`
	AllowOrigin []string      `sep:"none" placeholder:"ORIGIN" help:"Let web pages of this origin call, beside those of loopback; may be repeated."`
	Drain       time.Duration `default:"30s" placeholder:"30s" help:"How long running calls may go on after SIGTERM."`
}

func (sidecarCmd) Help() string {
	return `Serves what a task may call of the broker (of /v1/, /c/CONNECTOR/…, /mcp) in clear text, on loopback or a unix
socket alone, to programs in this sandbox that speak neither SPIFFE nor mutual TLS. It holds the SVID and follows
its rotation. It holds no task key and adds none: programs send ONEDOOR_TASK_KEY themselves, as Authorization:
Bearer, or where their SDK puts the provider's key. Listens at once, and answers 503 until there is an identity.
/healthz says that it runs, /readyz that a call would reach the broker.

Needs ONEDOOR_REST_URL, ONEDOOR_BROKER_ID and SPIFFE_ENDPOINT_SOCKET. Prints where it listens and "ready", and
logs on stderr. Whoever can connect to it speaks with this workload's SVID: see docs/sidecar.md.

  onedoor sidecar --listen 127.0.0.1:8650
  curl http://127.0.0.1:8650/v1/tools -H "Authorization: Bearer $ONEDOOR_TASK_KEY"
  OPENAI_BASE_URL=http://127.0.0.1:8650/c/openai/v1 OPENAI_API_KEY=$ONEDOOR_TASK_KEY python agent.py

  onedoor sidecar --listen unix:/run/onedoor/api.sock --socket-group agents
  curl --unix-socket /run/onedoor/api.sock http://localhost/v1/tools -H "Authorization: Bearer $ONEDOOR_TASK_KEY"`
}

// Run implements the command.
func (c *sidecarCmd) Run(s *session) error {
	env := client.FromEnv()
	return sidecar.Run(s.ctx, sidecar.Options{
		Listen: c.Listen, Group: c.SocketGroup, REST: c.REST, BrokerID: env.BrokerID, WorkloadSocket: env.WorkloadSocket,
		AllowOrigins: c.AllowOrigin, Drain: c.Drain, Log: slog.New(slog.NewJSONHandler(s.stderr, nil)),
	}, func(address string) { fmt.Fprintf(s.stdout, "Listening at %s\nready\n", address) })
}
