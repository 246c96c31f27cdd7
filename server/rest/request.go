package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/onedoor/onedoor/server/fault"
)

// The arguments of a call: a JSON object in the request, its bytes in the message.
const (
	argumentsMember = "arguments"
	argumentsField  = protoreflect.Name("arguments_json")
)

// member is one member of the request's object.
type member struct {
	key string
	raw json.RawMessage // the value's bytes as received, without the space around it
}

// decode reads a request body into msg. No body and blanks alone are an empty message.
// What the path names already may not be said again: the two could differ.
//
// The object is taken apart here, for two reasons: the arguments must keep the bytes
// received, and errors must name the field in our words (those of protojson are not
// stable, and quote values). protojson reads all other fields.
func decode(data []byte, msg proto.Message, path map[string]string) *fault.Error {
	if len(bytes.Trim(data, " \t\r\n")) == 0 {
		return nil
	}
	fields := msg.ProtoReflect().Descriptor().Fields()
	n := names{fields: fields, arguments: fields.ByName(argumentsField), path: path, seen: map[protoreflect.Name]bool{}}
	members, f := split(data, n.admit)
	if f != nil {
		return f
	}
	var arguments json.RawMessage
	if i := slices.IndexFunc(members, n.isArguments); i >= 0 {
		arguments = members[i].raw
		members = slices.Delete(members, i, i+1)
		if arguments[0] != '{' {
			return fault.Invalid(argumentsMember, "must be a JSON object")
		}
	}
	if protojson.Unmarshal(join(members), msg) != nil {
		return culprit(members, msg)
	}
	if arguments != nil {
		msg.ProtoReflect().Set(n.arguments, protoreflect.ValueOfBytes(arguments))
	}
	return nil
}

// names knows which members a request may have.
type names struct {
	fields    protoreflect.FieldDescriptors
	arguments protoreflect.FieldDescriptor // nil if the message has none
	path      map[string]string
	seen      map[protoreflect.Name]bool
}

// admit refuses a member that the request may not have, or not have again.
func (n names) admit(key string) *fault.Error {
	field := fieldNamed(n.fields, key)
	if field == n.arguments {
		field = nil // its own name belongs to gRPC
	}
	if n.arguments != nil && key == argumentsMember {
		field = n.arguments
	}
	if field == nil {
		return fault.Invalid(clip(key), "unknown field")
	}
	if _, taken := n.path[string(field.Name())]; taken {
		return fault.Invalid(clip(key), "is part of the path")
	}
	if n.seen[field.Name()] {
		return fault.Invalid(clip(key), "given twice")
	}
	n.seen[field.Name()] = true
	return nil
}

func (n names) isArguments(m member) bool { return n.arguments != nil && m.key == argumentsMember }

// split takes the top-level object apart. It stops at the first member that admit
// refuses, so that a body of a million members costs no more than a small one.
func split(data []byte, admit func(key string) *fault.Error) ([]member, *fault.Error) {
	if !utf8.Valid(data) {
		return nil, fault.Invalid("body", "not UTF-8")
	}
	// The whole text is checked first: a json.Decoder reads token by token and
	// would stop at the end of the object.
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		return nil, fault.Invalid("body", malformed(err))
	}
	d := json.NewDecoder(bytes.NewReader(whole))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, fault.Invalid("body", "not a JSON object")
	}
	var members []member
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, fault.Invalid("body", malformed(err))
		}
		name, ok := key.(string)
		if !ok {
			return nil, fault.Invalid("body", "not a JSON object")
		}
		if f := admit(name); f != nil {
			return nil, f
		}
		m := member{key: name}
		if err := d.Decode(&m.raw); err != nil {
			return nil, fault.Invalid("body", malformed(err))
		}
		members = append(members, m)
	}
	return members, nil
}

// malformed says where the JSON breaks, and not what stands there.
func malformed(err error) string {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("not valid JSON at byte %d", syntax.Offset)
	}
	return "not valid JSON"
}

// join is the reverse of split.
func join(members []member) []byte {
	b := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			b = append(b, ',')
		}
		key, _ := json.Marshal(m.key) // a string always marshals
		b = append(append(b, key...), ':')
		b = append(b, m.raw...)
	}
	return append(b, '}')
}

// culprit names the first member that is wrong by itself.
func culprit(members []member, msg proto.Message) *fault.Error {
	for _, m := range members {
		alone := msg.ProtoReflect().New().Interface()
		if protojson.Unmarshal(join([]member{m}), alone) != nil {
			return fault.Invalid(clip(m.key), unfit(msg.ProtoReflect().Descriptor().Fields(), m.key))
		}
	}
	return fault.Invalid("body", "two of its fields exclude each other")
}

// unfit says what a field's value is not, where its JSON form is not the one that people expect.
func unfit(fields protoreflect.FieldDescriptors, key string) string {
	field := fieldNamed(fields, key)
	if field == nil || field.Message() == nil {
		return "not a value of this field"
	}
	switch field.Message().FullName() {
	case "google.protobuf.Duration":
		return `not a duration: write seconds, such as "300s"`
	case "google.protobuf.Timestamp":
		return `not a time: write it as "2030-01-31T09:00:00Z"`
	}
	return "not a value of this field"
}

// fieldNamed finds a field by its JSON name or its name in the .proto file, as
// protojson and the gateway do.
func fieldNamed(fields protoreflect.FieldDescriptors, key string) protoreflect.FieldDescriptor {
	if field := fields.ByJSONName(key); field != nil {
		return field
	}
	return fields.ByTextName(key)
}

// clip shortens a name that the caller chose before it is repeated in an error.
func clip(name string) string {
	const most = 64
	runes := []rune(name)
	if len(runes) <= most {
		return name
	}
	return string(runes[:most]) + "…"
}
