package attack_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

// echoes are the ways in which an upstream of this test gives back the Authorization
// header that it received.
func echoes() map[string]func(http.ResponseWriter, string) {
	write := func(f func(string) string) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, secret string) { _, _ = w.Write([]byte("before " + f(secret) + " after")) }
	}
	base64At := func(offset int) func(http.ResponseWriter, string) {
		return write(func(s string) string { return base64.StdEncoding.EncodeToString([]byte("xyz"[:offset] + s + "tail")) })
	}
	return map[string]func(http.ResponseWriter, string){
		"raw":     write(func(s string) string { return s }),
		"base64":  base64At(0),
		"base641": base64At(1),
		"base642": base64At(2),
		"hex":     write(func(s string) string { return hex.EncodeToString([]byte(s)) }),
		"HEX":     write(func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) }),
		"url":     write(url.QueryEscape),
		"percent": write(func(s string) string {
			var b strings.Builder
			for _, c := range []byte(s) {
				fmt.Fprintf(&b, "%%%02x", c)
			}
			return b.String()
		}),
		"json": func(w http.ResponseWriter, s string) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"headers":{"authorization":%q}}`, s)
		},
		"error": func(w http.ResponseWriter, s string) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte("<html>you sent " + s))
		},
		"gzip": func(w http.ResponseWriter, s string) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write([]byte(s))
			_ = z.Close()
		},
		"split": func(w http.ResponseWriter, s string) {
			flush := http.NewResponseController(w)
			for _, c := range []byte(s) {
				_, _ = w.Write([]byte{c})
				_ = flush.Flush()
			}
		},
		"header": func(w http.ResponseWriter, s string) {
			for _, name := range []string{"X-Kind", "Set-Cookie", "Www-Authenticate", "Location", "Etag", "Content-Type", "Server"} {
				w.Header().Set(name, s)
			}
		},
		"trailer": func(w http.ResponseWriter, s string) {
			w.Header().Set("Trailer", "X-Kind")
			_, _ = w.Write([]byte("x"))
			w.Header().Set("X-Kind", s)
		},
		"unknown": func(w http.ResponseWriter, s string) {
			w.Header().Set("Content-Encoding", "x-rot13")
			_, _ = w.Write([]byte(s))
		},
	}
}

// Whatever an upstream gives back, the credential is not in it: not in an answer, not
// in a stream, not over any transport. The rest of the answer arrives.
func TestAttack15_Echo(t *testing.T) {
	ways := echoes()
	b, upstream := target(t, func(w http.ResponseWriter, r *http.Request) {
		ways[r.URL.Path[len("/things/"):]](w, r.Header.Get("Authorization"))
	})
	task := b.Mint(t, nil, readThings)
	sandbox, rest := b.Client(t, testenv.Sandbox, task.Key), b.REST(t, testenv.Sandbox, task.Key)
	for way := range ways {
		t.Run(way, func(t *testing.T) {
			var got bytes.Buffer
			answer, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": way})
			_, _ = fmt.Fprintf(&got, "%+v %v", answer, err)
			if err == nil {
				got.Write(answer.Body)
				if strings.HasPrefix(string(answer.Body), "before ") {
					require.True(t, strings.HasSuffix(string(answer.Body), " after"), "what is no secret stays")
				}
			}
			stream, err := sandbox.InvokeStream(t.Context(), "things", "things.get", map[string]string{"id": way})
			if err != nil {
				_, _ = fmt.Fprintf(&got, "%v", err)
			} else {
				_, _ = fmt.Fprintf(&got, "%+v", stream.Response)
				for piece, err := range stream.Data() {
					got.Write(piece)
					_, _ = fmt.Fprint(&got, err)
				}
			}
			overREST := rest.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"`+way+`"}`))
			streamed := rest.Do(t, http.MethodPost, "/v1/invoke:stream", invoke("things.get", `{"id":"`+way+`"}`))
			for _, a := range []testenv.Answer{overREST, streamed} {
				_, _ = fmt.Fprintf(&got, "%s %v", a.Body, a.Header)
			}
			absent(t, "what the sandbox got", got.String(), canary)
			// Base64 of an answer that is no JSON must not hide it either.
			absent(t, "what the sandbox got, decoded", decodeBase64Members(got.String()), canary)
		})
	}
	require.Contains(t, upstream.Wire(), canary, "the upstream did get it")
}

// decodeBase64Members decodes every long run of base64 in a text.
func decodeBase64Members(text string) string {
	var all strings.Builder
	for _, run := range strings.FieldsFunc(text, func(r rune) bool {
		return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", r)
	}) {
		decoded, err := base64.RawStdEncoding.DecodeString(run)
		if err == nil {
			all.Write(decoded)
			all.WriteByte('\n')
		}
	}
	return all.String()
}
