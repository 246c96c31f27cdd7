// Command bench compares the broker with what the same machine could reach without it:
// direct (the caller holds the credential itself) and floor (a gRPC server with the
// same mutual TLS whose only method forwards over pooled HTTPS with one static header).
// Rounds are interleaved, and what it prints are medians of ratios within one run;
// absolute figures mean nothing on a shared machine.
//
//	go build -o bin/ ./server/cmd/onedoord && go run ./tests/bench -onedoord bin/onedoord
//
// It runs every server as a process of its own, on loopback, for a bounded time.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"
)

type options struct {
	onedoord string
	callers  int
	rounds   int
	round    time.Duration
	store    string
	profile  string
	// scrubbing compares the broker with itself: a credential and none.
	scrubbing bool
}

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "upstream":
			exit(serveUpstream())
		case "floor":
			exit(serveFloor(os.Args[2:]))
		}
	}
	var o options
	flag.StringVar(&o.onedoord, "onedoord", "bin/onedoord", "the broker's binary")
	flag.IntVar(&o.callers, "callers", 64, "callers at once, each with a connection of its own")
	flag.IntVar(&o.rounds, "rounds", 5, "interleaved rounds")
	flag.DurationVar(&o.round, "round", 3*time.Second, "length of one round of one target")
	flag.StringVar(&o.store, "store", "", "store URL; default SQLite in a temporary folder")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of the broker to this file")
	flag.BoolVar(&o.scrubbing, "scrubbing", false, "compare a connector that attaches a credential with one that does not, and nothing else")
	flag.Parse()
	exit(run(context.Background(), o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
