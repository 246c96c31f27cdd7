package assertions_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What follows is printed in docs/assertions.md, to the end of the file.

const issuer, audience = "https://broker.example", "https://payroll.internal"

func verify(token string, keys map[string]*ecdsa.PublicKey, now func() time.Time) (jwt.MapClaims, error) {
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if t.Header["typ"] != "onedoor-assertion+jwt" || t.Header["crit"] != nil || keys[kid] == nil {
			return nil, errors.New("typ, crit or kid")
		}
		return keys[kid], nil
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(30*time.Second), jwt.WithTimeFunc(now))
	if err != nil {
		return nil, err
	}
	exp, _ := claims["exp"].(float64)
	iat, _ := claims["iat"].(float64)
	_, single := claims["aud"].(string)
	if claims["jti"] == nil || claims["sub"] == nil || !single || exp <= iat || exp-iat > 300 {
		return nil, errors.New("jti, sub, aud or life")
	}
	return claims, nil
}

func bound(claims jwt.MapClaims, method, url string, body []byte) bool {
	uri, query, _ := strings.Cut(url, "?")
	context, _ := claims["tctx"].(map[string]any)
	sum, hash := sha256.Sum256(body), sha256.Sum256([]byte(query))
	digest := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	var queried any
	if query != "" {
		queried = base64.RawURLEncoding.EncodeToString(hash[:])
	}
	content := context["content_digest"] == digest && context["body"] == nil ||
		context["content_digest"] == nil && context["body"] == "stream"
	return claims["htm"] == method && claims["htu"] == uri && context["query_sha256"] == queried && content
}

// used remembers assertions for one instance. Every six minutes the older half is
// forgotten: nothing is accepted for longer.
type used struct {
	mu         sync.Mutex
	young, old map[string]bool
	turned     time.Time
}

func (u *used) first(claims jwt.MapClaims, now time.Time) bool {
	jti, _ := claims["jti"].(string)
	u.mu.Lock()
	defer u.mu.Unlock()
	if now.Sub(u.turned) > 6*time.Minute {
		u.old, u.young, u.turned = u.young, map[string]bool{}, now
	}
	if jti == "" || u.old[jti] || u.young[jti] {
		return false
	}
	u.young[jti] = true
	return true
}
