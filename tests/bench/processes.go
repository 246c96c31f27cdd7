package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// process is a server that was started here.
type process struct {
	cmd   *exec.Cmd
	lines []string // what it printed before "ready"
}

// start runs a command until it prints "ready".
func start(name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...)}
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "ready" {
			return p, nil
		}
		p.lines = append(p.lines, lines.Text())
	}
	p.stop()
	return nil, fmt.Errorf("%s ended before it was ready", name)
}

// stop ends the process, gently at first.
func (p *process) stop() {
	if p == nil || p.cmd.Process == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
	}
}

// startUpstream returns the upstream, its origin, and its CA in a file.
func startUpstream(caFile string) (*process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	p, err := start(self, "upstream")
	if err != nil {
		return nil, "", err
	}
	if len(p.lines) < 2 {
		return p, "", errors.New("the upstream did not say where it is")
	}
	err = os.WriteFile(caFile, []byte(strings.Join(p.lines[1:], "\n")+"\n"), 0o600)
	return p, "https://localhost:" + p.lines[0], err
}
