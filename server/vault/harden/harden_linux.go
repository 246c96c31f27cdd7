package harden

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Harden makes the process undumpable and sets its limit for core files to zero, so
// that neither a crash nor another process of the same user gets at its memory. As a
// consequence the files under /proc/self belong to root. Root can still read all of
// it. Call it once, before the first key is loaded.
func Harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("make process undumpable: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("set core file limit to zero: %w", err)
	}
	return nil
}
