package rest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/onedoor/onedoor/server/fault"
)

// Public serves what anybody may see, without any API: /healthz (200 as long as the
// process serves), /readyz (200, or 503 with the public text of ready's *fault.Error)
// and /openapi.json. GET and HEAD only.
func Public(ready func(ctx context.Context) error) http.Handler {
	pages := map[string]http.HandlerFunc{
		"/healthz":      alive,
		"/readyz":       readiness(ready),
		"/openapi.json": description(OpenAPI()),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
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

// description serves the OpenAPI document; clients may keep it for a while and ask by
// its ETag whether it changed.
func description(doc []byte) http.HandlerFunc {
	etag := fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(doc)))
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=300")
		w.Header().Set("ETag", etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(doc))
	}
}
