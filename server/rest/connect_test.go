package rest_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	flow "github.com/onedoor/onedoor/server/connect"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/idtoken"
	"github.com/onedoor/onedoor/server/rest"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

const (
	public  = "https://onedoor.example"
	hostile = `<script>alert("1")</script>'&`
)

// desk is the pages over a flow whose store has one run, and whose parts all say the same
// hostile things.
type desk struct {
	run    flow.Run
	pages  http.Handler
	link   string
	cookie string
	// fails is what the exchange of a code comes to.
	fails error
	ends  time.Time
	// refused are the details of what was recorded as refused.
	refused []string
}

func newDesk(t *testing.T, change ...func(o *rest.ConnectOptions)) *desk {
	t.Helper()
	d := &desk{}
	f := flow.New(flow.Options{
		URL: public, Bearer: true, Store: d, Connectors: d, Credentials: d, Users: d, Issuers: d, Digester: d, Trail: d,
		BrokerID: "broker", Random: rand.Reader, NewID: uuid.NewString, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	o := rest.ConnectOptions{Flow: f, URL: public, Random: rand.Reader, FailuresPerSecond: 0.001, FailureBurst: 3}
	for _, c := range change {
		c(&o)
	}
	pages, err := rest.NewConnect(o)
	require.NoError(t, err)
	d.pages = rest.Public(func(context.Context) error { return nil }, nil, pages)
	link, _, err := f.Offer(t.Context(), flow.Offer{Workspace: "default", Connector: "things", Issuer: "local", Subject: hostile, By: "operator"})
	require.NoError(t, err)
	d.link = strings.TrimPrefix(link, public)
	return d
}

func (d *desk) AddRun(_ context.Context, r flow.Run) error { d.run = r; return nil }

func (d *desk) RunByLink(_ context.Context, digests [][]byte) (flow.Run, error) {
	if string(digests[0]) != string(d.run.LinkDigest) {
		return flow.Run{}, store.ErrNotFound
	}
	return d.run, nil
}

func (d *desk) RunByState(_ context.Context, digests [][]byte) (flow.Run, error) {
	if string(digests[0]) != string(d.run.StateDigest) {
		return flow.Run{}, store.ErrNotFound
	}
	return d.run, nil
}

func (d *desk) Advance(_ context.Context, r flow.Run, _ flow.Step, _ time.Time) error {
	d.run = r
	return nil
}

func (d *desk) PruneRuns(context.Context, time.Time) error { return nil }

func (d *desk) Current(context.Context, string, string) (connector.Revision, error) {
	return connector.Revision{Number: 1}, nil
}

const manifest = `
connector: things
kind: http
description: '` + "<script>alert(\"1\")</script>''&" + `'
origin: https://things.example
credentials:
  main:
    owner: user
    attach: bearer
    oauth:
      grant: authorization_code
      authorization_endpoint: https://accounts.example/authorize
      token_endpoint: https://accounts.example/token
      client: {id: onedoor, auth: none}
      scopes: [a.read, "<b>"]
tools:
  - {name: get, severity: READ, method: GET, path: /get, resources: ["thing:*"]}
`

func (d *desk) Parsed(context.Context, connector.Revision) (*connector.Connector, error) {
	c, err := connector.Parse([]byte(manifest))
	if err == nil {
		c.Revision = 1
	}
	return c, err
}

func (d *desk) Connectable(_ context.Context, c *connector.Connector, slot string, _ task.User) (connector.Slot, error) {
	return c.Slots[slot], nil
}

func (d *desk) Connect(context.Context, credential.Authorization) (credential.Connected, error) {
	return credential.Connected{Ends: d.ends, Missing: []string{"<b>"}}, d.fails
}

func (d *desk) EnsureUser(_ context.Context, _, issuer, subject, id string, _ time.Time) (task.User, error) {
	return task.User{ID: id, Issuer: issuer, Subject: subject}, nil
}

func (d *desk) Accepts(string, string) bool { return false }

func (d *desk) Endpoints(context.Context, string, string) (idtoken.Endpoints, error) {
	return idtoken.Endpoints{}, fault.New(fault.IssuerUnavailable, "", nil)
}

func (d *desk) Verify(context.Context, string, vault.Secret, string) (task.User, error) {
	return task.User{}, fault.New(fault.IssuerUnavailable, "", nil)
}

func (d *desk) Digest(text []byte) (digest []byte, id string) {
	h := hmac.New(sha256.New, []byte("pepper"))
	_, _ = h.Write(text)
	return h.Sum(nil), "p"
}

func (d *desk) Digests(text []byte) [][]byte {
	one, _ := d.Digest(text)
	return [][]byte{one}
}

func (d *desk) Refuse(_ context.Context, e audit.Event) error {
	d.refused = append(d.refused, e.Detail)
	return nil
}

func (d *desk) BeginAdmin(context.Context, audit.Event) (audit.Intent, error) {
	return audit.Intent{}, nil
}

func (d *desk) Finish(audit.Intent, audit.Outcome) {}

// ask makes one request with the desk's cookie; header holds names and values in turn.
func (d *desk) ask(method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if d.cookie != "" {
		r.Header.Set("Cookie", d.cookie)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	d.pages.ServeHTTP(w, r)
	if set := w.Header().Get("Set-Cookie"); set != "" {
		d.cookie, _, _ = strings.Cut(set, ";")
	}
	return w
}

// pressed opens the link and presses the button there.
func (d *desk) pressed(t *testing.T, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	found := regexp.MustCompile(`name="page" value="([^"]+)"`).FindStringSubmatch(d.ask("GET", d.link, "").Body.String())
	require.Len(t, found, 2)
	return d.ask("POST", d.link, "page="+found[1], append([]string{"Origin", public, "Content-Type", "application/x-www-form-urlencoded"}, header...)...)
}

// returned goes on by the link and comes back with a query, and gives the last page.
func (d *desk) returned(t *testing.T) *httptest.ResponseRecorder {
	t.Helper()
	onward := d.pressed(t)
	require.Equal(t, http.StatusOK, onward.Code)
	u, err := url.Parse(strings.TrimPrefix(onward.Header().Get("Refresh"), "0;url="))
	require.NoError(t, err)
	back := d.ask("GET", "/connect/callback?code=canary&state="+u.Query().Get("state"), "")
	require.Equal(t, http.StatusSeeOther, back.Code, back.Body.String())
	require.Empty(t, back.Body.String())
	return d.ask("GET", back.Header().Get("Location"), "")
}

// TestConnectPagesEscape: whatever stands in manifests, user names and answers is text.
func TestConnectPagesEscape(t *testing.T) {
	d := newDesk(t)
	d.ends = time.Date(2026, 11, 25, 14, 5, 0, 0, time.UTC)
	offer := d.ask("GET", d.link, "")
	require.Equal(t, http.StatusOK, offer.Code)
	require.Equal(t, 3, strings.Count(offer.Body.String(), "&lt;script&gt;alert("), "description, user, and who is taken for whom")
	done := d.returned(t)
	require.Equal(t, http.StatusOK, done.Code)
	require.Contains(t, done.Body.String(), "Until 25 November 2026, 14:05 UTC")
	require.Contains(t, done.Body.String(), "<li>&lt;b&gt;</li>")
	for _, page := range []string{offer.Body.String(), done.Body.String()} {
		for _, bad := range []string{"<script", "<b>", "canary", "ZgotmplZ"} {
			require.NotContains(t, page, bad)
		}
	}
}

// TestConnectStatuses: what went wrong below has a status and words of ours.
func TestConnectStatuses(t *testing.T) {
	for reason, want := range map[fault.Reason]int{
		fault.UpstreamUnavailable: 502, fault.CredentialNeedsReconnect: 502, fault.CredentialMissing: 503,
		fault.ConnectorChanged: 409, fault.StoreUnavailable: 503, fault.AuditUnavailable: 503, fault.Internal: 500, fault.TaskEnded: 500,
	} {
		d := newDesk(t)
		d.fails = fault.New(reason, "canary", nil)
		page := d.returned(t)
		require.Equal(t, want, page.Code, reason)
		require.Contains(t, page.Body.String(), "What you can do:")
		require.NotContains(t, page.Body.String(), "canary")
	}
}

// TestConnectRequests: what is no request of a person's browser to our pages.
func TestConnectRequests(t *testing.T) {
	form := []string{"Origin", public, "Content-Type", "application/x-www-form-urlencoded"}
	for name, c := range map[string]struct {
		method, target, body string
		header               []string
		status               int
	}{
		"another method":         {"PUT", "", "", nil, 405},
		"OPTIONS":                {"OPTIONS", "", "", nil, 405},
		"a POST to the callback": {"POST", "/connect/callback", "code=a&state=b", form, 405},
		"a POST to no link":      {"POST", "/connect/x", "page=x", form, 405},
		"no form":                {"POST", "", "", form, 403},
		"two tokens":             {"POST", "", "page=a&page=b", form, 403},
		"an endless form":        {"POST", "", "page=" + strings.Repeat("a", 5<<10), form, 403},
		"two origins":            {"POST", "", "page=a", append(form, "Origin", public), 403},
		"a HEAD of the page":     {"HEAD", "", "", nil, 200},
		"a HEAD of the callback": {"HEAD", "/connect/callback?code=a&state=" + strings.Repeat("A", 43), "", nil, 404},
		"nothing":                {"GET", "/connect/", "", nil, 404},
		"below a link":           {"GET", "/connect/done/", "", nil, 404},
		"the API":                {"GET", "/connect", "", nil, 404},
		"an endless answer":      {"GET", "/connect/callback?x=" + strings.Repeat("a", 17<<10), "", nil, 400},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			if c.target == "" {
				c.target = d.link
			}
			require.Equal(t, c.status, d.ask(c.method, c.target, c.body, c.header...).Code)
			require.Equal(t, flow.Offered, d.run.Step)
			wanted := c.status >= 400 && c.status != 405 && c.target != "/connect" && c.target != "/connect/done/" // it asked us to do something
			require.Equal(t, wanted, len(d.refused) == 1, "what is refused is recorded: %v", d.refused)
		})
	}
	for site, status := range map[string]int{"same-origin": 200, "same-site": 403, "cross-site": 403, "none": 403} {
		require.Equal(t, status, newDesk(t).pressed(t, "Sec-Fetch-Site", site).Code, site)
	}
}

// TestConnectCookies: one that is not ours is replaced, one that is stays, and two are
// none.
func TestConnectCookies(t *testing.T) {
	d := newDesk(t)
	d.ask("GET", d.link, "")
	first := d.cookie
	d.ask("GET", d.link, "")
	require.Equal(t, first, d.cookie, "two windows of one browser do not disturb each other")
	d.cookie = "__Host-onedoor-connect=forced"
	d.ask("GET", d.link, "")
	require.NotEqual(t, first, d.cookie)
	require.NotContains(t, d.cookie, "forced")
	require.Equal(t, http.StatusForbidden, d.pressed(t, "Cookie", first).Code)
	require.Equal(t, flow.Offered, d.run.Step)
}

// TestConnectWithoutRandomness: no page is better than one with a cookie that is known.
func TestConnectWithoutRandomness(t *testing.T) {
	d := newDesk(t, func(o *rest.ConnectOptions) { o.Random = strings.NewReader("") })
	answer := d.ask("GET", d.link, "")
	require.Equal(t, http.StatusInternalServerError, answer.Code)
	require.Empty(t, answer.Header().Get("Set-Cookie"))
}

// TestConnectGuesses: an address that guesses is shut out, and no other.
func TestConnectGuesses(t *testing.T) {
	d := newDesk(t)
	guess := "/connect/" + strings.Repeat("A", 43)
	for range 3 {
		require.Equal(t, http.StatusNotFound, d.ask("GET", guess, "").Code)
	}
	answer := d.ask("GET", d.link, "")
	require.Equal(t, http.StatusTooManyRequests, answer.Code)
	require.Equal(t, "60", answer.Header().Get("Retry-After"))
	from := func(peer, target string) int {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.RemoteAddr = peer
		w := httptest.NewRecorder()
		d.pages.ServeHTTP(w, r)
		return w.Code
	}
	require.Equal(t, http.StatusOK, from("198.51.100.1:1", d.link))
	for _, peer := range []string{"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3%eth0]:1"} {
		require.Equal(t, http.StatusNotFound, from(peer, guess))
	}
	require.Equal(t, http.StatusTooManyRequests, from("[2001:db8::4]:1", d.link), "a host has a whole /64 to itself")
	require.Equal(t, http.StatusOK, from("[2001:db8:0:1::1]:1", d.link))
	require.Equal(t, http.StatusOK, d.ask("GET", "/healthz", "").Code, "health is for everybody")

	d = newDesk(t)
	for range 3 {
		require.Equal(t, http.StatusNotFound, d.ask("POST", guess, "page=a").Code, "a guess is one however it is made")
	}
	require.Equal(t, http.StatusTooManyRequests, d.ask("GET", d.link, "").Code)
}

// TestNothingIsConnectedUnlessConfigured.
func TestNothingIsConnectedUnlessConfigured(t *testing.T) {
	w := httptest.NewRecorder()
	rest.Public(func(context.Context) error { return nil }, nil, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/connect/x", nil))
	require.Equal(t, http.StatusNotFound, w.Code)
	text, err := io.ReadAll(w.Body)
	require.NoError(t, err)
	require.Contains(t, string(text), "no such path")
}
