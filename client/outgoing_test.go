package client_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/client/internal/brokertest"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

func TestTransportSends(t *testing.T) {
	crm, broker := transport(t, nil, head(), end(0))
	spelled := request(t, "POST", crmOrigin+"/x", "{}")
	spelled.Header["idempotency-key"], spelled.Header["content-type"] = []string{ownKey}, []string{"application/json"}
	for name, tc := range map[string]struct {
		request *http.Request
		sent    *onedoorv1.RelayRequest
	}{
		"a plain GET":                   {request(t, "GET", crmOrigin+"/contacts/42", ""), &onedoorv1.RelayRequest{Method: "GET", Path: "/contacts/42"}},
		"no path at all":                {request(t, "GET", crmOrigin, ""), &onedoorv1.RelayRequest{Method: "GET", Path: "/"}},
		"method left out":               {request(t, "", crmOrigin+"/x", ""), &onedoorv1.RelayRequest{Method: "GET", Path: "/x"}},
		"its default port, in capitals": {request(t, "GET", "HTTPS://CRM.example:443/x", ""), &onedoorv1.RelayRequest{Method: "GET", Path: "/x"}},
		"escapes stay escapes":          {request(t, "GET", crmOrigin+"/a%2Fb/%20c?q=%26&q=+", ""), &onedoorv1.RelayRequest{Method: "GET", Path: "/a%2Fb/%20c", Query: "q=%26&q=+"}},
		"dots and slashes too":          {request(t, "DELETE", crmOrigin+"/a/../b//c/", ""), &onedoorv1.RelayRequest{Method: "DELETE", Path: "/a/../b//c/"}},
		"without a fragment":            {request(t, "GET", crmOrigin+"/x?a=1#here", ""), &onedoorv1.RelayRequest{Method: "GET", Path: "/x", Query: "a=1"}},
		"a body": {
			request(t, "POST", crmOrigin+"/contacts", `{"n": 9007199254740993}`, "Content-Type", "application/json; charset=utf-8"),
			&onedoorv1.RelayRequest{Method: "POST", Path: "/contacts", Body: []byte(`{"n": 9007199254740993}`), ContentType: "application/json; charset=utf-8"},
		},
		"no header but two": {
			request(t, "GET", crmOrigin+"/x", "", "Authorization", "Bearer sk-1", "Cookie", "a=b", "Accept", "*/*", "User-Agent", "sdk", "Range", "bytes=0-1", "If-None-Match", `"e"`),
			&onedoorv1.RelayRequest{Method: "GET", Path: "/x"},
		},
		"a UUID as its key": {
			request(t, "GET", crmOrigin+"/x", "", "Idempotency-Key", strings.ToUpper(ownKey)), &onedoorv1.RelayRequest{Method: "GET", Path: "/x", IdempotencyKey: ownKey},
		},
		"however they are spelled": {
			spelled, &onedoorv1.RelayRequest{Method: "POST", Path: "/x", Body: []byte("{}"), ContentType: "application/json", IdempotencyKey: ownKey},
		},
		"any text as its key": { // a UUID of version 5, as python -c 'import uuid; print(uuid.uuid5(…))' says it
			request(t, "GET", crmOrigin+"/x", "", "Idempotency-Key", "order-17"),
			&onedoorv1.RelayRequest{Method: "GET", Path: "/x", IdempotencyKey: "23a884da-b16c-54fa-b8c3-16a3a5428435"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := tc.request.Clone(t.Context())
			answer, err := crm.RoundTrip(tc.request)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			require.Same(t, tc.request, answer.Request)
			require.Equal(t, before.Header, tc.request.Header, "the request is not changed")
			calls := broker.Calls()
			last := calls[len(calls)-1]
			require.Equal(t, []string{"Bearer " + taskKey}, last.Authorization, "the task's key and no other")
			sent := proto.Clone(last.Request.(proto.Message)).(*onedoorv1.RelayRequest)
			if tc.sent.GetIdempotencyKey() == "" {
				require.Regexp(t, uuid4, sent.GetIdempotencyKey(), "each call has a key")
				sent.IdempotencyKey = ""
			}
			tc.sent.Connector = "crm"
			require.True(t, proto.Equal(tc.sent, sent), "%v", sent)
		})
	}
}

