package oauth_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/onedoor/onedoor/server/oauth"
)

// FuzzAnswer: whatever a token endpoint writes is a token that can stand in a header, or
// an error that repeats nothing of it.
func FuzzAnswer(f *testing.F) {
	f.Add(200, `{"access_token":"at","token_type":"bearer","expires_in":"60"}`, "7")
	f.Add(400, `{"error":"invalid_grant"}`, "Wed, 25 Nov 2026 12:00:00 GMT")
	f.Add(503, "<html>", "-1")
	f.Fuzz(func(t *testing.T, status int, body, retry string) {
		var err error
		var token oauth.Token
		if status == 200 {
			token, err = oauth.Read([]byte(body))
		} else {
			err = oauth.Refusal(status, map[string][]string{"Retry-After": {retry}}, []byte(body), noon)
		}
		if err == nil {
			for _, c := range append(token.Access.Reveal(), token.Refresh.Reveal()...) {
				if c <= ' ' || c > '~' {
					t.Fatal("a token that no header can hold")
				}
			}
			if len(token.Access.Reveal()) == 0 || token.Life < 0 {
				t.Fatal("no token, or one that has ended")
			}
			return
		}
		var e *oauth.Error
		if !errors.As(err, &e) || e.Kind == 0 || e.RetryAfter < 0 {
			t.Fatalf("%v", err)
		}
		if len(body) > 60 && strings.Contains(e.Error(), body) {
			t.Fatal("the error repeats the answer")
		}
	})
}
