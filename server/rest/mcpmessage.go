package rest

import (
	"bytes"
	"encoding/json"

	"github.com/onedoor/onedoor/server/fault"
)

// message is what must be known of a JSON-RPC message before anybody acts on it.
type message struct {
	id     json.RawMessage // nil for a notification
	method string
}

// readMessage reads the envelope strictly: two readers must not find different messages
// in the same bytes. The message that it gives beside a fault holds what was read.
func readMessage(data []byte) (message, *fault.Error) {
	data = bytes.Trim(data, " \t\r\n")
	if len(data) > 0 && data[0] == '[' {
		return message{}, fault.Invalid("body", "one message for each request: batches are not taken")
	}
	members, f := split(data, once())
	if f != nil {
		return message{}, f
	}
	var m message
	for _, member := range members {
		switch member.key {
		case "id":
			if c := member.raw[0]; c != '"' && c != '-' && (c < '0' || c > '9') {
				return message{}, fault.Invalid("id", "must be a string or a number")
			}
			m.id = member.raw
		case "method":
			if json.Unmarshal(member.raw, &m.method) != nil {
				return m, fault.Invalid("method", "must be a string")
			}
		case "params":
			if f := readParams(member.raw); f != nil {
				return m, f
			}
		}
	}
	if m.method == "" {
		return m, fault.Invalid("method", "missing: only requests and notifications are taken, since nothing is ever asked of the client")
	}
	return m, nil
}

// readParams refuses parameters that could be read in two ways. What stands in the
// arguments of a tool is judged by the broker.
func readParams(raw json.RawMessage) *fault.Error {
	if raw[0] != '{' {
		return fault.Invalid("params", "must be a JSON object")
	}
	_, f := split(raw, once())
	return f
}

// once admits every name one time.
func once() func(string) *fault.Error {
	seen := map[string]bool{}
	return func(name string) *fault.Error {
		if seen[name] {
			return fault.Invalid(clip(name), "given twice")
		}
		seen[name] = true
		return nil
	}
}
