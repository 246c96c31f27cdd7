package rest

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/onedoor/onedoor/server/connect"
	"github.com/onedoor/onedoor/server/limit"
)

// browserCookie holds what makes a browser the one that began. Its prefix keeps every
// other host, and whoever sits in between, from setting it (RFC 6265bis, 4.1.3.2).
const browserCookie = "__Host-onedoor-connect"

const (
	cookieLife = 3600    // seconds; longer than the whole way may take
	maxForm    = 4 << 10 // bytes
	// maxGuessers bounds how many addresses are remembered for wrong links.
	maxGuessers = 100_000
)

// ConnectOptions are what the pages for connecting accounts are made of; all are needed.
type ConnectOptions struct {
	Flow *connect.Flow
	// URL is where browsers reach the public listener; requests that act must come from
	// pages of that origin.
	URL    string
	Random io.Reader
	// FailuresPerSecond and FailureBurst bound the wrong links that one address opens.
	FailuresPerSecond float64
	FailureBurst      int
}

// Connect serves /connect/ to people's browsers. To look at a link changes nothing; to
// go on is a POST of our own page.
type Connect struct {
	o       ConnectOptions
	pages   *pages
	guesses *limit.Failures // wrong links by address
}

// NewConnect makes the pages for connecting accounts.
func NewConnect(o ConnectOptions) (*Connect, error) {
	p, err := newPages()
	if err != nil {
		return nil, err
	}
	return &Connect{o: o, pages: p, guesses: limit.NewFailures(o.FailuresPerSecond, o.FailureBurst, maxGuessers, time.Now)}, nil
}

// connectPrefix is where these pages are.
const connectPrefix = "/connect/"

// ServeHTTP serves one request.
func (c *Connect) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if c.guesses.Blocked(limit.PeerOf(r.RemoteAddr)) > 0 {
		c.pages.problem(w, connect.TooMany)
		return
	}
	rest := strings.TrimPrefix(r.URL.Path, connectPrefix)
	done, isDone := strings.CutPrefix(rest, "done/")
	switch {
	case r.Method == http.MethodPost && connect.IsToken(rest):
		c.begin(w, r, rest)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
	case rest == "callback" && r.Method == http.MethodGet: // a HEAD must not use up a code
		c.callback(w, r)
	case isDone:
		c.done(w, r, done)
	default:
		c.look(w, r, rest)
	}
}

// look shows what a link is for.
func (c *Connect) look(w http.ResponseWriter, r *http.Request, link string) {
	view, err := c.o.Flow.Look(r.Context(), link, r.RemoteAddr)
	if err != nil {
		c.fail(w, r, err)
		return
	}
	browser := browserOf(r)
	if browser == "" {
		if browser, err = connect.NewToken(c.o.Random); err != nil {
			c.fail(w, r, err)
			return
		}
	}
	http.SetCookie(w, &http.Cookie{
		Name: browserCookie, Value: browser, Path: "/", MaxAge: cookieLife, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	c.pages.write(w, http.StatusOK, page{
		Title: "Connect your account", Offer: &view, Path: connectPrefix + link, PageToken: c.o.Flow.PageToken(browser, link),
		Until: until(view.Expires),
	})
}

// begin uses a link up. It takes the word of the browser that our own page asks for it,
// and beside that something which only this page in this browser can know.
func (c *Connect) begin(w http.ResponseWriter, r *http.Request, link string) {
	next, err := c.o.Flow.Begin(r.Context(), link, browserOf(r), c.pageToken(w, r), r.RemoteAddr)
	if err != nil {
		c.fail(w, r, err)
		return
	}
	c.goOn(w, next)
}

// pageToken gives what our own page sent; empty, which Flow.Begin refuses and records,
// where it is no POST of that page's.
func (c *Connect) pageToken(w http.ResponseWriter, r *http.Request) string {
	if origins := r.Header.Values("Origin"); len(origins) != 1 || origins[0] != c.o.URL {
		return ""
	}
	// Browsers that say where a request comes from must say that it comes from us.
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return ""
	}
	if r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		return ""
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return ""
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form["page"]) != 1 {
		return ""
	}
	return form.Get("page")
}

// callback takes what a provider sent the browser back with.
func (c *Connect) callback(w http.ResponseWriter, r *http.Request) {
	arrived, err := c.o.Flow.Answer(r.Context(), r.URL.RawQuery, browserOf(r), r.RemoteAddr)
	switch {
	case err != nil:
		c.fail(w, r, err)
	case arrived.Done != "":
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Location", connectPrefix+"done/"+arrived.Done)
		w.WriteHeader(http.StatusSeeOther)
	default:
		c.goOn(w, arrived.Next)
	}
}

// goOn leads the browser to a provider, by a page: a redirect would be held against the
// form-action of the page before, ours or a provider's.
func (c *Connect) goOn(w http.ResponseWriter, next connect.Next) {
	w.Header().Set("Refresh", "0;url="+next.URL)
	c.pages.write(w, http.StatusOK, page{Title: "On to " + next.Host, Next: &next})
}

// done says how it ended.
func (c *Connect) done(w http.ResponseWriter, r *http.Request, token string) {
	outcome, err := c.o.Flow.Outcome(r.Context(), token, browserOf(r))
	switch {
	case err != nil:
		c.fail(w, r, err)
	case outcome.Problem != "":
		c.pages.problem(w, outcome.Problem)
	default:
		c.pages.write(w, http.StatusOK, page{Title: "Your account is connected", Done: &doneView{outcome, until(outcome.Ends)}})
	}
}

// fail shows a problem, and counts what may be a guess.
func (c *Connect) fail(w http.ResponseWriter, r *http.Request, err error) {
	kind := connect.Internal
	var p *connect.Problem
	if errors.As(err, &p) {
		kind = p.Kind
	}
	if kind == connect.Unknown || kind == connect.Malformed {
		c.guesses.Failed(limit.PeerOf(r.RemoteAddr))
	}
	c.pages.problem(w, kind)
}

// browserOf gives the browser's cookie, empty where it has none, or one that we never
// made, or two.
func browserOf(r *http.Request) string {
	found := r.CookiesNamed(browserCookie)
	if len(found) != 1 || !connect.IsToken(found[0].Value) {
		return ""
	}
	return found[0].Value
}
