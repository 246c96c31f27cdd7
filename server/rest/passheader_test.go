package rest_test

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"

	"github.com/onedoor/onedoor/server/rest"
	"github.com/onedoor/onedoor/server/task"
)

// The key is taken from the header in which each SDK sends it, and from one alone.
func TestPassKey(t *testing.T) {
	key := newKey(t)
	for name, tt := range map[string]struct {
		headers []string
		key     string // what reaches the chain; "" with status 200: nothing does
		status  int
		reason  string
	}{
		"OpenAI, Anthropic today":        {[]string{"Authorization", "Bearer k"}, "Bearer k", 200, ""},
		"another spelling of the scheme": {[]string{"Authorization", "bearer k", "X-Api-Key", "k"}, "Bearer k", 200, ""},
		"Anthropic of old":               {[]string{"X-Api-Key", "k"}, "Bearer k", 200, ""},
		"Azure":                          {[]string{"Api-Key", "k"}, "Bearer k", 200, ""},
		"Google":                         {[]string{"X-Goog-Api-Key", "k"}, "Bearer k", 200, ""},
		"two that are the same":          {[]string{"X-Api-Key", "k", "Authorization", "Bearer k"}, "Bearer k", 200, ""},
		"an empty one beside it":         {[]string{"X-Api-Key", "", "Authorization", "Bearer k"}, "Bearer k", 200, ""},
		"another scheme":                 {[]string{"Authorization", "Basic k"}, "Basic k", 200, ""},
		"none":                           {nil, "", 200, ""},
		"two that differ":                {[]string{"X-Api-Key", "k", "Authorization", "Bearer l"}, "", 400, "ARGUMENT_INVALID"},
		"another scheme beside a key":    {[]string{"Authorization", "Basic k", "X-Api-Key", "k"}, "", 400, "ARGUMENT_INVALID"},
		"one header twice":               {[]string{"X-Api-Key", "k", "X-Api-Key", "k"}, "", 400, "ARGUMENT_INVALID"},
		"a control character":            {[]string{"X-Api-Key", "k\x7f"}, "", 400, "ARGUMENT_INVALID"},
		"basic, as the user":             {[]string{"Authorization", basic(key, "")}, "Bearer " + key, 200, ""},
		"basic, as the user alone":       {[]string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(key))}, "Bearer " + key, 200, ""},
		"basic, as the password":         {[]string{"Authorization", basic("api", key)}, "Bearer " + key, 200, ""},
		"basic, in other letters":        {[]string{"Authorization", strings.Replace(basic("api", key), "Basic", "bASIC", 1)}, "Bearer " + key, 200, ""},
		"basic, and the same key beside": {[]string{"Authorization", basic("api", key), "X-Api-Key", key}, "Bearer " + key, 200, ""},
		"basic with two keys":            {[]string{"Authorization", basic(key, newKey(t))}, "Basic ", 200, ""},
		"basic with one key twice":       {[]string{"Authorization", basic(key, key)}, "Basic ", 200, ""},
		"basic without a task key":       {[]string{"Authorization", basic("api", "key")}, "Basic ", 200, ""},
		"basic with a key and more":      {[]string{"Authorization", basic("api", key+":x")}, "Basic ", 200, ""},
		"basic that is no base64":        {[]string{"Authorization", "Basic " + key}, "Basic ", 200, ""},
		"basic, and another key beside":  {[]string{"Authorization", basic("api", key), "X-Api-Key", "k"}, "", 400, "ARGUMENT_INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			b, _, md := answering(relayHead(200, "", nil), relayEnd())
			conn, chain := connect(t, b)
			r := httptest.NewRequest(http.MethodGet, "/c/openai/v1/models", nil)
			for i := 0; i < len(tt.headers); i += 2 {
				r.Header.Add(tt.headers[i], tt.headers[i+1])
			}
			w := ask(rest.NewHandler(conn, rest.Options{}), r)
			require.Equal(t, tt.status, w.Code, w.Body.String())
			if tt.reason != "" {
				require.Equal(t, tt.reason, readPassed(t, w).Error.Code)
				require.Empty(t, chain.methods)
				return
			}
			got := strings.Join(md.Get("authorization"), "|")
			if tt.key == "Basic " { // not a task key: the chain refuses it
				require.True(t, strings.HasPrefix(got, tt.key))
				return
			}
			require.True(t, tt.key == got, "another key, or none, reached the chain")
			require.Len(t, md, min(len(tt.key), 1))
		})
	}
}

