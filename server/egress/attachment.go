package egress

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
)

// Attachment is what makes a request authentic: headers and query parameters that
// hold secrets, a certificate for the connection, and the scrubbers that find those
// secrets in the answer. It is unprintable: everything stands behind a closure, where
// no verb and no encoder comes. The zero Attachment attaches nothing and cannot be added to.
//
// Every header and parameter attached counts as secret, and [Door.Do] refuses an Attachment
// whose own scrubbers do not recognise each of its values. What is set by
// [Attachment.SetPlain] alone tells nothing.
type Attachment struct{ reveal func() *attached }

type attached struct {
	header    http.Header
	query     url.Values
	plain     http.Header
	scrubbers []*Scrubber
	shows     *certificate // in the TLS handshake; nil for none
	signer    Signer       // nil: nobody signs
	known     atomic.Bool  // the scrubbers know each value; set by open alone
}

var (
	errNoAttachment = errors.New("attachment: not made by NewAttachment")
	errAttachName   = errors.New("attachment: this name cannot be attached")
	errAttachValue  = errors.New("attachment: the value holds control characters")
	errUnscrubbed   = errors.New("attachment: it holds a value that its scrubbers do not know")
)

// NewAttachment makes an empty Attachment. It is for one request and one goroutine.
func NewAttachment() Attachment {
	a := &attached{header: http.Header{}, query: url.Values{}, plain: http.Header{}}
	return Attachment{func() *attached { return a }}
}

// Copy makes an Attachment of the same contents, to which more can be added: one that is
// kept for many requests stays as it is.
func (a Attachment) Copy() Attachment {
	if a.reveal == nil {
		return NewAttachment()
	}
	from := a.reveal()
	to := &attached{
		header: from.header.Clone(), query: maps.Clone(from.query), plain: from.plain.Clone(),
		scrubbers: slices.Clone(from.scrubbers), shows: from.shows, signer: from.signer,
	}
	for name, values := range to.query {
		to.query[name] = slices.Clone(values)
	}
	return Attachment{func() *attached { return to }}
}

// SetHeader sets a header; whatever the request says under that name gives way. It
// refuses an empty value, control characters, and names that frame the message or
// route it.
func (a Attachment) SetHeader(name, value string) error {
	if err := a.admit(name, value); err != nil {
		return err
	}
	at := a.reveal()
	at.known.Store(false)
	at.header.Set(name, value)
	return nil
}

// SetPlain is SetHeader for a value that tells nothing, such as the time of a signature:
// an answer is not scrubbed of it.
func (a Attachment) SetPlain(name, value string) error {
	if err := a.admit(name, value); err != nil {
		return err
	}
	a.reveal().plain.Set(name, value)
	return nil
}

func (a Attachment) admit(name, value string) error {
	switch {
	case a.reveal == nil:
		return errNoAttachment
	case !isToken(name) || framing[spelling(name)]:
		return errAttachName
	case value == "" || !isFieldValue(value):
		return errAttachValue
	}
	return nil
}

// AddQuery adds a query parameter behind those of the request.
func (a Attachment) AddQuery(name, value string) error {
	switch {
	case a.reveal == nil:
		return errNoAttachment
	case name == "" || !isFieldValue(name):
		return errAttachName
	case value == "" || !isFieldValue(value):
		return errAttachValue
	}
	at := a.reveal()
	at.known.Store(false)
	at.query.Add(name, value)
	return nil
}

// Scrub takes a secret out of the answer. It compiles a Scrubber for this one request;
// for a secret that is attached often, compile once and [Attachment.Use] it.
func (a Attachment) Scrub(secret []byte) error {
	if len(secret) == 0 {
		return errAttachValue
	}
	return a.Use(NewScrubber(secret))
}

// Use adds a Scrubber.
func (a Attachment) Use(s *Scrubber) error {
	if a.reveal == nil || s == nil {
		return errNoAttachment
	}
	at := a.reveal()
	at.scrubbers = append(at.scrubbers, s)
	return nil
}

// Format keeps the secrets out of every verb.
func (a Attachment) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[attachment]") }

// MarshalText keeps them out of encoders and structured logs.
func (a Attachment) MarshalText() ([]byte, error) { return []byte("[attachment]"), nil }

// open gives what is attached, once it is sure that the answer can be scrubbed of it.
func (a Attachment) open() (*attached, error) {
	if a.reveal == nil {
		return &attached{}, nil
	}
	at := a.reveal()
	if at.known.Load() { // one that is kept for many requests is looked through once
		return at, nil
	}
	for name, values := range at.header {
		if strings.HasPrefix(spelling(name), "proxy-") {
			return nil, errProxyHeader
		}
		if !at.knows(values) {
			return nil, errUnscrubbed
		}
	}
	for _, values := range at.query {
		if !at.knows(values) {
			return nil, errUnscrubbed
		}
	}
	at.known.Store(true)
	return at, nil
}

func (at *attached) knows(values []string) bool {
	for _, v := range values {
		if _, hits := at.scrub(v); hits == 0 {
			return false
		}
	}
	return true
}

// scrub runs every scrubber over text.
func (at *attached) scrub(text string) (string, int64) {
	var total int64
	for _, s := range at.scrubbers {
		clean, hits := s.String(text)
		text, total = clean, total+hits
	}
	return text, total
}

// isFieldValue refuses NUL, CR, LF and every other control character but tab.
func isFieldValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// isToken says whether s can be a header's name (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && !(c >= '0' && c <= '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