func TestTransportRefuses(t *testing.T) {
	crm, broker := transport(t, nil, head(), end(0))
	with := func(change func(*http.Request)) *http.Request {
		r := request(t, "POST", crmOrigin+"/x", "{}")
		change(r)
		return r
	}
	header := func(name string, values ...string) *http.Request {
		return with(func(r *http.Request) { r.Header[name] = values })
	}
	for name, tc := range map[string]struct {
		request *http.Request
		field   string
	}{
		"another host":             {request(t, "POST", "https://crm.example.evil/x", "{}"), "url"},
		"another port":             {request(t, "POST", crmOrigin+":8443/x", "{}"), "url"},
		"clear text":               {request(t, "POST", "http://crm.example/x", "{}"), "url"},
		"clear text at that port":  {request(t, "POST", "http://crm.example:443/x", "{}"), "url"},
		"a host below it":          {request(t, "POST", "https://a.crm.example/x", "{}"), "url"},
		"the host as a user":       {request(t, "POST", "https://crm.example@evil.example/x", "{}"), "url"},
		"an opaque URL":            {with(func(r *http.Request) { r.URL.Opaque = "//crm.example/x" }), "url"},
		"no URL":                   {with(func(r *http.Request) { r.URL = nil }), "url"},
		"another Host":             {with(func(r *http.Request) { r.Host = "evil.example" }), "host"},
		"CONNECT":                  {with(func(r *http.Request) { r.Method = "CONNECT" }), "method"},
		"Expect":                   {header("Expect", "100-continue"), "expect"},
		"Upgrade":                  {header("Upgrade", "websocket"), "upgrade"},
		"a coded body":             {header("Content-Encoding", "gzip"), "content-encoding"},
		"a part of a body":         {header("Content-Range", "bytes 0-1/2"), "content-range"},
		"a condition":              {header("If-Match", `"e"`), "if-match"},
		"a condition on time":      {header("If-Unmodified-Since", "Sat, 28 Nov 2026 22:00:00 GMT"), "if-unmodified-since"},
		"only where there is none": {header("If-None-Match", "*"), "if-none-match"},
		"another method in truth":  {header("X-Http-Method-Override", "DELETE"), "x-http-method-override"},
		"however it is spelled":    {header("x-http-method-OVERRIDE", "DELETE"), "x-http-method-override"},
		"trailers":                 {with(func(r *http.Request) { r.Trailer = http.Header{"X-Sum": nil} }), "trailer"},
		"two keys":                 {header("Idempotency-Key", "a", "b"), "idempotency-key"},
		"a key in two spellings": {with(func(r *http.Request) {
			r.Header["Idempotency-Key"], r.Header["idempotency-key"] = []string{"a"}, []string{"b"}
		}), "idempotency-key"},
		"two types":            {header("Content-Type", "a/b", "c/d"), "content-type"},
		"less than it says":    {with(func(r *http.Request) { r.ContentLength = 3 }), "body"},
		"more than it says":    {with(func(r *http.Request) { r.ContentLength = 1 }), "body"},
		"too much, as it says": {with(func(r *http.Request) { r.ContentLength = client.MaxRequest + 1 }), "body"},
		"too much": {with(func(r *http.Request) {
			r.ContentLength = -1
			r.Body = io.NopCloser(io.LimitReader(zeros{}, client.MaxRequest+1))
		}), "body"},
		"too much with its path": {with(func(r *http.Request) {
			r.ContentLength = -1
			r.Body = io.NopCloser(io.LimitReader(zeros{}, client.MaxRequest-20))
		}), "body"},
	} {
		t.Run(name, func(t *testing.T) {
			body := &watched{Reader: tc.request.Body}
			tc.request.Body = body
			_, err := crm.RoundTrip(tc.request) //nolint:bodyclose // an error has no body
			require.ErrorIs(t, err, client.ArgumentInvalid)
			require.ErrorContains(t, err, "nothing was sent")
			var e *client.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, tc.field, e.Metadata["field"], "%v", err)
			require.True(t, body.closed, "the body is closed in any case")
		})
	}
	require.Empty(t, broker.Calls())

	whole := request(t, "POST", crmOrigin+"/x", "")
	whole.Body = io.NopCloser(io.LimitReader(zeros{}, client.MaxRequest-200))
	answer, err := crm.RoundTrip(whole)
	require.NoError(t, err, "what fits is sent")
	require.NoError(t, answer.Body.Close())
}

func TestTransportIsForAnOrigin(t *testing.T) {
	r := newRig(t, &brokertest.Broker{})
	for _, origin := range []string{
		"", "crm.example", "//crm.example", "https://", "https:///x", "ftp://crm.example", "https://crm.example/v2", "https://crm.example?a=b",
		"https://crm.example?", "https://crm.example#x", "https://key@crm.example", "https:crm.example", "https://crm.example:port", "https://[::1",
	} {
		_, err := r.client.Transport("crm", origin)
		require.ErrorIs(t, err, client.ErrNotConfigured, origin)
		require.NotContains(t, err.Error(), "key")
	}
	_, err := r.client.Transport("", crmOrigin)
	require.ErrorIs(t, err, client.ErrNotConfigured)
	_, err = r.client.Transport("crm", crmOrigin+"/")
	require.NoError(t, err)
}
