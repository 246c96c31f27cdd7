package rest_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/rest"
)

// spoofs are headers that must not become anything.
func spoofs() http.Header {
	return http.Header{
		"Grpc-Metadata-Authorization":      {"Bearer stolen"},
		"Grpc-Metadata-X-Onedoor-Jwt-Svid": {"forged"},
		"Grpc-Metadata-X-Bin":              {"AAAA"},
		"Grpcgateway-Authorization":        {"Bearer stolen"},
		"Grpc-Timeout":                     {"1n"},
		"X-Forwarded-For":                  {"127.0.0.1"},
		"X-Forwarded-Host":                 {"localhost"},
		"X-Forwarded-Client-Cert":          {"URI=spiffe://dev.local/operator"},
		"Forwarded":                        {"for=127.0.0.1"},
		"X-Spiffe-Id":                      {"spiffe://dev.local/operator"},
		"X-Http-Method-Override":           {"DELETE"},
		"Cookie":                           {"a=b"},
		"Te":                               {"trailers"},
		"Accept":                           {"application/x-protobuf"},
		"X-Anything-Bin":                   {"%%%"},
	}
}

func TestOnlyAllowedHeadersBecomeMetadata(t *testing.T) {
	key := []string{"Bearer odt_key"}
	jwt := []string{"eyJ.e.s"}
	cases := map[string]struct {
		opts   rest.Options
		header http.Header
		want   metadata.MD
	}{
		"none":                              {header: http.Header{}, want: metadata.MD{}},
		"the task key":                      {header: http.Header{"Authorization": key}, want: metadata.MD{"authorization": key}},
		"a JWT-SVID where it is allowed":    {rest.Options{JWTSVID: true}, http.Header{"Authorization": key, "X-Onedoor-Jwt-Svid": jwt}, metadata.MD{"authorization": key, "x-onedoor-jwt-svid": jwt}},
		"a JWT-SVID at the mTLS listener":   {header: http.Header{"Authorization": key, "X-Onedoor-Jwt-Svid": jwt}, want: metadata.MD{"authorization": key}},
		"several there":                     {header: http.Header{"X-Onedoor-Jwt-Svid": {"a", "b"}}, want: metadata.MD{}},
		"an empty header is still a header": {header: http.Header{"Authorization": {""}}, want: metadata.MD{"authorization": {""}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var seen metadata.MD
			conn, chain := connect(t, &broker{task: func(ctx context.Context) (*onedoorv1.GetTaskResponse, error) {
				seen = incoming(ctx)
				_, limited := ctx.Deadline()
				require.False(t, limited, "Grpc-Timeout must be ignored")
				return &onedoorv1.GetTaskResponse{}, nil
			}})
			r := httptest.NewRequest(http.MethodGet, "/v1/task", nil)
			r.Header = spoofs()
			for name, values := range c.header {
				r.Header[name] = values
			}
			w := ask(rest.NewHandler(conn, c.opts), r)
			require.Equal(t, 200, w.Code, "%s", w.Body)
			require.Equal(t, c.want, seen)
			require.Equal(t, []string{onedoorv1.Broker_GetTask_FullMethodName}, chain.methods)
		})
	}
}

func TestAmbiguousHeadersAreRefused(t *testing.T) {
	cases := map[string]struct {
		opts   rest.Options
		header http.Header
		field  string
	}{
		"two keys":          {rest.Options{}, http.Header{"Authorization": {"Bearer a", "Bearer a"}}, "authorization"},
		"two JWT-SVIDs":     {rest.Options{JWTSVID: true}, http.Header{"X-Onedoor-Jwt-Svid": {"a", "b"}}, "x-onedoor-jwt-svid"},
		"control character": {rest.Options{}, http.Header{"Authorization": {"Bearer a\x00"}}, "authorization"},
		"not ASCII":         {rest.Options{}, http.Header{"Authorization": {"Bearer é"}}, "authorization"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			conn, chain := connect(t, &broker{})
			r := post("/v1/invoke", "{}")
			for name, values := range c.header {
				r.Header[name] = values
			}
			w := ask(rest.NewHandler(conn, c.opts), r)
			requireInvalid(t, w, 400, c.field)
			require.Empty(t, chain.methods)
			require.NotContains(t, w.Body.String(), "Bearer")
		})
	}
}

