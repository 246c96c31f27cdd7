package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/onedoor/onedoor/server/egress"
)

const (
	algorithm   = "AWS4-HMAC-SHA256"
	timeFormat  = "20060102T150405Z"
	dateHeader  = "X-Amz-Date"
	tokenHeader = "X-Amz-Security-Token"
	bodyHeader  = "X-Amz-Content-Sha256"
)

// Headers are those that a signature takes for itself.
func Headers() []string { return []string{"Authorization", dateHeader, tokenHeader, bodyHeader} }

// Scope is where a signature is good.
type Scope struct{ Region, Service string }

// isS3 knows the services that read a path as it was escaped once, and want the hash of
// the body in a header.
func (s Scope) isS3() bool {
	return s.Service == "s3" || s.Service == "s3-outposts" || s.Service == "s3-object-lambda"
}

// Signer signs with a key. now is the time by which AWS judges the signature; it allows
// five minutes, or fifteen, and answers 403 beyond.
func Signer(k Key, s Scope, now func() time.Time) egress.Signer {
	return func(o egress.Outgoing) (egress.Attachment, error) {
		signed, err := sign(o, k, s, now().UTC())
		if err != nil {
			return egress.Attachment{}, err
		}
		return signed.attachment()
	}
}

// signed is what a signature adds to a request.
type signed struct {
	plain, secret map[string]string // headers
	signature     string
}

func sign(o egress.Outgoing, k Key, s Scope, at time.Time) (signed, error) {
	when, body := at.Format(timeFormat), hexHash(o.Body)
	to := signed{plain: map[string]string{dateHeader: when}, secret: map[string]string{}}
	if s.isS3() {
		to.plain[bodyHeader] = body
	}
	if token := string(k.Token.Reveal()); token != "" {
		to.secret[tokenHeader] = token
	}
	for _, name := range Headers() {
		o.Header.Del(name)
	}
	for _, headers := range []map[string]string{to.plain, to.secret} {
		for name, value := range headers {
			o.Header.Set(name, value)
		}
	}
	request, names, err := canonical(o, s, body)
	if err != nil {
		return signed{}, err
	}
	scope := strings.Join([]string{when[:8], s.Region, s.Service, "aws4_request"}, "/")
	text := strings.Join([]string{algorithm, when, scope, hexHash([]byte(request))}, "\n")
	to.signature = hex.EncodeToString(mac(signingKey(k, s, when[:8]), text))
	to.secret["Authorization"] = algorithm + " Credential=" + k.ID + "/" + scope + ", SignedHeaders=" + names + ", Signature=" + to.signature
	return to, nil
}

// attachment: the bare signature is what the answer is scrubbed of; it is in the header's
// value whatever form that comes back in. The token is known to whoever holds the key.
func (s signed) attachment() (egress.Attachment, error) {
	a := egress.NewAttachment()
	for name, value := range s.plain {
		if err := a.SetPlain(name, value); err != nil {
			return egress.Attachment{}, err
		}
	}
	for name, value := range s.secret {
		if err := a.SetHeader(name, value); err != nil {
			return egress.Attachment{}, err
		}
	}
	return a, a.Scrub([]byte(s.signature))
}

func signingKey(k Key, s Scope, day string) []byte {
	key := append([]byte("AWS4"), k.Secret.Reveal()...)
	for _, part := range []string{day, s.Region, s.Service, "aws4_request"} {
		key = mac(key, part)
	}
	return key
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(text))
	return h.Sum(nil)
}

func hexHash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
