package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/onedoor/onedoor/server/config"
)

// DevOptions say where `onedoord dev` keeps what it makes, and where it listens.
type DevOptions struct {
	// Dir holds everything: database, master key, sockets, configuration, secrets of
	// the demo upstreams. It is made with mode 0700.
	Dir string
	// Addresses override listeners by name (grpc, rest, public, ops); empty ones keep
	// the port of the last start, or take a free one.
	Addresses map[string]string
}

// Dev makes or reads a development broker in one folder and runs it until ctx ends:
// SQLite, an embedded SPIFFE authority and the demo upstreams with their connectors
// and credentials. It writes DIR/onedoord.yaml and DIR/env, and "ready" to out once
// everything can be called.
func Dev(ctx context.Context, o DevOptions, out io.Writer, log *slog.Logger) error {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	// Between choosing a free port and listening on it somebody else may take it.
	for range portTries - 1 {
		err := runDev(ctx, dir, o, out, log)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
		log.Warn("a port was taken meanwhile; choosing others", "error", err)
	}
	return runDev(ctx, dir, o, out, log)
}

// portTries is how often free ports are chosen.
const portTries = 3

func runDev(ctx context.Context, dir string, o DevOptions, out io.Writer, log *slog.Logger) error {
	path := filepath.Join(dir, "onedoord.yaml")
	if err := writeDevConfig(path, dir, o.Addresses); err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	c, err := config.Load(path)
	if err != nil {
		return err
	}
	a, err := Build(ctx, c, log)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var unseeded error
	err = a.Run(ctx, func(addresses map[string]string) {
		if err := a.openForBusiness(ctx, dir, addresses); err != nil {
			unseeded = fmt.Errorf("dev: %w", err)
			stop()
			return
		}
		_, _ = fmt.Fprintf(out, "Settings for your shell: source %s\nready\n", shellWord(filepath.Join(dir, "env")))
	})
	if err == nil {
		err = unseeded
	}
	return err
}

// openForBusiness applies the demo connectors, puts their credentials, and says where
// everything is.
func (a *App) openForBusiness(ctx context.Context, dir string, addresses map[string]string) error {
	if err := a.seed(ctx, addresses["grpc"]); err != nil {
		return err
	}
	bundle := filepath.Join(dir, "bundle.pem")
	if err := writeFile(bundle, a.parts.authority.BundlePEM()); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, "env"), []byte(a.environment(addresses, bundle)))
}

// writeFile replaces a file as a whole, readable by its owner alone.
func writeFile(path string, text []byte) error {
	next, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(next.Name())
	_, err = next.Write(text)
	if cerr := next.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(next.Name(), path)
}
