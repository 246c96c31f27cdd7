package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/server/store/sqlstore"
)

// Serve runs a broker from its configuration file until ctx ends. It writes "ready" to
// out once every listener accepts.
func Serve(ctx context.Context, path string, out, errOut io.Writer) error {
	c, err := config.Load(path)
	if err != nil {
		return err
	}
	a, err := Build(ctx, c, Logger(errOut, c.Log))
	if err != nil {
		return err
	}
	return a.Run(ctx, func(map[string]string) { _, _ = fmt.Fprintln(out, "ready") })
}

// Migrate brings the store of a configuration to the version that this binary needs.
func Migrate(ctx context.Context, path string, out io.Writer) error {
	if err := checkGODEBUG(); err != nil {
		return err
	}
	c, err := config.Load(path)
	if err != nil {
		return err
	}
	url, err := c.StoreURL()
	if err != nil {
		return err
	}
	s, err := sqlstore.Open(ctx, url, storeOptions(c))
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	err = s.Migrate(ctx)
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	_, err = fmt.Fprintf(out, "%s is at the version that this binary needs\n", s.Version())
	return err
}

// CheckConfig reads a configuration and says whether it can be used.
func CheckConfig(path string, out io.Writer) error {
	if _, err := config.Load(path); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%s is valid\n", path)
	return err
}

// Logger makes the logger that the configuration asks for.
func Logger(w io.Writer, c config.Log) *slog.Logger {
	var level slog.Level
	if level.UnmarshalText([]byte(c.Level)) != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

// storeOptions: in production, nobody may stand between a broker and its database.
func storeOptions(c *config.Config) sqlstore.Options {
	return sqlstore.Options{Verified: c.Environment == config.Production}
}
