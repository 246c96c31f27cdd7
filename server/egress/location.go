package egress

import (
	"errors"
	"net/url"
	"strings"
)

// Location is a URL as this package takes it: always https, always a host name, and
// nothing in path and query for which [Door.Do] would refuse a request.
type Location struct {
	Origin Origin
	// Path is escaped; it may be empty.
	Path string
	// Query is encoded, without "?".
	Query string
}

var errLocation = errors.New("not an https URL with a host name, without user and fragment, with a plain path and query")

// ParseLocation reads a URL. Its error does not repeat it.
func ParseLocation(text string) (Location, error) {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || strings.Contains(text, "#") {
		return Location{}, errLocation
	}
	origin, err := ParseOrigin(u.Scheme + "://" + u.Host)
	if err != nil {
		return Location{}, errLocation
	}
	l := Location{Origin: origin, Path: u.EscapedPath(), Query: u.RawQuery}
	if !isPlainPath(l.Path) || !isPlainQuery(l.Query) {
		return Location{}, errLocation
	}
	return l, nil
}

// String gives the URL; empty for the zero Location.
func (l Location) String() string {
	if l.Origin.host == "" {
		return ""
	}
	text := l.Origin.String() + l.Path
	if l.Query != "" {
		text += "?" + l.Query
	}
	return text
}