// FuzzHeaders holds that no header, however it is called, becomes metadata.
func FuzzHeaders(f *testing.F) {
	for name, values := range spoofs() {
		f.Add(name, values[0], false)
	}
	f.Add("X-Onedoor-Jwt-Svid", "eyJ", true)
	f.Add("authorization", "Bearer k", false)
	var seen metadata.MD
	conn, _ := connect(f, &broker{task: func(ctx context.Context) (*onedoorv1.GetTaskResponse, error) {
		seen = incoming(ctx)
		return &onedoorv1.GetTaskResponse{}, nil
	}})
	handlers := map[bool]http.Handler{}
	for _, jwt := range []bool{false, true} {
		handlers[jwt] = rest.NewHandler(conn, rest.Options{JWTSVID: jwt})
	}
	f.Fuzz(func(t *testing.T, name, value string, jwt bool) {
		seen = nil
		r := httptest.NewRequest(http.MethodGet, "/v1/task", nil)
		r.Header.Set("Authorization", "Bearer mine")
		r.Header.Add(name, value)
		w := ask(handlers[jwt], r)
		key := http.CanonicalHeaderKey(name)
		if key == "Authorization" || w.Code != 200 {
			require.Equal(t, 400, w.Code)
			require.Nil(t, seen)
			return
		}
		want := metadata.MD{"authorization": {"Bearer mine"}}
		if jwt && key == "X-Onedoor-Jwt-Svid" {
			want["x-onedoor-jwt-svid"] = []string{value}
		}
		require.Equal(t, want, seen)
	})
}

func TestThePeerIsTheConnections(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			var got *peer.Peer
			conn, _ := connect(t, &broker{task: func(ctx context.Context) (*onedoorv1.GetTaskResponse, error) {
				got, _ = peer.FromContext(ctx)
				return &onedoorv1.GetTaskResponse{}, nil
			}})
			client, url := listen(t, rest.NewHandler(conn, rest.Options{}), http2)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v1/task", nil)
			require.NoError(t, err)
			r.Header = spoofs()
			answer, err := client.Do(r)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, answer.Body)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			require.Equal(t, http2, answer.ProtoMajor == 2)
			info := got.AuthInfo.(credentials.TLSInfo)
			require.True(t, info.State.HandshakeComplete)
			require.Equal(t, credentials.PrivacyAndIntegrity, info.SecurityLevel)
			require.True(t, got.Addr.(*net.TCPAddr).IP.IsLoopback())
			require.Equal(t, strings.TrimPrefix(url, "https://"), got.LocalAddr.String())
		})
	}
}

func TestPlainHTTPIsRefused(t *testing.T) {
	conn, chain := connect(t, &broker{})
	w := httptest.NewRecorder()
	rest.NewHandler(conn, rest.Options{JWTSVID: true}).ServeHTTP(w, post("/v1/invoke", "{}"))
	require.Equal(t, 401, w.Code)
	require.Equal(t, "SVID_MISSING", parse(t, w.Body.Bytes()).Details[0].Reason)
	require.Empty(t, chain.methods)
}

