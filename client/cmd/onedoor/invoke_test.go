package main

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/onedoor/onedoor/client/internal/brokertest"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

func TestInvoke(t *testing.T) {
	file := t.TempDir() + "/arguments.json"
	require.NoError(t, os.WriteFile(file, []byte(`{"from":"file"}`), 0o600))
	answer := func(status int32, media, body string) *onedoorv1.InvokeResponse {
		return &onedoorv1.InvokeResponse{InvocationId: "i1", Status: status, ContentType: media, Body: []byte(body), Headers: map[string]string{"etag": "1"}}
	}
	const front = `{"invocationId":"i1","status":200,"headers":{"etag":"1"},"contentType":`
	for name, tc := range map[string]struct {
		args   []string
		stdin  string
		answer *onedoorv1.InvokeResponse
		sent   string
		stdout string
		stderr string
	}{
		"body raw":             {answer: answer(200, "application/json", `{"n": 9007199254740993}`), sent: `{}`, stdout: `{"n": 9007199254740993}`},
		"the upstream said no": {answer: answer(404, "text/plain", "none"), sent: `{}`, stdout: "none", stderr: "onedoor: the upstream answered 404 (invocation i1)\n"},
		"the upstream does not take the credential": {answer: answer(401, "text/plain", "none"), sent: `{}`, stdout: "none",
			stderr: "onedoor: the upstream answered 401 (invocation i1)\n  That is about the credential that the broker attaches, not your task key. For operators: onedoor credential list\n"},
		"string and JSON arguments": {args: []string{"--arg", "id=42", "--arg", "n:=42", "--arg", "e=a=b:=c", "--arg", "x="}, answer: answer(204, "", ""),
			sent: `{"id":"42","n":42,"e":"a=b:=c","x":""}`},
		"a comma stays":          {args: []string{"--arg", "q=a,b"}, answer: answer(200, "", ""), sent: `{"q":"a,b"}`},
		"all as JSON, untouched": {args: []string{"--json", `{"a":1, "a":2}`}, answer: answer(200, "", ""), sent: `{"a":1, "a":2}`},
		"JSON of a file":         {args: []string{"--json", "@" + file}, answer: answer(200, "", ""), sent: `{"from":"file"}`},
		"JSON of stdin":          {args: []string{"--json", "-"}, stdin: `{"s":1}`, answer: answer(200, "", ""), sent: `{"s":1}`},
		"as JSON, body as received": {args: []string{"-o", "json"}, answer: answer(200, "application/json; charset=utf-8", `{"n": 9007199254740993}`), sent: `{}`,
			stdout: front + `"application/json; charset=utf-8","body":{"n": 9007199254740993}}` + "\n"},
		"as JSON, a +json type": {args: []string{"-o", "json"}, answer: answer(200, "application/problem+json", `[1]`), sent: `{}`,
			stdout: front + `"application/problem+json","body":[1]}` + "\n"},
		"as JSON, not JSON after all": {args: []string{"-o", "json"}, answer: answer(200, "application/json", `{"a":1}}`), sent: `{}`,
			stdout: front + `"application/json","bodyBase64":"eyJhIjoxfX0="}` + "\n"},
		"as JSON, binary": {args: []string{"-o", "json"}, answer: answer(200, "image/png", "\x89"), sent: `{}`,
			stdout: front + `"image/png","bodyBase64":"iQ=="}` + "\n"},
		"as JSON, no body": {args: []string{"-o", "json"}, answer: answer(200, "application/json", ""), sent: `{}`,
			stdout: front + `"application/json"}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			broker := &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) { return tc.answer, nil }}
			stage(t, broker)
			code, stdout, stderr := onedoor(t, tc.stdin, append([]string{"invoke", "crm", "contacts.get"}, tc.args...)...)
			require.Zero(t, code, stderr)
			require.Equal(t, tc.stdout, stdout)
			require.Equal(t, tc.stderr, stderr)
			call := broker.Calls()[0]
			require.Equal(t, tc.sent, string(call.Request.(*onedoorv1.InvokeRequest).GetArgumentsJson()))
			require.Equal(t, []string{"Bearer od1t_key"}, call.Authorization)
		})
	}
}

func TestInvokeStream(t *testing.T) {
	events := []*onedoorv1.InvokeStreamResponse{
		{Event: &onedoorv1.InvokeStreamResponse_Head{Head: &onedoorv1.InvokeStreamHead{InvocationId: "i1", Status: 200, ContentType: "text/plain"}}},
		{Event: &onedoorv1.InvokeStreamResponse_Data{Data: []byte("ab")}},
		{Event: &onedoorv1.InvokeStreamResponse_End{End: &onedoorv1.InvokeStreamEnd{BodyBytes: 2}}},
	}
	send := events
	broker := &brokertest.Broker{Stream: func(_ int, _ brokertest.Call, stream grpc.ServerStream) error {
		for _, e := range send {
			if err := stream.SendMsg(e); err != nil {
				return err
			}
		}
		return nil
	}}
	stage(t, broker)
	code, stdout, stderr := onedoor(t, "", "invoke", "crm", "contacts.export", "--stream")
	require.Zero(t, code, stderr)
	require.Equal(t, "ab", stdout)

	code, stdout, stderr = onedoor(t, "", "invoke", "crm", "contacts.export", "--stream", "-o", "json")
	require.Zero(t, code, stderr)
	require.Equal(t, `{"head":{"invocationId":"i1","status":200,"headers":{},"contentType":"text/plain"}}`+"\n"+
		`{"text":"ab"}`+"\n"+`{"end":{"bodyBytes":2}}`+"\n", stdout)

	send = events[:2]
	code, stdout, stderr = onedoor(t, "", "invoke", "crm", "contacts.export", "--stream")
	require.Equal(t, 7, code)
	require.Equal(t, "ab", stdout)
	require.Contains(t, stderr, "onedoor: OUTCOME_UNKNOWN: the streamed answer is incomplete")
	require.Contains(t, stderr, "invocation i1")
}
