// Command onedoord is the broker.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/onedoor/onedoor/server/app"
	"github.com/onedoor/onedoor/server/config"
)

type commands struct {
	Serve struct {
		Config string `required:"" placeholder:"FILE" help:"The configuration file (docs/operations.md)."`
	} `cmd:"" help:"Run the broker."`
	Dev struct {
		Dir    string `required:"" placeholder:"DIR" help:"Folder for everything that it makes; a second start goes on with it."`
		GRPC   string `name:"grpc-address" placeholder:"HOST:PORT" help:"Where to serve gRPC; default: a free loopback port, kept over starts."`
		REST   string `name:"rest-address" placeholder:"HOST:PORT" help:"Where to serve REST over mutual TLS."`
		Public string `name:"public-address" placeholder:"HOST:PORT" help:"Where to serve health, the API description, and the pages by which users connect accounts."`
		Ops    string `name:"ops-address" placeholder:"HOST:PORT" help:"Where to serve metrics and pprof; loopback only."`
	} `cmd:"" help:"Run a development broker with everything in one folder: SQLite, a SPIFFE authority, demo upstreams."`
	Migrate struct {
		Config string `required:"" placeholder:"FILE" help:"The configuration file."`
	} `cmd:"" help:"Bring the database to the version that this binary needs."`
	CheckConfig struct {
		File string `arg:"" help:"The configuration file."`
	} `cmd:"" help:"Say what is wrong with a configuration, all of it at once."`
	Version struct{} `cmd:"" help:"Print the version."`
}

func main() {
	var c commands
	parsed := kong.Parse(&c, kong.Name("onedoord"), kong.Description("Onedoor, a credential broker for AI-agent sandboxes."), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, parsed.Command(), &c); err != nil {
		fmt.Fprintln(os.Stderr, "onedoord:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to undo
	}
}

func run(ctx context.Context, command string, c *commands) error {
	switch command {
	case "serve":
		return app.Serve(ctx, c.Serve.Config, os.Stdout, os.Stderr)
	case "dev":
		o := app.DevOptions{Dir: c.Dev.Dir, Addresses: map[string]string{
			"grpc": c.Dev.GRPC, "rest": c.Dev.REST, "public": c.Dev.Public, "ops": c.Dev.Ops,
		}}
		return app.Dev(ctx, o, os.Stdout, app.Logger(os.Stderr, config.Log{Level: "info", Format: "text"}))
	case "migrate":
		return app.Migrate(ctx, c.Migrate.Config, os.Stdout)
	case "check-config <file>":
		return app.CheckConfig(c.CheckConfig.File, os.Stdout)
	}
	info, _ := debug.ReadBuildInfo()
	fmt.Println("onedoord", info.Main.Version, info.GoVersion)
	return nil
}
