// Package app puts a broker together and runs it. Build constructs everything, once,
// from the configuration, top to bottom; nothing is looked up by name later. Run
// serves until its context ends, drains, and closes what Build opened in the opposite
// order.
package app
