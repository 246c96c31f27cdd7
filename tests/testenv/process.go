package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience bounds every wait for something that will come: generous, since it is
// only ever used up by what is broken.
const patience = 60 * time.Second

// Process is a running program of ours.
type Process struct {
	cmd    *exec.Cmd
	output output
	ended  chan struct{}
	err    error // how it ended; to be read after ended
}

// output collects what a process writes.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.text.Write(p)
}

func (o *output) now() (text string, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.changed
}

// start runs a program and returns when it has printed "ready".
func start(program string, args ...string) (*Process, error) {
	return startAs(nil, nil, program, args...)
}

// startAs starts it with more in its environment, and as another user unless that is nil.
func startAs(user *syscall.Credential, env []string, program string, args ...string) (*Process, error) {
	p := &Process{cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.output.changed = make(chan struct{})
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	// Nothing of the tests' own surroundings: what a program needs it is told.
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir()}, env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	late := time.After(patience)
	for {
		text, changed := p.output.now()
		if strings.Contains("\n"+text, "\nready\n") {
			return p, nil
		}
		select {
		case <-changed:
		case <-p.ended:
			return nil, errors.Join(fmt.Errorf("%s %s ended before it was ready\n%s", program, strings.Join(args, " "), p.Log()), p.err)
		case <-late:
			return nil, errors.Join(fmt.Errorf("%s is not ready\n%s", program, p.Log()), p.Kill())
		}
	}
}

// Log gives all that the process has written so far, to both outputs.
func (p *Process) Log() string {
	text, _ := p.output.now()
	return text
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Wait gives the exit status of a process that was told to end.
func (p *Process) Wait() error {
	select {
	case <-p.ended:
		return p.err
	case <-time.After(patience):
		return errors.Join(errors.New("the process does not end"), p.cmd.Process.Kill())
	}
}

// Stop asks the process to end, and gives an error unless it ends with status 0.
func (p *Process) Stop() error {
	select {
	case <-p.ended:
		return nil // the test has ended it already, and looked at how
	default:
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := p.Wait(); err != nil {
		return fmt.Errorf("after SIGTERM: %w\n%s", err, p.Log())
	}
	return nil
}

// Kill ends the process at once, as a power cut would.
func (p *Process) Kill() error {
	err := p.cmd.Process.Kill()
	<-p.ended
	return err
}
