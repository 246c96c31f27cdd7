package rest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/onedoor/onedoor/server/fault"
)

// Public serves what anybody may see, without any API: /healthz (200 as long as the
// process serves), /readyz (200, or 503 with the public text of ready's *fault.Error),
// /openapi.json and the given JSON documents by their paths, made anew each time. GET and
// HEAD only. Below /connect/ are the pages by which people connect their accounts, unless
// connect is nil.
func Public(ready func(ctx context.Context) error, documents map[string]func() ([]byte, error), connect http.Handler) http.Handler {
	description := OpenAPI()
	pages := map[string]http.HandlerFunc{
		"/healthz":      alive,
		"/readyz":       readiness(ready),
		"/openapi.json": keepable(func() ([]byte, error) { return description, nil }),
	}
	for path, d := range documents {
		pages[path] = keepable(d)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if connect != nil && strings.HasPrefix(r.URL.Path, connectPrefix) {
			connect.ServeHTTP(w, r)
			return
		}
		page, ok := pages[r.URL.Path]
		if !ok {
			writeStatus(w, http.StatusNotFound, status.New(codes.NotFound, "no such path"))
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			writeStatus(w, http.StatusMethodNotAllowed, status.New(codes.Unimplemented, "method not allowed"))
			return
		}
		page(w, r)
	})
}

func alive(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, []byte(`{"status":"ok"}`))
}

func readiness(ready func(ctx context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := ready(r.Context()); err != nil {
			writeStatus(w, http.StatusServiceUnavailable, statusWith(codes.Unavailable, fault.From(err)))
			return
		}
		writeJSON(w, http.StatusOK, []byte(`{"status":"ready"}`))
	}
}

// keepable serves JSON that clients may keep for a while; by its ETag they ask whether
// it changed.
func keepable(text func() ([]byte, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		now, err := text()
		if err != nil {
			writeStatus(w, http.StatusServiceUnavailable, statusWith(codes.Unavailable, fault.From(err)))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=300")
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(now)))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(now))
	}
}
