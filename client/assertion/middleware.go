package assertion

import (
	"context"
	"net/http"
)

type contextKey struct{}

// NewContext gives a context that carries verified claims. Middleware and the gRPC
// interceptors use it; tests of a service may.
func NewContext(ctx context.Context, c *Claims) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// FromContext gives the claims of the request, if it was verified.
func FromContext(ctx context.Context) (*Claims, bool) {
	c, ok := ctx.Value(contextKey{}).(*Claims)
	return c, ok
}

// Middleware lets through to next only requests with a valid assertion, whose claims
// FromContext gives. It answers others with the reason as text: 401, 413 for a body that
// is too large, or 503 where it cannot tell.
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, err := v.Verify(r.Context(), r)
		if err != nil {
			reason := ReasonOf(err)
			http.Error(w, "assertion refused: "+string(reason), status(reason))
			return
		}
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), claims)))
	})
}

func status(r Reason) int {
	switch r {
	case NotConfigured, KeysUnavailable, ReplayUnknown:
		return http.StatusServiceUnavailable
	case BodyTooLarge:
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusUnauthorized
}
