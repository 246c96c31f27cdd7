package egress

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// Policy is what an operator allows one connector beyond the public internet.
type Policy struct {
	// AllowRanges may be dialled although they are not public; see [Judge]. Empty
	// allows public addresses alone.
	AllowRanges []netip.Prefix
	// RootCAs are PEM certificates trusted instead of the system's. Empty: the
	// system's. Text in which no certificate is found is refused.
	RootCAs []byte
	// ServerID, where it is not zero, is who the upstream must be: its certificate must be
	// an X.509-SVID of exactly that ID, by the bundle of its trust domain and over TLS 1.3.
	// Neither the name nor RootCAs count then.
	ServerID spiffeid.ID
}

func (p Policy) equal(q Policy) bool {
	return slices.Equal(p.AllowRanges, q.AllowRanges) && bytes.Equal(p.RootCAs, q.RootCAs) && p.ServerID == q.ServerID
}

// clone makes p independent of what its giver may do to the slices later.
func (p Policy) clone() Policy {
	return Policy{slices.Clone(p.AllowRanges), bytes.Clone(p.RootCAs), p.ServerID}
}

// PoolKey says whose connection it is. Pooled connections are never shared between
// different keys, so a credential never travels on another one's connection.
type PoolKey struct {
	Workspace string
	Connector string
	Revision  int64
	// Credential names the credential and its version; empty where none is attached.
	Credential string
}

// Limits bound one exchange.
type Limits struct {
	// Total is the time for everything, from the name's resolution to the body's last
	// byte. Zero or less means 30 s.
	Total time.Duration
	// FirstByte is the time from the request's last byte to the answer's first. Zero or
	// less means 15 s.
	FirstByte time.Duration
	// Idle is the longest pause of an answer that is waited for. Zero or less means 30 s.
	Idle time.Duration
	// MaxResponseBytes bounds the decoded body. Zero or less means 10 MiB.
	MaxResponseBytes int64
}

const (
	defaultTotal            = 30 * time.Second
	defaultFirstByte        = 15 * time.Second
	defaultIdle             = 30 * time.Second
	defaultMaxResponseBytes = 10 << 20
)

func (l Limits) orDefaults() Limits {
	if l.Total <= 0 {
		l.Total = defaultTotal
	}
	if l.FirstByte <= 0 {
		l.FirstByte = defaultFirstByte
	}
	if l.Idle <= 0 {
		l.Idle = defaultIdle
	}
	if l.MaxResponseBytes <= 0 {
		l.MaxResponseBytes = defaultMaxResponseBytes
	}
	return l
}
