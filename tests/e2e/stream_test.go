package e2e_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

const (
	askModel = `{"model":"demo","messages":[{"role":"user","content":"one two three"}],"stream":true}`
	callLLM  = "model: chat.completions READ model:*"
)

// event is one line of `POST /v1/invoke:stream`, and of `onedoor -o json invoke --stream`.
type event struct {
	Head *struct {
		InvocationID string `json:"invocationId"`
		Status       int
		ContentType  string
	}
	Text       string
	DataBase64 []byte
	End        *struct {
		BodyBytes int `json:"bodyBytes"`
	}
}

func readEvents(t *testing.T, text string) (body string, events []event) {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		var e event
		require.NoError(t, json.Unmarshal(lines.Bytes(), &e), lines.Text())
		body += e.Text + string(e.DataBase64)
		events = append(events, e)
	}
	return body, events
}

func TestStream(t *testing.T) {
	b := testenv.Dev(t)
	task := b.Mint(t, nil, callLLM)
	check := func(t *testing.T, text string) {
		t.Helper()
		body, events := readEvents(t, text)
		require.NotNil(t, events[0].Head)
		require.Equal(t, http.StatusOK, events[0].Head.Status)
		require.Equal(t, "text/event-stream", events[0].Head.ContentType)
		require.Greater(t, len(events), 3, "it comes in pieces")
		require.NotNil(t, events[len(events)-1].End)
		require.Equal(t, len(body), events[len(events)-1].End.BodyBytes)
		require.Contains(t, body, "three")
		require.True(t, strings.HasSuffix(body, "data: [DONE]\n\n"))
	}
	t.Run("REST", func(t *testing.T) {
		answer := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/v1/invoke:stream", `{"connector":"model","tool":"chat.completions","arguments":`+askModel+`}`)
		require.Equal(t, http.StatusOK, answer.Status, answer.Body)
		check(t, answer.Body)
	})
	t.Run("CLI events", func(t *testing.T) {
		said := b.CLI(t, testenv.Sandbox, task.Key, "-o", "json", "invoke", "--stream", "model", "chat.completions", "--json", askModel)
		require.Zero(t, said.Code, said.Stderr)
		check(t, said.Stdout)
	})
	t.Run("CLI body", func(t *testing.T) {
		said := b.CLI(t, testenv.Sandbox, task.Key, "invoke", "--stream", "model", "chat.completions", "--json", askModel)
		require.Zero(t, said.Code, said.Stderr)
		require.True(t, strings.HasPrefix(said.Stdout, "data: {"), said.Stdout)
	})
	t.Run("gRPC", func(t *testing.T) {
		stream, err := b.Client(t, testenv.Sandbox, task.Key).InvokeStream(t.Context(), "model", "chat.completions", json.RawMessage(askModel))
		require.NoError(t, err)
		var body strings.Builder
		for piece, err := range stream.Data() {
			require.NoError(t, err)
			body.Write(piece)
		}
		require.True(t, strings.HasSuffix(body.String(), "data: [DONE]\n\n"))
	})
	t.Run("as the provider's SDK would", func(t *testing.T) {
		answer := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/c/model/v1/chat/completions", askModel)
		require.Equal(t, http.StatusOK, answer.Status, answer.Body)
		require.Equal(t, "text/event-stream", answer.Header.Get("Content-Type"))
		require.True(t, strings.HasSuffix(answer.Body, "data: [DONE]\n\n"), answer.Body)
	})
	t.Run("a refused stream is an ordinary error", func(t *testing.T) {
		answer := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/v1/invoke:stream", `{"connector":"crm","tool":"contacts.get","arguments":{"id":"1"}}`)
		require.Equal(t, http.StatusForbidden, answer.Status, answer.Body)
		require.Equal(t, "GRANT_MISSING", answer.Reason(t))
	})
}
