package rest

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/onedoor/onedoor/server/connect"
)

//go:embed pages/page.html
var connectPage string

//go:embed pages/style.css
var connectStyle string

// page is one page as the template takes it: exactly one of its last four is set.
type page struct {
	Title string
	Style template.CSS

	Offer   *connect.View
	Next    *connect.Next
	Done    *doneView
	Problem *connect.Text

	// Path, PageToken and Until go with Offer.
	Path, PageToken, Until string
}

// doneView is a run that went well, with its end in words.
type doneView struct {
	connect.Outcome
	Until string
}

// pages writes the pages that people see. They need no scripts, and load nothing.
type pages struct {
	template *template.Template
	policy   string
}

func newPages() (*pages, error) {
	t, err := template.New("connect").Parse(connectPage)
	if err != nil {
		return nil, fmt.Errorf("connect pages: %w", err)
	}
	sum := sha256.Sum256([]byte(connectStyle))
	// Browsers hold form-action against every redirect that follows, wherever a provider
	// leads: so our form is answered with a page that goes on, and with no redirect.
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	return &pages{t, policy}, nil
}

// write sends a page. What cannot be rendered is an empty 500: half a page would be
// worse.
func (p *pages) write(w http.ResponseWriter, status int, data page) {
	data.Style = template.CSS(connectStyle) //nolint:gosec // a constant of ours
	var text bytes.Buffer
	if err := p.template.ExecuteTemplate(&text, "page", data); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	if data.Offer != nil {
		// Under no-referrer a browser's POST has `Origin: null` (Fetch, section 3.1). The
		// page leads nowhere else, so its address reaches nobody but us.
		h.Set("Referrer-Policy", "same-origin")
	}
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes()) // fails only if the browser is gone
}

func (p *pages) problem(w http.ResponseWriter, k connect.Kind) {
	text := k.Text()
	if k == connect.TooMany {
		w.Header().Set("Retry-After", "60")
	}
	p.write(w, statusOfKind(k), page{Title: text.Title, Problem: &text})
}

func statusOfKind(k connect.Kind) int {
	switch k {
	case connect.Unknown:
		return http.StatusNotFound
	case connect.Used, connect.Expired:
		return http.StatusGone
	case connect.Malformed:
		return http.StatusBadRequest
	case connect.OtherBrowser, connect.Forged, connect.Denied, connect.OtherUser, connect.WrongIssuer, connect.NotProven:
		return http.StatusForbidden
	case connect.Changed:
		return http.StatusConflict
	case connect.TooMany:
		return http.StatusTooManyRequests
	case connect.Refused, connect.Unreachable:
		return http.StatusBadGateway
	case connect.NotSetUp, connect.Later:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// until is a time as people read it.
func until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 January 2006, 15:04 UTC")
}
