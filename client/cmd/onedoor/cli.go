package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/client/sidecar"
)

// adminTimeout bounds every command that calls no upstream; those take the broker's
// time limits.
const adminTimeout = 30 * time.Second

// cli is the grammar of the command line.
type cli struct {
	Output    string `short:"o" enum:"table,json" default:"table" help:"Output: table for people, json for scripts (the answer as protobuf JSON)."`
	Workspace string `name:"workspace-name" placeholder:"W" help:"Which workspace, where your SPIFFE ID belongs to several."`

	Connector  connectorCmd  `cmd:"" help:"Describe upstreams (operators)."`
	Credential credentialCmd `cmd:"" help:"Store upstream credentials (operators)."`
	Task       taskCmd       `cmd:"" help:"Mint and end tasks (orchestrators; operators may look and revoke)."`
	Invoke     invokeCmd     `cmd:"" help:"Call a tool (sandboxes)."`
	Tools      toolsCmd      `cmd:"" help:"List the tools that the task may call (sandboxes)."`
	Explain    explainCmd    `cmd:"" help:"Say whether a call would be allowed, and why not (sandboxes)."`
	Audit      auditCmd      `cmd:"" help:"Read the audit trail (operators)."`
	Usage      usageCmd      `cmd:"" help:"Sum what model APIs were used for (operators)."`
	Keys       keysCmd       `cmd:"" help:"See and rotate the broker's keys (operators)."`
	Sidecar    sidecarCmd    `cmd:"" help:"Serve the API in clear text on loopback, for programs without SPIFFE (sandboxes)."`
	Svid       svidCmd       `cmd:"" help:"Write this process's SVID to files, for curl and other tools."`
	Completion completionCmd `cmd:"" help:"Print a script that completes commands in bash, zsh or fish."`
	Complete   completeCmd   `cmd:"" name:"__complete" hidden:""`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// Help is shown below the usage of `onedoor --help`.
func (cli) Help() string {
	return `Which broker, and as whom, comes from the environment:

  ONEDOOR_ADDR             the broker's gRPC address, host:port
  ONEDOOR_BROKER_ID        the broker's exact SPIFFE ID; nobody else is spoken to
  SPIFFE_ENDPOINT_SOCKET   the Workload API that gives this process its SVID
  ONEDOOR_TASK_KEY         the key of the task; in sandboxes only
  ONEDOOR_REST_URL         the broker's REST listener, https://HOST:PORT; for the sidecar alone

The broker's development mode writes files that set them: source DIR/env

Examples:

  onedoor connector apply -f crm.yaml
  onedoor credential put crm --user alice --from-file alice.token
  onedoor task create --agent mailer --user alice --ttl 15m \
      --sandbox spiffe://example.org/sandbox/1 \
      --grant 'crm: contacts.* READ contact:*'
  onedoor invoke crm contacts.get --arg id=42
  onedoor -o json audit list --limit 10
  onedoor sidecar --listen 127.0.0.1:8650
  source <(onedoor completion bash)

Exit codes:

` + exitHelp
}

// printHelp is kong's help, with what holds for every command below that of one.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	node := ctx.Selected()
	if node == nil || len(node.Children) > 0 {
		return nil
	}
	_, err := io.WriteString(ctx.Stdout, "\nEnvironment: "+environment(node.FullPath())+"\n"+
		"Exit codes: 0 done, 1 failure, 2 wrong usage, 3 refused, 4 invalid, 5 state, 6 unavailable, 7 outcome unknown; \"onedoor --help\" has the details.\n")
	return err
}

// environment names the variables that a command reads.
func environment(command string) string {
	const broker = client.EnvAddr + ", " + client.EnvBrokerID + ", " + client.EnvWorkloadSocket
	switch strings.TrimPrefix(command, "onedoor ") {
	case "version", "completion":
		return "none"
	case "svid":
		return client.EnvWorkloadSocket
	case "sidecar":
		return sidecar.EnvREST + ", " + client.EnvBrokerID + ", " + client.EnvWorkloadSocket
	case "invoke", "tools", "explain", "task get", "task delegate":
		return broker + ", " + client.EnvTaskKey
	}
	return broker
}

// session is what a command gets: its surroundings and the global flags.
type session struct {
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer
	json           bool
	workspace      string
}

// run parses args, runs one command and gives the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	s := &session{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr}
	var grammar cli
	helped := false
	parser, err := kong.New(&grammar,
		kong.Name("onedoor"),
		kong.Description("Calls a Onedoor broker: credentials for AI agents, without the agents having them."),
		kong.Writers(stdout, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Help(printHelp),
		// Kong ends the process after --help; here it only notes that it was asked for.
		kong.Exit(func(int) { helped = true }),
	)
	if err != nil {
		return s.fail(err)
	}
	command, err := parser.Parse(args)
	if helped {
		return exitOK
	}
	if err != nil {
		return s.fail(usageError{misuse(err)})
	}
	s.json, s.workspace = grammar.Output == "json", grammar.Workspace
	return s.fail(command.Run(s, parser))
}

// misuse is what a person reads who used a command wrongly. Kong repeats an argument too
// many, which behind `credential put` may be the secret itself.
func misuse(err error) string {
	var parsing *kong.ParseError
	if errors.As(err, &parsing) && strings.HasPrefix(parsing.Context.Command(), "credential put") && strings.HasPrefix(err.Error(), "unexpected argument") {
		return "an argument too many; a secret comes in a file or on standard input (--from-file), and --workspace takes no value: --workspace-name=NAME chooses one"
	}
	return err.Error()
}

// callAsTask is call for the command of a sandbox, which calls nobody without the key of its
// task. Where not even the broker is named, call says so.
func (s *session) callAsTask(command string, timeout time.Duration, f func(context.Context, *client.Client) error) error {
	if env := client.FromEnv(); env.TaskKey == "" && env.Addr != "" {
		return usageError{command + " wants " + client.EnvTaskKey + ", the key of the task: it is shown when an orchestrator mints one, onedoor task create"}
	}
	return s.call(timeout, f)
}

// call runs f with a client of the broker that the environment names. A timeout of 0
// leaves the time limits to the broker.
func (s *session) call(timeout time.Duration, f func(context.Context, *client.Client) error) error {
	ctx := s.ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	c, err := client.Dial(ctx, client.FromEnv())
	if err != nil {
		return err
	}
	defer c.Close()
	return f(ctx, c)
}
