// Package harden closes the ordinary ways to a process's memory, in which keys and
// secrets stand in the clear while they are in use.
package harden
