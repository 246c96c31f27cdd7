package assertion

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Profile is a form of token. The two are never mixed: their typ differs.
type Profile int

const (
	// RequestBound is the default profile, typ onedoor-assertion+jwt: one audience, and
	// method, target, query and body of one request.
	RequestBound Profile = iota
	// TxnToken is the strict Transaction Token (draft-ietf-oauth-transaction-tokens-10),
	// typ txntoken+jwt: its audience is the trust domain, services hand it on unchanged
	// down a chain of calls, and so it is bound to no request and may be seen twice.
	TxnToken
)

// form is what distinguishes the profiles on the wire.
type form struct{ typ, header string }

func (p Profile) form() form {
	if p == TxnToken {
		return form{"txntoken+jwt", "Txn-Token"}
	}
	return form{"onedoor-assertion+jwt", "X-Onedoor-Jwt-Assertion"}
}

// maxLife is the longest life that is accepted, whoever signed it. Drafts say "minutes
// or less"; brokers give 60 s.
const maxLife = 300 * time.Second

// Options says whose assertions are accepted, and for whom they must be.
type Options struct {
	// Issuer is the broker's issuer, compared with iss exactly. An https URL. Required.
	Issuer string
	// Audience is this service's identifier as its connector names it, for TxnToken the
	// trust domain. Compared with aud exactly. Required.
	Audience string
	// Profile defaults to RequestBound.
	Profile Profile
	// Header carries the token. It defaults to the profile's own name, and must be set
	// where the connector sets another.
	Header string

	// JWKSURL is where the public keys are; default Issuer + "/.well-known/jwks.json".
	// Only https is accepted: whoever can change the keys can say anything.
	JWKSURL string
	// HTTPClient fetches the keys. Default: the system's trusted roots and a timeout of
	// 10 s. Redirects are never followed.
	HTTPClient *http.Client
	// KeysFresh is how long fetched keys are used before they are asked for again;
	// default 5 min, which is what brokers announce in Cache-Control.
	KeysFresh time.Duration
	// KeysStale is how long after they were fetched keys are still used while the
	// broker cannot be reached; default 24 h. A key that the broker stopped publishing
	// is dropped as soon as one answer is without it.
	KeysStale time.Duration
	// RefreshInterval is the least time between two fetches, so that forged kids do not
	// become load on the broker; default 10 s.
	RefreshInterval time.Duration

	// Origin is this service as the broker addresses it, for instance
	// "https://payroll.internal". Without it scheme and host are taken from the request,
	// which is right only where no proxy changes them or ends TLS in front.
	Origin string
	// MaxBody bounds the bytes of a body that are held in memory to compute its digest;
	// default 10 MiB.
	MaxBody int64
	// Leeway is the clock skew that is forgiven; default 30 s, at most 5 min.
	Leeway time.Duration
	// Replay remembers used assertions; default NewMemoryReplay(100_000). Instances of
	// one service that share no memory need one that they share.
	Replay ReplayCache

	// BrokerID is the one SPIFFE ID from which assertions are accepted. Without it the
	// peer must be authenticated by other means, for instance the mesh.
	BrokerID string
	// PeerVerified says that the server's TLS configuration verifies client certificates
	// by itself, as go-spiffe's tlsconfig does. Without it only a certificate that
	// crypto/tls verified (tls.RequireAndVerifyClientCert) is believed.
	PeerVerified bool
	// RequireConfirmation refuses an assertion that is bound to no certificate by cnf. Set
	// it where the connector shows a client certificate (tls.client, or a certificate among
	// its credentials): the assertion is then of no use over anybody else's connection. Not
	// for TxnToken, which is handed on over other connections, nor with TLSElsewhere.
	RequireConfirmation bool
	// TLSElsewhere says that a proxy in front ends TLS and authenticates the broker. An
	// assertion bound to a certificate by cnf is then accepted without seeing it;
	// otherwise it is refused. Not together with BrokerID.
	TLSElsewhere bool

	// Now is the clock; default time.Now.
	Now func() time.Time
}

const (
	defaultKeysFresh       = 5 * time.Minute
	defaultKeysStale       = 24 * time.Hour
	defaultRefreshInterval = 10 * time.Second
	defaultFetchTimeout    = 10 * time.Second
	defaultMaxBody         = 10 << 20
	defaultLeeway          = 30 * time.Second
	maxLeeway              = 5 * time.Minute
	defaultReplayEntries   = 100_000
)

// complete fills in the defaults and says all that is missing or contradictory.
func (o *Options) complete() error {
	if o.JWKSURL == "" {
		o.JWKSURL = strings.TrimSuffix(o.Issuer, "/") + "/.well-known/jwks.json"
	}
	if o.Header == "" {
		o.Header = o.Profile.form().header
	}
	if o.HTTPClient == nil {
		o.HTTPClient = &http.Client{Timeout: defaultFetchTimeout}
	}
	if o.Replay == nil {
		o.Replay = NewMemoryReplay(defaultReplayEntries)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxBody == 0 {
		o.MaxBody = defaultMaxBody
	}
	orDefault(&o.KeysFresh, defaultKeysFresh)
	orDefault(&o.KeysStale, defaultKeysStale)
	orDefault(&o.RefreshInterval, defaultRefreshInterval)
	orDefault(&o.Leeway, defaultLeeway)
	return o.check()
}

func (o *Options) check() error {
	var faults []error
	must := func(holds bool, format string, args ...any) {
		if !holds {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	must(isHTTPS(o.Issuer), "Issuer %q: not an https URL", o.Issuer)
	must(o.Audience != "", "Audience is missing")
	must(o.Profile == RequestBound || o.Profile == TxnToken, "Profile %d is unknown", o.Profile)
	must(isHTTPS(o.JWKSURL), "JWKSURL %q: not an https URL", o.JWKSURL)
	must(o.KeysFresh > 0 && o.KeysStale >= o.KeysFresh, "KeysStale %s: not after KeysFresh %s", o.KeysStale, o.KeysFresh)
	must(o.RefreshInterval > 0, "RefreshInterval %s: not positive", o.RefreshInterval)
	must(o.Leeway > 0 && o.Leeway <= maxLeeway, "Leeway %s: not within 0 and %s", o.Leeway, maxLeeway)
	must(o.MaxBody > 0, "MaxBody %d: not positive", o.MaxBody)
	must(o.BrokerID == "" || strings.HasPrefix(o.BrokerID, "spiffe://"), "BrokerID %q: not a SPIFFE ID", o.BrokerID)
	must(o.BrokerID == "" || !o.TLSElsewhere, "BrokerID cannot be seen where TLS ends elsewhere")
	must(!o.RequireConfirmation || !o.TLSElsewhere, "RequireConfirmation: the certificate cannot be seen where TLS ends elsewhere")
	must(!o.RequireConfirmation || o.Profile != TxnToken, "RequireConfirmation: a Transaction Token is bound to no certificate")
	if o.Origin != "" {
		_, err := canonical(o.Origin)
		must(err == nil, "Origin %q: %w", o.Origin, err)
	}
	return errors.Join(faults...)
}

func orDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

func isHTTPS(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && u.Fragment == ""
}