func TestUnreadableRequestsAreRefused(t *testing.T) {
	typed := func(r *http.Request, values ...string) *http.Request {
		r.Header["Content-Type"] = values
		return r
	}
	encoded := post("/v1/invoke", "{}")
	encoded.Header.Set("Content-Encoding", "gzip")
	endless := post("/v1/invoke", "")
	endless.Body, endless.ContentLength = io.NopCloser(io.LimitReader(spaces{}, rest.MaxBody+1)), -1
	unread := post("/v1/invoke", "")
	unread.Body, unread.ContentLength = io.NopCloser(broken{}), rest.MaxBody+1
	cut := post("/v1/invoke", "")
	cut.Body, cut.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader("{"), broken{})), 10
	cases := map[string]struct {
		request *http.Request
		status  int
		field   string
	}{
		"no content type":            {typed(post("/v1/invoke", "{}")), 415, "content-type"},
		"another content type":       {typed(post("/v1/invoke", "{}"), "text/plain"), 415, "content-type"},
		"a form":                     {typed(post("/v1/task", "a=b"), "application/x-www-form-urlencoded"), 405, ""},
		"a form to Invoke":           {typed(post("/v1/invoke", "a=b"), "application/x-www-form-urlencoded"), 415, "content-type"},
		"two content types":          {typed(post("/v1/invoke", "{}"), "application/json", "text/plain"), 415, "content-type"},
		"compressed":                 {encoded, 415, "content-encoding"},
		"too large, said so":         {post("/v1/invoke", strings.Repeat(" ", rest.MaxBody+1)), 413, "body"},
		"too large, not said":        {endless, 413, "body"},
		"too large, not even read":   {unread, 413, "body"},
		"cut off":                    {cut, 400, "body"},
		"GET with a body":            {httptest.NewRequest("GET", "/v1/task", strings.NewReader("{}")), 400, "body"},
		"POST with a query":          {post("/v1/invoke?tool=x", "{}"), 400, "query"},
		"broken query":               {httptest.NewRequest("GET", "/v1/tasks?a;b", nil), 400, "query"},
		"unknown parameter":          {httptest.NewRequest("DELETE", "/v1/connectors/crm?revison=3", nil), 400, "revison"},
		"the path's again":           {httptest.NewRequest("DELETE", "/v1/connectors/crm?name=other", nil), 400, "name"},
		"the path's again in a body": {post("/v1/tasks/1:revoke", `{"taskId":"2"}`), 400, "taskId"},
		"not a number":               {httptest.NewRequest("GET", "/v1/connectors/crm?revision=x", nil), 400, "query"},
		"a parameter twice":          {httptest.NewRequest("GET", "/v1/connectors/crm?revision=1&revision=2", nil), 400, "query"},
		"a parameter in two forms":   {httptest.NewRequest("GET", "/v1/tasks?pageSize=1&page_size=2", nil), 400, "query"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			conn, chain := connect(t, &broker{})
			onedoorv1.RegisterTasksServer(conn, onedoorv1.UnimplementedTasksServer{})
			onedoorv1.RegisterConnectorsServer(conn, onedoorv1.UnimplementedConnectorsServer{})
			w := ask(rest.NewHandler(conn, rest.Options{}), c.request)
			require.Empty(t, chain.methods)
			if c.field == "" {
				require.Equal(t, c.status, w.Code)
				return
			}
			requireInvalid(t, w, c.status, c.field)
			require.NotContains(t, w.Body.String(), "strconv")
		})
	}
}

func TestQueryAndPathReachTheHandler(t *testing.T) {
	conn, _ := connect(t, &broker{})
	got := &connectors{}
	onedoorv1.RegisterConnectorsServer(conn, got)
	w := ask(rest.NewHandler(conn, rest.Options{}), httptest.NewRequest("GET", "/v1/connectors/crm?workspace=w&revision=3", nil))
	require.Equal(t, 200, w.Code, "%s", w.Body)
	require.Equal(t, "crm w 3", got.seen)
}

// connectors records what Get was asked.
type connectors struct {
	onedoorv1.UnimplementedConnectorsServer
	seen string
}

func (c *connectors) Get(_ context.Context, r *onedoorv1.ConnectorsGetRequest) (*onedoorv1.ConnectorsGetResponse, error) {
	c.seen = strings.Join([]string{r.GetName(), r.GetWorkspace(), string('0' + rune(r.GetRevision()))}, " ")
	return &onedoorv1.ConnectorsGetResponse{}, nil
}

func TestRouting(t *testing.T) {
	cases := map[string]struct {
		method, path string
		status       int
		allow        string
	}{
		"unknown path":           {"GET", "/v2/task", 404, ""},
		"root":                   {"GET", "/", 404, ""},
		"health is elsewhere":    {"GET", "/healthz", 404, ""},
		"escaped slash":          {"GET", "/v1%2ftask", 404, ""},
		"escaped needlessly":     {"GET", "/v1/t%61sk", 404, ""},
		"doubled slash":          {"GET", "//v1/task", 404, ""},
		"dots":                   {"GET", "/v1/x/../task", 404, ""},
		"trailing slash":         {"GET", "/v1/task/", 404, ""},
		"wrong method":           {"PUT", "/v1/task", 405, "GET"},
		"GET of a POST":          {"GET", "/v1/invoke", 405, "POST"},
		"GET of a stream":        {"GET", "/v1/invoke:stream", 405, "POST"},
		"HEAD":                   {"HEAD", "/v1/task", 405, "GET"},
		"OPTIONS":                {"OPTIONS", "/v1/tasks", 405, "GET, POST"},
		"a method of a template": {"PATCH", "/v1/connectors/crm", 405, "DELETE, GET"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			conn, chain := connect(t, &broker{})
			w := ask(rest.NewHandler(conn, rest.Options{}), httptest.NewRequest(c.method, c.path, nil))
			require.Equal(t, c.status, w.Code)
			require.Equal(t, c.allow, w.Header().Get("Allow"))
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
			require.Empty(t, parse(t, w.Body.Bytes()).Details)
			require.Empty(t, chain.methods)
		})
	}
}

