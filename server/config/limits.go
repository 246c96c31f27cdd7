package config

import (
	"fmt"
	"math"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Limits keep the broker for everybody; each has a default. All count by each broker.
type Limits struct {
	// FailuresPerSecond and FailureBurst: failed authentications a peer; 5 and 50.
	FailuresPerSecond float64 `yaml:"failures_per_second"`
	FailureBurst      int     `yaml:"failure_burst"`
	// Task bounds the calls of one task; 500, 1000 and 256.
	Task Share `yaml:"task"`
	// User bounds those of all tasks of one user; 1000, 2000 and 512.
	User Share `yaml:"user"`
	// Workspace bounds those of all its tasks; 5000, 10000 and 2048.
	Workspace Share `yaml:"workspace"`
	// Connector bounds those of one connector of a workspace; 2000, 4000 and 1024.
	Connector Share `yaml:"connector"`
	// Workload bounds the calls of one orchestrator or operator; 500, 1000 and 256.
	Workload Share `yaml:"workload"`
	// Delegation bounds the trees of tasks that delegate.
	Delegation Delegation `yaml:"delegation"`
	// Broker bounds the calls of sandboxes altogether.
	Broker Places `yaml:"broker"`
	// Wait is the longest that a call waits for a shared place; 1s.
	Wait Duration `yaml:"wait"`
	// Waiting is how many calls wait at one time; 1024.
	Waiting int `yaml:"waiting"`
	// StreamMax is the longest stream, after which its connection may be closed; 1h.
	StreamMax Duration `yaml:"stream_max"`
	// Connections are those of one listener; 10000.
	Connections int `yaml:"connections"`
	// ConnectionsPerWorkload are those of one SPIFFE ID to one listener; 512.
	ConnectionsPerWorkload int `yaml:"connections_per_workload"`
	// ReceiveTimeout is how long a request may take to arrive; 30s. Its header, and the TLS
	// handshake before it, have 10s of their own at most.
	ReceiveTimeout Duration `yaml:"receive_timeout"`
	// SendTimeout is how long a caller may leave a piece of an answer untaken; 30s.
	SendTimeout Duration `yaml:"send_timeout"`
	// HeldBytes are what requests and answers under way may take of the memory; half of
	// GOMEMLIMIT, or 256MiB.
	HeldBytes Size `yaml:"held_bytes"`
}

// Share is what one of many may do.
type Share struct {
	// CallsPerSecond and CallBurst: so many at once, then so many a second.
	CallsPerSecond float64 `yaml:"calls_per_second"`
	CallBurst      int     `yaml:"call_burst"`
	// Concurrent: calls that run at one time.
	Concurrent int `yaml:"concurrent"`
}

// Delegation bounds one tree of tasks. What has expired counts for a minute more, what was
// ended no more.
type Delegation struct {
	// Depth is how far below its root a task may be; 4.
	Depth int `yaml:"depth"`
	// Children are those of one task; 32.
	Children int `yaml:"children"`
	// Tree is all tasks of one root, itself among them, and the most that are minted below it
	// within a minute; 256.
	Tree int `yaml:"tree"`
}

// Places bound how many calls run at one time.
type Places struct {
	// Concurrent: calls that run at one time; 4096.
	Concurrent int `yaml:"concurrent"`
}

func (s *Share) defaults(perSecond float64, burst, concurrent int) {
	set(&s.CallsPerSecond, perSecond)
	set(&s.CallBurst, burst)
	set(&s.Concurrent, concurrent)
}

func (l *Limits) defaults() {
	set(&l.FailuresPerSecond, 5)
	set(&l.FailureBurst, 50)
	l.Task.defaults(500, 1000, 256)
	l.User.defaults(1000, 2000, 512)
	l.Workspace.defaults(5000, 10_000, 2048)
	l.Connector.defaults(2000, 4000, 1024)
	l.Workload.defaults(500, 1000, 256) // an orchestrator may mint for a thousand sandboxes at once
	set(&l.Delegation.Depth, 4)
	set(&l.Delegation.Children, 32)
	set(&l.Delegation.Tree, 256)
	set(&l.Broker.Concurrent, 4096)
	set(&l.Wait, Duration(time.Second))
	set(&l.Waiting, 1024)
	set(&l.StreamMax, Duration(time.Hour))
	set(&l.Connections, 10_000)
	set(&l.ConnectionsPerWorkload, 512)
	set(&l.ReceiveTimeout, Duration(30*time.Second))
	set(&l.SendTimeout, Duration(30*time.Second))
	set(&l.HeldBytes, heldDefault())
}

// heldDefault leaves half of the memory to all that is not the body of a call, and to
// the copies that its encoding makes.
func heldDefault() Size {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return Size(max(limit/2, leastHeld) / kib * kib)
	}
	return 256 << 20
}

