package sts

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/onedoor/onedoor/server/sigv4"
)

var errAnswer = errors.New("the answer is none of AssumeRole's")

type answer struct {
	XMLName xml.Name `xml:"AssumeRoleResponse"`
	Result  []struct {
		Credentials []struct {
			ID         []string `xml:"AccessKeyId"`
			Secret     []string `xml:"SecretAccessKey"`
			Token      []string `xml:"SessionToken"`
			Expiration []string `xml:"Expiration"`
		} `xml:"Credentials"`
	} `xml:"AssumeRoleResult"`
}

// readSession reads a whole answer. What stands twice, or cannot be a key, is none. What
// it says of its end is believed only up to what was asked for.
func readSession(body []byte, now time.Time, asked time.Duration) (Session, error) {
	var a answer
	if readXML(body, &a) != nil || len(a.Result) != 1 || len(a.Result[0].Credentials) != 1 {
		return Session{}, &Error{Kind: Unclear, cause: errAnswer}
	}
	c := a.Result[0].Credentials[0]
	if len(c.ID) != 1 || len(c.Secret) != 1 || len(c.Token) != 1 || len(c.Expiration) != 1 {
		return Session{}, &Error{Kind: Unclear, cause: errAnswer}
	}
	key, err := sigv4.ParseKey([]byte(c.ID[0] + ":" + c.Secret[0] + ":" + c.Token[0]))
	end, endErr := time.Parse(time.RFC3339, c.Expiration[0])
	if err != nil || endErr != nil || !end.After(now) { // a key without its token is none
		return Session{}, &Error{Kind: Unclear, cause: errAnswer}
	}
	return Session{key, min(end.Sub(now), asked)}, nil
}

// readXML reads one element and nothing behind it. A document type is refused: it could
// define what the text then means.
func readXML(body []byte, to any) error {
	scan := xml.NewDecoder(bytes.NewReader(body))
	for depth := 0; ; {
		token, err := scan.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errAnswer
		}
		switch t := token.(type) {
		case xml.Directive:
			return errAnswer
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 0 && strings.TrimSpace(string(t)) != "" {
				return errAnswer
			}
		}
	}
	decoder := xml.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(to); err != nil {
		return errAnswer
	}
	for {
		switch token, err := decoder.Token(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return errAnswer
		default:
			if _, second := token.(xml.StartElement); second {
				return errAnswer
			}
		}
	}
}