// newKey is a task key that no broker knows.
func newKey(t *testing.T) string {
	t.Helper()
	key, err := task.NewKey(rand.Reader)
	require.NoError(t, err)
	return key.Reveal()
}

// basic is what curl makes of -u.
func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// A header that would make another request of it is refused, not left out: what was asked
// for would not be what is done.
func TestPassHeadersThatMatter(t *testing.T) {
	for name, tt := range map[string]struct {
		method, header, value string
		refused               bool
	}{
		"a method override":             {"POST", "X-HTTP-Method-Override", "DELETE", true},
		"a method override with GET":    {"GET", "X-HTTP-Method", "DELETE", true},
		"another method override":       {"POST", "X-Method-Override", "PUT", true},
		"an empty method override":      {"POST", "X-HTTP-Method-Override", "", true},
		"change only this version":      {"PATCH", "If-Match", "\"1\"", true},
		"make only what is not there":   {"PUT", "If-None-Match", "*", true},
		"delete only what is unchanged": {"DELETE", "If-Unmodified-Since", "Sat, 29 Oct 1994 19:43:31 GMT", true},
		"a part of a body":              {"PUT", "Content-Range", "bytes 0-1/2", true},
		"read only what is new":         {"GET", "If-None-Match", "\"1\"", false},
		"read a part":                   {"GET", "Range", "bytes=0-1", false},
		"what is preferred":             {"POST", "Prefer", "return=minimal", false},
	} {
		t.Run(name, func(t *testing.T) {
			b, _, _ := answering(relayHead(200, "", nil), relayEnd())
			conn, chain := connect(t, b)
			r := httptest.NewRequest(tt.method, "/c/crm/contacts/1", nil)
			r.Header.Set(tt.header, tt.value)
			w := ask(rest.NewHandler(conn, rest.Options{}), r)
			if !tt.refused {
				require.Equal(t, 200, w.Code, w.Body.String())
				return
			}
			require.Equal(t, 400, w.Code)
			p := readPassed(t, w)
			require.Equal(t, "ARGUMENT_INVALID", p.Error.Code)
			require.Equal(t, strings.ToLower(tt.header), p.Error.Param)
			require.Empty(t, chain.methods)
		})
	}
}

// A key in the query would stand in every log on its way.
func TestPassKeyInTheQuery(t *testing.T) {
	conn, chain := connect(t, &broker{})
	w := ask(rest.NewHandler(conn, rest.Options{}), post("/c/gemini/v1beta/models/g:generateContent?key=odk_secret", "{}"))
	require.Equal(t, 401, w.Code)
	p := readPassed(t, w)
	require.Equal(t, "TASK_KEY_INVALID", p.Error.Code)
	require.Contains(t, p.Error.Message, "x-goog-api-key")
	require.NotContains(t, w.Body.String(), "odk_secret")
	require.Empty(t, chain.methods)
}

// On the listener for JWT-SVIDs that header passes too, and on no other.
func TestPassJWT(t *testing.T) {
	b, _, md := answering(relayHead(200, "", nil), relayEnd())
	conn, _ := connect(t, b)
	r := httptest.NewRequest(http.MethodGet, "/c/openai/v1/models", nil)
	r.Header.Set("X-Api-Key", "k")
	r.Header.Set("X-Onedoor-Jwt-Svid", "jwt")
	require.Equal(t, 200, ask(rest.NewHandler(conn, rest.Options{JWTSVID: true}), r).Code)
	require.Equal(t, metadata.MD{"authorization": {"Bearer k"}, "x-onedoor-jwt-svid": {"jwt"}}, md)
	r.Header.Add("X-Onedoor-Jwt-Svid", "other")
	require.Equal(t, 400, ask(rest.NewHandler(conn, rest.Options{JWTSVID: true}), r).Code)
}
