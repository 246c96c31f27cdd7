package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/onedoor/onedoor/client"
)

// argumentFlags are the two ways to give a tool's arguments.
type argumentFlags struct {
	Arg  []string `sep:"none" placeholder:"K=V" xor:"arguments" help:"One argument; may be repeated. k=v is a string, k:=JSON is JSON."`
	JSON *string  `name:"json" placeholder:"JSON" xor:"arguments" help:"All arguments, one JSON object; @FILE reads it from a file, - from stdin."`
}

const argumentHelp = `Arguments are given one by one or as one JSON object, not both. --arg id=42 is the string "42" whatever
the tool expects; --arg id:=42 is the number. --json sends the text as it is.`

// read gives the arguments as JSON text. Whether they fit the tool is for the broker
// to say.
func (f *argumentFlags) read(s *session) (json.RawMessage, error) {
	if f.JSON == nil {
		return parseArguments(f.Arg)
	}
	switch text := *f.JSON; {
	case text == "-":
		return s.readFile("-", client.MaxArguments)
	case strings.HasPrefix(text, "@"):
		return s.readFile(text[1:], client.MaxArguments)
	default:
		return json.RawMessage(text), nil
	}
}

// parseArguments makes one JSON object of k=v and k:=JSON, in their order.
func parseArguments(args []string) (json.RawMessage, error) {
	object := bytes.NewBufferString("{")
	seen := map[string]bool{}
	for i, arg := range args {
		name, text, ok := strings.Cut(arg, "=")
		name, raw := strings.CutSuffix(name, ":")
		// A value may be private: the messages name the argument alone.
		switch {
		case !ok || name == "":
			return nil, usageError{fmt.Sprintf("--arg number %d: want k=v or k:=JSON", i+1)}
		case seen[name]:
			return nil, usageError{fmt.Sprintf("--arg %s is given twice", name)}
		case !utf8.ValidString(arg):
			return nil, usageError{fmt.Sprintf("--arg %s is not UTF-8", name)}
		case raw && !json.Valid([]byte(text)):
			return nil, usageError{fmt.Sprintf("--arg %s:= wants JSON; for a string use %s=", name, name)}
		}
		seen[name] = true
		value := []byte(text)
		if !raw {
			value = quote(text)
		}
		if i > 0 {
			object.WriteByte(',')
		}
		object.Write(quote(name))
		object.WriteByte(':')
		object.Write(value)
	}
	object.WriteByte('}')
	return object.Bytes(), nil
}

// quote gives s as a JSON string. A string always encodes.
func quote(s string) []byte {
	text, _ := json.Marshal(s)
	return text
}
