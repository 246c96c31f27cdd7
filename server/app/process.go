package app

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/onedoor/onedoor/server/vault/harden"
)

// ownProcess sets up a process that is the broker's alone. It closes the ways out that are
// none of the broker's own: its memory, its libraries' log, and a switch in its
// environment. It comes first of all.
func (a *App) ownProcess(context.Context) error {
	tuneMemory(int64(a.config.Limits.HeldBytes))
	log.SetFlags(0)
	log.SetOutput(libraries{a.log})
	if err := checkGODEBUG(); err != nil {
		return err
	}
	if err := harden.Harden(); err != nil {
		return fmt.Errorf("harden the process: %w", err)
	}
	return nil
}

// harmless are the settings of GODEBUG that concern memory and the scheduler alone, and
// those that ask for FIPS 140-3, which only takes algorithms away.
func harmless(name, value string) bool {
	if name == "fips140" {
		return value == "on" || value == "only"
	}
	return strings.HasPrefix(name, "cpu.") || slices.Contains([]string{
		"containermaxprocs", "disablethp", "gcpacertrace", "gctrace", "inittrace", "madvdontneed",
		"scavtrace", "scheddetail", "schedtrace", "updatemaxprocs",
	}, name)
}

// checkGODEBUG refuses what an environment may set in the Go runtime, but for what does
// no harm: other settings bring old TLS versions, SHA-1 and short RSA keys back, relax how
// HTTP is read, or print every header.
func checkGODEBUG() error {
	for setting := range strings.SplitSeq(os.Getenv("GODEBUG"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(setting), "=")
		if name != "" && !harmless(name, value) {
			return fmt.Errorf("GODEBUG in the environment sets %q: it may weaken TLS or print secrets; take it out", name)
		}
	}
	return nil
}

// libraries is where libraries write to the log package: net/http quotes there what an
// upstream sent unasked, and with it whatever that gives back. None of it is passed on
// but that there was something.
type libraries struct{ log *slog.Logger }

// Write logs a fixed sentence in place of the message.
func (l libraries) Write(message []byte) (int, error) {
	text := "a library's message is withheld, since it may quote an upstream"
	if strings.HasPrefix(string(message), "Unsolicited response") {
		text = "an upstream sent what nobody had asked for; the connection is closed"
	}
	l.log.Warn(text, "bytes", len(message))
	return len(message), nil
}
