// Command onedoor is the command line of Onedoor, for operators, orchestrators and
// sandboxes. It speaks to a broker over gRPC with the SVID of the process; see
// `onedoor --help`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
