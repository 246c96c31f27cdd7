package demo

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// accessLife is short, so that whoever tries the demo for a minute sees a refresh.
	accessLife = time.Minute
	codeLife   = time.Minute
	clientID   = "onedoor"
)

// accounts is a small OAuth 2.0 provider of the strict kind: authorization code with
// PKCE, access tokens of a minute, refresh tokens that are good once. Tokens say whose
// they are and carry a MAC, so that they outlive a restart; which were spent does not.
type accounts struct {
	mark     string // with which all its tokens begin
	key      []byte
	redirect string // the one URI to which it sends browsers
	origin   string // its own, which is its issuer; set before it serves
	page     *template.Template

	mu    sync.Mutex
	codes map[string]code
	spent map[string]int // the highest refresh token used, by family
}

// code is what an authorization code stands for.
type code struct {
	user, challenge string
	ends            time.Time
}

func newAccounts(mark, key Secret, redirect string) *accounts {
	return &accounts{
		mark: mark.Reveal(), key: []byte(key.Reveal()), redirect: redirect, codes: map[string]code{}, spent: map[string]int{},
		page: template.Must(template.New("authorize").Parse(authorizePage)),
	}
}

func (a *accounts) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /authorize", a.ask)
	mux.HandleFunc("POST /authorize", a.agree)
	mux.HandleFunc("POST /token", a.token)
	return mux
}

// demand lets a request through only with an access token of this provider.
func (a *accounts) demand(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		part, ok := a.read("at", token)
		if !ok || time.Now().Unix() >= int64(part.number) {
			reply(w, http.StatusUnauthorized, map[string]string{"error": "credential missing, wrong or expired"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// part is what a token says: for access tokens the number is the second at which it
// ends, for refresh tokens how many came before it in its family.
type part struct {
	user, family string
	number       int
}

// make writes a token: MARK.KIND.USER.FAMILY.NUMBER.MAC.
func (a *accounts) make(kind string, p part) string {
	text := strings.Join([]string{a.mark, kind, p.user, p.family, strconv.Itoa(p.number)}, ".")
	return text + "." + a.mac(text)
}

func (a *accounts) mac(text string) string {
	m := hmac.New(sha256.New, a.key)
	m.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

func (a *accounts) read(kind, token string) (part, bool) {
	at := strings.LastIndexByte(token, '.')
	if at < 0 || subtle.ConstantTimeCompare([]byte(token[at+1:]), []byte(a.mac(token[:at]))) != 1 {
		return part{}, false
	}
	fields := strings.Split(token[:at], ".")
	if len(fields) != 5 || fields[0] != a.mark || fields[1] != kind {
		return part{}, false
	}
	number, err := strconv.Atoi(fields[4])
	return part{fields[2], fields[3], number}, err == nil
}

// first is the refresh token with which alice's account is connected beforehand.
func (a *accounts) first(user string) string {
	return a.make("rt", part{user: user, family: "seed-" + strings.ToLower(rand.Text()), number: 1})
}

// token is the token endpoint (RFC 6749, section 3.2).
func (a *accounts) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	w.Header().Set("Cache-Control", "no-store")
	if r.PostFormValue("client_id") != clientID {
		reply(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		a.exchange(w, r)
	case "refresh_token":
		a.refresh(w, r.PostFormValue("refresh_token"))
	default:
		reply(w, http.StatusBadRequest, map[string]string{"error": "unsupported_grant_type"})
	}
}

func (a *accounts) exchange(w http.ResponseWriter, r *http.Request) {
	c, ok := a.codes[r.PostFormValue("code")]
	delete(a.codes, r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !ok || time.Now().After(c.ends) || r.PostFormValue("redirect_uri") != a.redirect ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != c.challenge {
		reply(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	a.give(w, part{user: c.user, family: strings.ToLower(rand.Text()), number: 1})
}

// refresh takes a refresh token once; one that comes again ends its family.
func (a *accounts) refresh(w http.ResponseWriter, token string) {
	p, ok := a.read("rt", token)
	if !ok || p.number <= a.spent[p.family] {
		a.spent[p.family] = int(^uint(0) >> 1)
		reply(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	a.spent[p.family] = p.number
	p.number++
	a.give(w, p)
}

func (a *accounts) give(w http.ResponseWriter, refresh part) {
	ends := part{user: refresh.user, family: refresh.family, number: int(time.Now().Add(accessLife).Unix())}
	reply(w, http.StatusOK, map[string]any{
		"access_token": a.make("at", ends), "token_type": "Bearer", "expires_in": int(accessLife.Seconds()),
		"refresh_token": a.make("rt", refresh), "scope": "contacts",
	})
}
