package app

import (
	"os"
	"runtime/debug"
)

const (
	gcPercent   = 400
	memoryLimit = 512 << 20
)

// tuneMemory lets a small heap grow further before it is collected: a broker holds
// little and allocates much, call by call. Near the limit the collector works as hard
// as it must, so it lies at twice of what calls may hold. GOGC and GOMEMLIMIT, where they
// are set, have the last word.
func tuneMemory(held int64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(max(memoryLimit, 2*held))
	}
}
