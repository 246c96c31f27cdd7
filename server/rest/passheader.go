package rest

import (
	"encoding/base64"
	"net/http"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/task"
)

// passKey finds the task key in the one header in which the client sends what it takes
// for the upstream's. No other header of the caller's goes any further, and these only here.
func (a *api) passKey(h http.Header) (metadata.MD, *fault.Error) {
	md := metadata.MD{}
	key := ""
	for _, name := range []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key"} {
		value, f := single(h, name)
		if f != nil {
			return nil, f
		}
		if value == "" {
			continue
		}
		if name == "Authorization" {
			value = bearerOf(value)
		} else {
			value = "Bearer " + value
		}
		if key != "" && value != key {
			return nil, fault.Invalid(strings.ToLower(name), "another header holds a different key")
		}
		key = value
	}
	if key != "" {
		md.Set("authorization", key)
	}
	if !a.opts.JWTSVID {
		return md, nil
	}
	svid, f := single(h, jwtHeader)
	if f == nil && svid != "" {
		md.Set(jwtHeader, svid)
	}
	return md, f
}

// bearerOf gives an Authorization header as the chain reads it. What is neither a bearer
// token nor a task key in basic authentication stays as it is, and is refused there.
func bearerOf(value string) string {
	scheme, credentials, ok := strings.Cut(value, " ")
	switch {
	case !ok:
	case strings.EqualFold(scheme, "bearer"):
		return "Bearer " + credentials
	case strings.EqualFold(scheme, "basic"):
		if key := basicKey(credentials); key != "" {
			return "Bearer " + key
		}
	}
	return value
}

// basicKey finds the task key in credentials of basic authentication (RFC 7617): it is the
// user's name or the password, as the upstream wants its own key. The other one says
// nothing and is dropped, unless it is a task key too: then nobody knows which is meant.
func basicKey(credentials string) string {
	plain, err := base64.StdEncoding.Strict().DecodeString(credentials)
	if err != nil {
		return ""
	}
	user, password, _ := strings.Cut(string(plain), ":")
	_, noUser := task.ParseKey(user)
	_, noPassword := task.ParseKey(password)
	switch {
	case noUser == nil && noPassword != nil:
		return user
	case noUser != nil && noPassword == nil:
		return password
	}
	return ""
}

// meaningful refuses a header without which the request would be another one: one that
// does something else, or does it where it should not have been done. Every other header
// is left behind silently, as RFC 9110 lets a server ignore it.
func meaningful(r *http.Request) *fault.Error {
	refused := []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "Content-Range"}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refused = append(refused, "If-Match", "If-None-Match", "If-Unmodified-Since")
	}
	for _, name := range refused {
		if len(r.Header.Values(name)) > 0 {
			return fault.Invalid(strings.ToLower(name), "no header goes to the upstream, and without this one the request is another: leave it out")
		}
	}
	return nil
}
