package app

import (
	"io"
	"log/slog"
)

// CheckGODEBUG judges this process's own environment.
func CheckGODEBUG() error { return checkGODEBUG() }

// Libraries is where the log package writes.
func Libraries(log *slog.Logger) io.Writer { return libraries{log} }
