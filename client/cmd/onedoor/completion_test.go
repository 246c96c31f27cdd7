package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCandidates(t *testing.T) {
	for line, want := range map[string]string{
		"conn":                        "connector",
		"connector ":                  "apply delete get import list",
		"connector a":                 "apply",
		"-o ":                         "json table",
		"-o json ke":                  "keys",
		"--output=":                   "--output=json --output=table",
		"--output t":                  "table",
		"keys rotate ":                "assertion audit kek pepper",
		"keys rotate a":               "assertion audit",
		"keys rotate kek ":            "",
		"keys rotate --emergency k":   "kek",
		"completion ":                 "bash fish zsh",
		"sidecar --li":                "--listen",
		"sidecar --listen ":           "",
		"sidecar --listen x --r":      "--rest",
		"connector apply -f ":         "",
		"credential put crm --from":   "--from-file",
		"--workspace-name connector ": strings.Join(commandNames(t), " "),
		"__":                          "",
		"nosuch ":                     strings.Join(commandNames(t), " "),
	} {
		t.Run(line, func(t *testing.T) {
			code, stdout, stderr := onedoor(t, "", append([]string{"__complete", "--"}, strings.Split(line, " ")...)...)
			require.Zero(t, code, stderr)
			require.Equal(t, want, strings.Join(strings.Fields(stdout), " "))
		})
	}
}

func commandNames(t *testing.T) []string {
	t.Helper()
	_, stdout, _ := onedoor(t, "", "__complete", "--", "")
	return strings.Fields(stdout)
}

// installed puts the program on a PATH, as it is called `onedoor`.
func installed(t *testing.T) (path string) {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "onedoor"), ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return "PATH=" + dir + ":" + os.Getenv("PATH")
}

// TestCompletionInShells has each shell complete a line by its own machinery.
func TestCompletionInShells(t *testing.T) {
	path := installed(t)
	shells := map[string][]string{
		"bash": {"bash", "--norc", "-c", `source <(onedoor completion bash)
			COMP_LINE=$0 COMP_POINT=${#0} COMP_TYPE=9
			eval "$(complete -p onedoor | sed 's/.*-F \([^ ]*\) .*/\1/')"; printf '%s\n' "${COMPREPLY[@]}"`},
		"fish": {"fish", "--no-config", "-c", `onedoor completion fish | source; complete --do-complete "$argv[1]"`},
		"zsh": {"zsh", "-f", "-c", `compdef() { :; }; compadd() { shift; print -l -- "$@"; }; _files() { :; }
			source <(onedoor completion zsh); words=("${(@Q)${(z)0}}"); [[ $0 = *" " ]] && words+=(""); CURRENT=$#words; _onedoor`},
	}
	for shell, command := range shells {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil && os.Getenv("CI") != "true" {
				t.Skip(shell + ": not run (it is not installed: run `make deps`)")
			}
			for line, want := range map[string]string{
				"onedoor conn":                   "connector",
				"onedoor connector ":             "apply delete get import list",
				"onedoor keys rotate ":           "assertion audit kek pepper",
				"onedoor sidecar --li":           "--listen",
				"onedoor -o json completion f":   "fish",
				"onedoor credential put c --slo": "--slot",
			} {
				cmd := exec.CommandContext(t.Context(), command[0], append(command[1:len(command):len(command)], line)...)
				cmd.Dir = t.TempDir() // fish offers the files of a folder as well
				cmd.Env = []string{path, "HOME=" + t.TempDir()}
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s", out)
				require.Equal(t, want, strings.Join(strings.Fields(string(out)), " "), line)
			}
		})
	}
}
