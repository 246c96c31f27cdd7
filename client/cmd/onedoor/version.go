package main

import (
	"encoding/json"
	"fmt"
	"runtime/debug"
)

type versionCmd struct{}

func (versionCmd) Help() string {
	return `  onedoor version
  onedoor -o json version`
}

// Run implements the command.
func (versionCmd) Run(s *session) error {
	version, goVersion := "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version, goVersion = info.Main.Version, info.GoVersion
	}
	if s.json {
		return json.NewEncoder(s.stdout).Encode(struct {
			Version string `json:"version"`
			Go      string `json:"go"`
		}{version, goVersion})
	}
	_, err := fmt.Fprintf(s.stdout, "onedoor %s (%s)\n", version, goVersion)
	return err
}
