package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/onedoor/onedoor/client"
)

type invokeCmd struct {
	Connector string `arg:"" help:"The connector's name."`
	Tool      string `arg:"" help:"The tool's name."`
	argumentFlags
	IdempotencyKey string `placeholder:"UUID" help:"Make the call only if no call of this task had this key; a random one unless given."`
	Stream         bool   `help:"Print the body as it arrives."`
}

func (invokeCmd) Help() string {
	return argumentHelp + `

The body goes to stdout as it came. An upstream's own 4xx or 5xx is an answer: it is told on stderr, and
the exit code is 0. With -o json stdout holds {invocationId, status, headers, contentType, body}, with
bodyBase64 instead of body where the body is not JSON and neither where it is empty; with --stream as well, one event a line.

  onedoor invoke crm contacts.get --arg id=42
  onedoor invoke crm contacts.update --arg id=42 --arg 'tags:=["new","eu"]'
  onedoor invoke crm contacts.import --json @contacts.json`
}

// Run implements the command.
func (c *invokeCmd) Run(s *session) error {
	arguments, err := c.read(s)
	if err != nil {
		return err
	}
	var opts []client.CallOption
	if c.IdempotencyKey != "" {
		opts = append(opts, client.WithIdempotencyKey(c.IdempotencyKey))
	}
	return s.callAsTask("invoke", 0, func(ctx context.Context, cl *client.Client) error {
		if c.Stream {
			stream, err := cl.InvokeStream(ctx, c.Connector, c.Tool, arguments, opts...)
			if err != nil {
				return err
			}
			return s.relay(stream)
		}
		answer, err := cl.Invoke(ctx, c.Connector, c.Tool, arguments, opts...)
		if err != nil {
			return err
		}
		body := answer.Body
		if s.json {
			if body, err = answerJSON(answer); err != nil {
				return err
			}
		} else {
			s.tellStatus(answer)
		}
		_, err = s.stdout.Write(body)
		return err
	})
}

// tellStatus says on stderr that the upstream was not pleased. The caller can do nothing
// about a 401: what it is about is the broker's.
func (s *session) tellStatus(answer *client.Response) {
	if answer.Status < 200 || answer.Status > 299 {
		fmt.Fprintf(s.stderr, "onedoor: the upstream answered %d (invocation %s)\n", answer.Status, clean(answer.InvocationID))
	}
	if answer.Status == http.StatusUnauthorized {
		fmt.Fprintln(s.stderr, `  That is about the credential that the broker attaches, not your task key. For operators: onedoor credential list`)
	}
}

// streamEvent is one line of a streamed answer in the shape of the REST API.
type streamEvent struct {
	Head       *streamHead `json:"head,omitempty"`
	Text       *string     `json:"text,omitempty"`
	DataBase64 []byte      `json:"dataBase64,omitempty"`
	End        *streamEnd  `json:"end,omitempty"`
}

type streamHead struct {
	InvocationID string            `json:"invocationId"`
	Status       int               `json:"status"`
	Headers      map[string]string `json:"headers"`
	ContentType  string            `json:"contentType"`
}

type streamEnd struct {
	BodyBytes int64 `json:"bodyBytes"`
}

// relay prints a streamed answer: its body, or with -o json its events, one a line.
func (s *session) relay(stream *client.Stream) error {
	defer stream.Close()
	lines := json.NewEncoder(s.stdout)
	lines.SetEscapeHTML(false)
	if !s.json {
		s.tellStatus(&stream.Response)
	} else if err := lines.Encode(streamEvent{Head: &streamHead{
		stream.InvocationID, stream.Status, emptyNotNull(stream.Headers), stream.ContentType,
	}}); err != nil {
		return err
	}
	var total int64
	for piece, err := range stream.Data() {
		if err != nil {
			return err
		}
		total += int64(len(piece))
		if s.json {
			err = lines.Encode(pieceEvent(piece))
		} else {
			_, err = s.stdout.Write(piece)
		}
		if err != nil {
			return err
		}
	}
	if !s.json {
		return nil
	}
	return lines.Encode(streamEvent{End: &streamEnd{total}})
}

// pieceEvent shows text as text, and what is none as base64.
func pieceEvent(piece []byte) streamEvent {
	if !utf8.Valid(piece) {
		return streamEvent{DataBase64: piece}
	}
	text := string(piece)
	return streamEvent{Text: &text}
}

func emptyNotNull(headers map[string]string) map[string]string {
	if headers == nil {
		return map[string]string{}
	}
	return headers
}

// answerJSON gives an answer in the shape of the REST API. A JSON body is placed as it
// came: to decode it and encode it again would change its numbers.
func answerJSON(answer *client.Response) ([]byte, error) {
	headers := emptyNotNull(answer.Headers)
	head, err := json.Marshal(struct {
		InvocationID string            `json:"invocationId"`
		Status       int               `json:"status"`
		Headers      map[string]string `json:"headers"`
		ContentType  string            `json:"contentType"`
	}{answer.InvocationID, answer.Status, headers, answer.ContentType})
	if err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(bytes.TrimSuffix(head, []byte("}")))
	switch {
	case len(answer.Body) == 0:
	case isJSON(answer):
		out.WriteString(`,"body":`)
		out.Write(answer.Body)
	default:
		fmt.Fprintf(out, `,"bodyBase64":"%s"`, base64.StdEncoding.EncodeToString(answer.Body))
	}
	out.WriteString("}\n")
	return out.Bytes(), nil
}

// isJSON reports whether the body says that it is JSON, and is.
func isJSON(answer *client.Response) bool {
	media, _, err := mime.ParseMediaType(answer.ContentType)
	named := media == "application/json" || strings.HasSuffix(media, "+json")
	return err == nil && named && utf8.Valid(answer.Body) && json.Valid(answer.Body)
}