func TestStatusOfEveryCode(t *testing.T) {
	cases := map[codes.Code]int{
		codes.Unauthenticated: 401, codes.PermissionDenied: 403, codes.InvalidArgument: 400, codes.NotFound: 404,
		codes.FailedPrecondition: 400, codes.Aborted: 409, codes.ResourceExhausted: 429, codes.OutOfRange: 400,
		codes.DeadlineExceeded: 504, codes.Unavailable: 503, codes.Unknown: 500, codes.Internal: 500, codes.Unimplemented: 501,
	}
	for code, want := range cases {
		t.Run(code.String(), func(t *testing.T) {
			conn, _ := connect(t, &broker{invoke: func(context.Context, *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
				return nil, withDetails(code, &errdetails.ErrorInfo{Reason: "SOME_REASON", Domain: "onedoor", Metadata: map[string]string{"invocation_id": "<1>"}},
					&errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)},
					&errdetails.DebugInfo{Detail: "stack"})
			}})
			w := ask(rest.NewHandler(conn, rest.Options{}), post("/v1/invoke", "{}"))
			require.Equal(t, want, w.Code)
			p := parse(t, w.Body.Bytes())
			require.Equal(t, int(code), p.Code)
			require.Equal(t, "said so", p.Message)
			require.Len(t, p.Details, 2, "DebugInfo stays inside")
			require.Equal(t, "type.googleapis.com/google.rpc.ErrorInfo", p.Details[0].Type)
			require.Equal(t, "SOME_REASON", p.Details[0].Reason)
			require.Equal(t, "onedoor", p.Details[0].Domain)
			require.Equal(t, map[string]string{"invocation_id": "<1>"}, p.Details[0].Metadata)
			header := http.Header{
				"Content-Type": {"application/json"}, "Content-Length": w.Header()["Content-Length"],
				"X-Content-Type-Options": {"nosniff"}, "Cache-Control": {"no-store"},
			}
			if want == 429 || want == 503 {
				header.Set("Retry-After", "2")
			}
			if want == 401 {
				header.Set("WWW-Authenticate", "Bearer")
			}
			require.Equal(t, header, w.Header())
		})
	}
}

func TestHandlersSetNoHeaders(t *testing.T) {
	conn, _ := connect(t, &broker{task: func(ctx context.Context) (*onedoorv1.GetTaskResponse, error) {
		setHeaders(ctx, t)
		return &onedoorv1.GetTaskResponse{Task: &onedoorv1.Task{Id: "1"}}, nil
	}})
	w := ask(rest.NewHandler(conn, rest.Options{}), httptest.NewRequest(http.MethodGet, "/v1/task", nil))
	require.Equal(t, 200, w.Code)
	require.Equal(t, http.Header{
		"Content-Type": {"application/json"}, "Content-Length": w.Header()["Content-Length"],
		"X-Content-Type-Options": {"nosniff"}, "Cache-Control": {"no-store"},
	}, w.Header())
	require.Contains(t, w.Body.String(), `"delegates":`, "empty fields are there")
}

// requireInvalid checks that w is an ARGUMENT_INVALID that names the field.
func requireInvalid(t *testing.T, w *httptest.ResponseRecorder, code int, field string) {
	t.Helper()
	require.Equal(t, code, w.Code, "%s", w.Body)
	p := parse(t, w.Body.Bytes())
	require.Equal(t, int(codes.InvalidArgument), p.Code)
	require.Len(t, p.Details, 1)
	require.Equal(t, "ARGUMENT_INVALID", p.Details[0].Reason)
	require.Equal(t, "onedoor", p.Details[0].Domain)
	require.Equal(t, map[string]string{"field": field}, p.Details[0].Metadata)
	require.True(t, strings.HasPrefix(p.Message, field+": "), p.Message)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
}

func withDetails(code codes.Code, details ...protoadapt.MessageV1) error {
	st, err := status.New(code, "said so").WithDetails(details...)
	if err != nil {
		return err
	}
	return st.Err()
}

// spaces never ends; broken ends wrongly.
type (
	spaces struct{}
	broken struct{}
)

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