const (
	longestWait = 30 * time.Second
	leastHeld   = 1 << 20
	// deepest is how many agents an assertion names at most, and how many counters one
	// call takes from.
	deepest = 16
	kib     = 1 << 10 // the least that a Size counts in
)

func (l *Limits) check(k *checker) {
	// Not "<= 0": NaN is neither.
	k.when(!(l.FailuresPerSecond > 0), "limits.failures_per_second", "must be positive")
	k.when(l.FailureBurst < 1, "limits.failure_burst", "must be positive")
	for name, s := range map[string]*Share{"task": &l.Task, "user": &l.User, "workspace": &l.Workspace, "connector": &l.Connector, "workload": &l.Workload} {
		k.when(!(s.CallsPerSecond > 0), "limits."+name+".calls_per_second", "must be positive")
		k.when(s.CallBurst < 1, "limits."+name+".call_burst", "must be positive")
		k.when(s.Concurrent < 1, "limits."+name+".concurrent", "must be positive")
	}
	within(k, "task", &l.Task, "user", &l.User)
	within(k, "user", &l.User, "workspace", &l.Workspace)
	within(k, "connector", &l.Connector, "workspace", &l.Workspace)
	k.when(l.Workspace.Concurrent > l.Broker.Concurrent, "limits.broker.concurrent",
		"%d is less than the %d of a workspace: raise it too, or one workspace takes the places of all", l.Broker.Concurrent, l.Workspace.Concurrent)
	l.Delegation.check(k)
	k.when(time.Duration(l.Wait) > longestWait, "limits.wait", "at most %s: who waits holds memory", longestWait)
	k.when(l.Waiting < 1, "limits.waiting", "must be positive")
	k.when(l.ConnectionsPerWorkload < 1, "limits.connections_per_workload", "must be positive")
	k.when(l.Connections < l.ConnectionsPerWorkload, "limits.connections",
		"%d is less than the %d of one workload: raise it too, or one workload takes those of all", l.Connections, l.ConnectionsPerWorkload)
	k.when(time.Duration(l.ReceiveTimeout) < time.Second, "limits.receive_timeout", "must be at least 1s: networks stall for shorter than that")
	k.when(time.Duration(l.SendTimeout) < time.Second, "limits.send_timeout", "must be at least 1s: networks stall for shorter than that")
	k.when(l.HeldBytes < leastHeld, "limits.held_bytes", "must be at least 1MiB")
}

func (d *Delegation) check(k *checker) {
	k.when(d.Depth < 1 || d.Depth > deepest, "limits.delegation.depth", "must be from 1 to %d; a task delegates only where it was given delegates", deepest)
	k.when(d.Children < 1, "limits.delegation.children", "must be positive")
	k.when(d.Tree <= d.Children, "limits.delegation.tree", "%d is not more than the %d children of one task: raise it too", d.Tree, d.Children)
}

// within refuses that one of many may do more than all of them together.
func within(k *checker, lesser string, s *Share, greater string, all *Share) {
	const text = "%v is less than the %v of a %s: raise it too, or one %s takes what the others need"
	path := "limits." + greater
	k.when(s.CallsPerSecond > all.CallsPerSecond, path+".calls_per_second", text, all.CallsPerSecond, s.CallsPerSecond, lesser, lesser)
	k.when(s.CallBurst > all.CallBurst, path+".call_burst", text, all.CallBurst, s.CallBurst, lesser, lesser)
	k.when(s.Concurrent > all.Concurrent, path+".concurrent", text, all.Concurrent, s.Concurrent, lesser, lesser)
}

// Size is a number of bytes, for instance "512MiB".
type Size int64

var units = [...]struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// UnmarshalYAML reads a whole number of KiB, MiB or GiB.
func (s *Size) UnmarshalYAML(n *yaml.Node) error {
	for _, unit := range units {
		digits, found := strings.CutSuffix(n.Value, unit.name)
		if !found {
			continue
		}
		count, err := strconv.ParseUint(digits, 10, 32)
		if err != nil {
			break
		}
		*s = Size(int64(count) * unit.bytes)
		return nil
	}
	return at(n, "%q is no size: want for instance 512MiB or 2GiB", n.Value)
}

// MarshalYAML writes it with the largest unit that leaves nothing over.
func (s Size) MarshalYAML() (any, error) {
	for _, unit := range units {
		if int64(s)%unit.bytes == 0 {
			return strconv.FormatInt(int64(s)/unit.bytes, 10) + unit.name, nil
		}
	}
	return nil, fmt.Errorf("%d bytes are no whole number of KiB", int64(s))
}
