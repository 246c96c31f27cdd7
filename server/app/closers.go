package app

import (
	"context"
	"log/slog"
	"time"
)

// closeTimeout bounds how long each part may take to close.
const closeTimeout = 10 * time.Second

// closers close in the opposite order in which they were added.
type closers []struct {
	name  string
	close func(context.Context) error
}

func (c *closers) add(name string, f func(context.Context) error) {
	*c = append(*c, struct {
		name  string
		close func(context.Context) error
	}{name, f})
}

func (c *closers) close(log *slog.Logger) {
	for i := len(*c) - 1; i >= 0; i-- {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		if err := (*c)[i].close(ctx); err != nil {
			log.Error("closing failed", "part", (*c)[i].name, "error", err)
		}
		cancel()
	}
	*c = nil
}
