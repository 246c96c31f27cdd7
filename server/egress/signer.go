package egress

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
)

// Outgoing is a request as it is about to leave: cleaned, with all that is attached.
type Outgoing struct {
	Method string
	// URL is what is asked for; its Host is what the Host header says.
	URL *url.URL
	// Header is a copy: what is written there goes nowhere.
	Header http.Header
	// Body is the request's own: it must not be changed.
	Body []byte
}

// Signer signs one request. It is called last, when nothing but what it gives will
// change any more. What it gives is set in place of headers of the same name, and is
// known to scrubbers of its own or of the Attachment it belongs to. It is called by any
// number of goroutines at once.
type Signer func(Outgoing) (Attachment, error)

var (
	errTwoSigners = errors.New("attachment: somebody else signs already")
	errUnsigned   = errors.New("the request could not be signed")
	errSigned     = errors.New("what a signer gives are headers alone")
)

// SignWith has each request signed. Two signers would each undo the other's work, so
// there is one.
func (a Attachment) SignWith(s Signer) error {
	switch {
	case a.reveal == nil || s == nil:
		return errNoAttachment
	case a.reveal().signer != nil:
		return errTwoSigners
	}
	a.reveal().signer = s
	return nil
}

// sign has the request signed, and gives what its answer is scrubbed of. What is
// attached may be shared between requests, so it stays as it is.
func (at *attached) sign(out *http.Request, body []byte) (*attached, error) {
	if at.signer == nil {
		return at, nil
	}
	u := *out.URL
	given, err := at.signer(Outgoing{Method: out.Method, URL: &u, Header: out.Header.Clone(), Body: body})
	if err != nil || given.reveal == nil { // the text of such an error may hold anything
		return nil, errUnsigned
	}
	signature := given.reveal()
	if len(signature.query) > 0 || signature.signer != nil || signature.shows != nil {
		return nil, errSigned
	}
	both := &attached{scrubbers: slices.Concat(at.scrubbers, signature.scrubbers)}
	for _, values := range signature.header {
		if !both.knows(values) {
			return nil, errUnscrubbed
		}
	}
	ours := signature.names()
	for name := range out.Header {
		if ours[spelling(name)] {
			delete(out.Header, name)
		}
	}
	signature.setHeader(out.Header)
	return both, nil
}
