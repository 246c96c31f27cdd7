package demo

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"time"
)

// authorizePage asks who is there, as a provider's sign-in would, without a password:
// it is a demo, and listens on loopback.
const authorizePage = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Demo accounts</title>
<meta name="viewport" content="width=device-width">
<style>body{font:1.1rem/1.5 sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem}button{font:inherit;padding:.5rem 1rem;margin:0 .5rem .5rem 0}</style>
</head><body><main>
<h1>Demo accounts</h1>
<p>Onedoor asks for access to your contacts. Who are you?</p>
<form method="post">
{{range $name, $value := .Hidden}}<input type="hidden" name="{{$name}}" value="{{$value}}">{{end}}
<button name="user" value="alice">Allow as alice</button>
<button name="user" value="bob">Allow as bob</button>
<button name="user" value="">Deny</button>
</form></main></body></html>`

// ask shows the page of an authorization request (RFC 6749, 4.1.1; RFC 7636).
func (a *accounts) ask(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if !a.asked(w, q) {
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = a.page.Execute(w, map[string]any{"Hidden": map[string]string{
		"client_id": q.Get("client_id"), "redirect_uri": q.Get("redirect_uri"), "response_type": q.Get("response_type"),
		"state": q.Get("state"), "code_challenge": q.Get("code_challenge"), "code_challenge_method": q.Get("code_challenge_method"),
	}})
}

// asked refuses a request that it could not answer, without sending the browser
// anywhere.
func (a *accounts) asked(w http.ResponseWriter, q url.Values) bool {
	if q.Get("client_id") != clientID || q.Get("redirect_uri") != a.redirect || q.Get("response_type") != "code" ||
		len(q.Get("code_challenge")) != 43 || q.Get("code_challenge_method") != "S256" {
		http.Error(w, "not an authorization request of onedoor's with PKCE (S256)", http.StatusBadRequest)
		return false
	}
	return true
}

// agree sends the browser back with a code, or with a no.
func (a *accounts) agree(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	if r.ParseForm() != nil || !a.asked(w, r.PostForm) {
		return
	}
	back := url.Values{"state": {r.PostForm.Get("state")}, "iss": {a.origin}}
	switch user := r.PostForm.Get("user"); user {
	case "alice", "bob":
		made := rand.Text()
		a.mu.Lock()
		a.codes[made] = code{user: user, challenge: r.PostForm.Get("code_challenge"), ends: time.Now().Add(codeLife)}
		a.mu.Unlock()
		back.Set("code", made)
	default:
		back.Set("error", "access_denied")
	}
	http.Redirect(w, r, a.redirect+"?"+back.Encode(), http.StatusSeeOther)
}
