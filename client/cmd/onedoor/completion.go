package main

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (completionCmd) Help() string {
	return `Prints a script that completes commands, flags and their fixed values. It asks the onedoor that is first
on the PATH, so that it need not be written anew after an update. No broker is asked.

  source <(onedoor completion bash)                                         # in ~/.bashrc
  source <(onedoor completion zsh)                                          # in ~/.zshrc, after compinit
  onedoor completion fish > ~/.config/fish/completions/onedoor.fish         # once`
}

// Run implements the command.
func (c *completionCmd) Run(s *session) error {
	_, err := io.WriteString(s.stdout, map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[c.Shell])
	return err
}

// The scripts hand the words before the cursor, and the one under it, to `onedoor
// __complete`, and show the lines that come back.
var (
	//go:embed completion/bash.sh
	bashScript string
	//go:embed completion/zsh.sh
	zshScript string
	//go:embed completion/fish.fish
	fishScript string
)

// completeCmd is what the scripts call.
type completeCmd struct {
	Words []string `arg:"" optional:"" passthrough:""`
}

// Run implements the command.
func (c *completeCmd) Run(s *session, k *kong.Kong) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	for _, candidate := range candidates(k.Model.Node, words) {
		if _, err := fmt.Fprintln(s.stdout, candidate); err != nil {
			return err
		}
	}
	return nil
}

// candidates gives what the last of words may become, given those before it. Where a file
// or a name of the caller's own belongs it gives nothing, and the shell offers files.
func candidates(root *kong.Node, words []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	before, current := words[:len(words)-1], words[len(words)-1]
	node, arguments := root, 0
	var pending *kong.Flag // a flag that waits for its value
	for _, word := range before {
		switch {
		case pending != nil:
			pending = nil
		case strings.HasPrefix(word, "-") && word != "-":
			pending = waiting(node, word)
		default:
			if next := child(node, word); next != nil {
				node, arguments = next, 0
			} else {
				arguments++
			}
		}
	}
	return fitting(possible(node, pending, arguments, current), current)
}

// possible gives all that may stand at the cursor.
func possible(node *kong.Node, pending *kong.Flag, arguments int, current string) []string {
	name, _, given := strings.Cut(current, "=")
	switch {
	case pending != nil:
		return values(pending.Value)
	case given && strings.HasPrefix(current, "--"):
		var all []string
		if flag := find(node, name); flag != nil {
			for _, value := range values(flag.Value) {
				all = append(all, name+"="+value)
			}
		}
		return all
	case strings.HasPrefix(current, "-"):
		return flagNames(node)
	}
	var all []string
	for _, c := range node.Children {
		if !c.Hidden {
			all = append(all, c.Name)
		}
	}
	if arguments < len(node.Positional) {
		all = append(all, values(node.Positional[arguments])...)
	}
	return all
}

func fitting(all []string, prefix string) []string {
	all = slices.DeleteFunc(all, func(s string) bool { return !strings.HasPrefix(s, prefix) })
	slices.Sort(all)
	return slices.Compact(all)
}

// values gives those that a flag or an argument is limited to.
func values(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return slices.DeleteFunc(v.EnumSlice(), func(s string) bool { return s == "" })
}

func child(node *kong.Node, name string) *kong.Node {
	for _, c := range node.Children {
		if c.Name == name && !c.Hidden {
			return c
		}
	}
	return nil
}

// flagNames gives the flags of a command and of those above it.
func flagNames(node *kong.Node) []string {
	var all []string
	for _, group := range node.AllFlags(true) {
		for _, flag := range group {
			all = append(all, "--"+flag.Name)
		}
	}
	return all
}

// find gives the flag that a word names, without a value.
func find(node *kong.Node, word string) *kong.Flag {
	for _, group := range node.AllFlags(true) {
		for _, flag := range group {
			if word == "--"+flag.Name || flag.Short != 0 && word == "-"+string(flag.Short) {
				return flag
			}
		}
	}
	return nil
}

// waiting gives the flag that a word names if its value is the next word.
func waiting(node *kong.Node, word string) *kong.Flag {
	if flag := find(node, word); flag != nil && !flag.IsBool() {
		return flag
	}
	return nil
}
