package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sample is what one round of one target gave.
type sample struct {
	perSecond float64
	p50, p99  time.Duration
	cpu       time.Duration // of the server, a call
}

// target is something to load: call makes one call of caller i.
type target struct {
	name string
	pid  int // of the server; 0 for none
	call func(ctx context.Context, i int) error
}

// closedLoop lets every caller call again as soon as its answer is there.
func closedLoop(ctx context.Context, t target, callers int, length time.Duration) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	times := make([][]time.Duration, callers)
	failures := make(chan error, callers)
	before, err := cpuOf(t.pid)
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for ctx.Err() == nil {
				start := time.Now()
				err := t.call(context.WithoutCancel(ctx), i)
				if err != nil {
					failures <- err
					return
				}
				times[i] = append(times[i], time.Since(start))
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	after, err := cpuOf(t.pid)
	if err != nil {
		return sample{}, err
	}
	select {
	case err := <-failures:
		return sample{}, fmt.Errorf("%s: %w", t.name, err)
	default:
	}
	every := slices.Concat(times...)
	slices.Sort(every)
	n := len(every)
	return sample{
		perSecond: float64(n) / took.Seconds(), p50: every[n/2], p99: every[n*99/100], cpu: (after - before) / time.Duration(n),
	}, nil
}

// cpuOf is the CPU time that a process has used, from /proc (100 ticks a second).
func cpuOf(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The command's name may hold spaces: the fields are counted behind it.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	if err != nil {
		return 0, err
	}
	return time.Duration(user+system) * 10 * time.Millisecond, nil
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
