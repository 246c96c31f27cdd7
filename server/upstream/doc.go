// Package upstream runs a bound call: the only step of an Invoke that leaves the
// broker. There is one small file a kind of upstream. It goes through package egress
// and demands the Intent of a recorded call.
package upstream
