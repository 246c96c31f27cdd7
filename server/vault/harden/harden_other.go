//go:build !linux

package harden

import (
	"errors"
	"fmt"
	"runtime"
)

// Harden is not supported here and says so.
func Harden() error {
	return fmt.Errorf("harden on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
