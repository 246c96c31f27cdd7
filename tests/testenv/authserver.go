package testenv

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// ClientSecret is what the client "onedoor" of an AuthServer proves itself with.
const ClientSecret = "canary-client-secret-8sK2"

// AuthServer is an OAuth 2.0 token endpoint, at /token, of the strict kind: a refresh
// token is good once, and using one again ends the whole family. Everything it gives
// holds the word "canary".
type AuthServer struct {
	*Upstream

	mu       sync.Mutex
	life     time.Duration
	families map[string]*family // by refresh token, spent ones too
	access   map[string]access
	behave   func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc)
	counts   AuthCounts
}

// AuthCounts is what an AuthServer has seen.
type AuthCounts struct {
	// Requests are all that arrived, Refreshes those that renewed a token, and Reused
	// those that brought a refresh token that was spent.
	Requests, Refreshes, Reused int
}

// family is all tokens that came of one sign-in.
type family struct {
	user string
	live string // the one refresh token that is good
}

type access struct {
	user string
	ends time.Time
}

// NewAuthServer serves until the test ends. Its access tokens live for life.
func NewAuthServer(t testing.TB, life time.Duration) *AuthServer {
	t.Helper()
	a := &AuthServer{life: life, families: map[string]*family{}, access: map[string]access{}}
	a.Upstream = NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.counts.Requests++
		behave := a.behave
		a.mu.Unlock()
		if behave != nil {
			behave(w, r, a.token)
			return
		}
		a.token(w, r)
	}))
	return a
}

// Account signs a user in and gives their first refresh token.
func (a *AuthServer) Account(user string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := &family{user: user, live: "canary-refresh-" + rand.Text()}
	a.families[f.live] = f
	return f.live
}

// Owner says whose an access token is; empty where it is not good now.
func (a *AuthServer) Owner(token string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := a.access[token]
	if time.Now().After(found.ends) {
		return ""
	}
	return found.user
}

// Counts says what it has seen.
func (a *AuthServer) Counts() AuthCounts {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.counts
}

// Behave puts f between requests and the honest answer; nil for nothing.
func (a *AuthServer) Behave(f func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.behave = f
}

// OAuth is the manifest's oauth section, in flow style, with the server's CA.
func (a *AuthServer) OAuth(grant, client string) string {
	ca, _ := json.Marshal(a.CA)
	authorize := ""
	if grant == "authorization_code" {
		authorize = "authorization_endpoint: " + a.Origin + "/authorize, "
	}
	return "{grant: " + grant + ", " + authorize + "token_endpoint: " + a.Origin + "/token, client: " + client +
		", network: {allow: [127.0.0.0/8]}, tls: {ca: " + string(ca) + "}}"
}

// token is the honest endpoint.
func (a *AuthServer) token(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id, secret, basic := r.BasicAuth()
	if basic && (id != "onedoor" || secret != ClientSecret) || !basic && r.PostFormValue("client_id") != "onedoor" {
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	switch r.PostFormValue("grant_type") {
	case "refresh_token":
		a.refresh(w, r.PostFormValue("refresh_token"))
	case "client_credentials":
		if !basic && r.PostFormValue("client_secret") != ClientSecret {
			refuse(w, http.StatusUnauthorized, "invalid_client")
			return
		}
		a.counts.Refreshes++
		a.give(w, "service", "")
	default:
		refuse(w, http.StatusBadRequest, "unsupported_grant_type")
	}
}

func (a *AuthServer) refresh(w http.ResponseWriter, token string) {
	f := a.families[token]
	if f == nil || f.live != token {
		if f != nil {
			a.counts.Reused++
			f.live = "" // somebody has a token that is not theirs: nobody keeps one
		}
		refuse(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	f.live = "canary-refresh-" + rand.Text()
	a.families[f.live] = f
	a.counts.Refreshes++
	a.give(w, f.user, f.live)
}

func (a *AuthServer) give(w http.ResponseWriter, user, refresh string) {
	token := "canary-access-" + rand.Text()
	a.access[token] = access{user, time.Now().Add(a.life)}
	answer := map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int(a.life / time.Second)}
	if refresh != "" {
		answer["refresh_token"] = refresh
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": "canary-description"})
}

// Bearer gives the bearer token of a request; empty where it has none.
func Bearer(r *http.Request) string {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return token
}
