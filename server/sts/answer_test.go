package sts_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/sts"
)

var now = time.Date(2026, 11, 25, 13, 15, 0, 0, time.UTC)

const (
	id     = "ASIACANARYEXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG/canary/KEY"
	token  = "IQoJb3JpZ2luX2VjEO7//canary+token=="
)

// granted is STS's answer as its manual prints it.
const granted = `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleResult>
    <SourceIdentity>x</SourceIdentity>
    <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/demo/x</Arn><AssumedRoleId>ARO123:x</AssumedRoleId></AssumedRoleUser>
    <Credentials>
      <AccessKeyId>` + id + `</AccessKeyId>
      <SecretAccessKey>` + secret + `</SecretAccessKey>
      <SessionToken>` + token + `</SessionToken>
      <Expiration>2026-11-25T13:30:00Z</Expiration>
    </Credentials>
    <PackedPolicySize>8</PackedPolicySize>
  </AssumeRoleResult>
  <ResponseMetadata><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ResponseMetadata>
</AssumeRoleResponse>
`

func TestReadSession(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		asked    time.Duration
		life     time.Duration
	}{
		"as in the manual":          {"", "", 15 * time.Minute, 15 * time.Minute},
		"with parts of a second":    {"13:30:00Z", "13:29:59.5Z", 15 * time.Minute, 15*time.Minute - 500*time.Millisecond},
		"longer than was asked for": {"13:30:00Z", "23:30:00Z", 15 * time.Minute, 15 * time.Minute},
		"an XML declaration":        {"<AssumeRoleResponse", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<AssumeRoleResponse", 15 * time.Minute, 15 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := sts.ReadSession([]byte(strings.Replace(granted, c.old, c.new, 1)), now, c.asked)
			require.NoError(t, err)
			require.Equal(t, c.life, s.Life)
			require.Equal(t, id+":"+secret+":"+token, string(s.Key.Text().Reveal()))
			require.NotContains(t, fmt.Sprintf("%+v %#v", s, s), "canary")
		})
	}
}

func TestReadSessionRefuses(t *testing.T) {
	swap := func(old, text string) string { return strings.Replace(granted, old, text, 1) }
	credentials := granted[strings.Index(granted, "<Credentials>") : strings.Index(granted, "</Credentials>")+len("</Credentials>")]
	for name, text := range map[string]string{
		"nothing":              "",
		"no XML":               "canary",
		"cut off":              granted[:len(granted)/2],
		"another answer":       strings.ReplaceAll(granted, "AssumeRoleResponse", "GetSessionTokenResponse"),
		"JSON":                 `{"AssumeRoleResponse":{}}`,
		"two answers":          granted + granted,
		"text behind":          granted + "canary",
		"text before":          "canary" + granted,
		"a document type":      `<!DOCTYPE x [<!ENTITY e "canary">]>` + granted,
		"an unknown entity":    swap(secret, "&canary;"),
		"credentials twice":    swap("<PackedPolicySize>8</PackedPolicySize>", credentials),
		"no credentials":       swap(credentials, ""),
		"the id twice":         swap("<SessionToken>", "<AccessKeyId>ASIAOTHER</AccessKeyId><SessionToken>"),
		"no secret":            swap("<SecretAccessKey>"+secret+"</SecretAccessKey>", ""),
		"an empty token":       swap(token, ""),
		"no token":             swap("<SessionToken>"+token+"</SessionToken>", ""),
		"a colon in the token": swap(token, token+":x"),
		"a line break":         swap(token, token+"\nX-A: b"),
		"no end":               swap("<Expiration>2026-11-25T13:30:00Z</Expiration>", ""),
		"an odd end":           swap("2026-11-25T13:30:00Z", "soon"),
		"an end that is past":  swap("2026-11-25T13:30:00Z", "2026-11-25T13:15:00Z"),
		"another encoding":     "<?xml version=\"1.0\" encoding=\"UTF-16\"?>" + granted,
	} {
		t.Run(name, func(t *testing.T) {
			s, err := sts.ReadSession([]byte(text), now, time.Hour)
			require.Empty(t, s.Key.ID)
			requireError(t, err, sts.Unclear, "")
		})
	}
}

func requireError(t *testing.T, err error, kind sts.Kind, code string) {
	t.Helper()
	var e *sts.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, kind, e.Kind, "%v", err)
	require.Equal(t, code, e.Code)
	for ; err != nil; err = errors.Unwrap(err) {
		require.NotContains(t, err.Error(), "canary")
	}
}

func TestRefusal(t *testing.T) {
	refused := func(code string) string {
		return `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>` + code +
			`</Code><Message>canary is not authorized</Message></Error><RequestId>canary</RequestId></ErrorResponse>`
	}
	for name, c := range map[string]struct {
		status int
		body   string
		kind   sts.Kind
		code   string
	}{
		"no right":            {403, refused("AccessDenied"), sts.Refused, "AccessDenied"},
		"an unknown key":      {403, refused("InvalidClientTokenId"), sts.Refused, "InvalidClientTokenId"},
		"a wrong signature":   {403, refused("SignatureDoesNotMatch"), sts.Refused, "SignatureDoesNotMatch"},
		"too large a policy":  {400, refused("PackedPolicyTooLarge"), sts.TooMuch, "PackedPolicyTooLarge"},
		"an invented code":    {400, refused("canary"), sts.Refused, "other"},
		"two codes":           {400, refused("AccessDenied</Code><Code>canary"), sts.Refused, ""},
		"throttled":           {400, refused("Throttling"), sts.Unavailable, "Throttling"},
		"busy":                {503, "canary", sts.Unavailable, ""},
		"too many":            {429, "canary", sts.Unavailable, ""},
		"broken":              {500, "canary", sts.Unclear, ""},
		"a proxy's page":      {403, "<html>canary", sts.Refused, ""},
		"redirected":          {302, "", sts.Unclear, ""},
		"done, but not quite": {204, "", sts.Unclear, ""},
	} {
		t.Run(name, func(t *testing.T) { requireError(t, sts.Refusal(c.status, []byte(c.body)), c.kind, c.code) })
	}
}

// FuzzReadSession: whatever STS answers, it is a key that can sign or an error.
func FuzzReadSession(f *testing.F) {
	f.Add([]byte(granted))
	f.Add([]byte(strings.Replace(granted, token, "&#x41;<!-- x -->b", 1)))
	f.Add([]byte("<!DOCTYPE a><AssumeRoleResponse/>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := sts.ReadSession(body, now, time.Hour)
		if err == nil && (s.Life <= 0 || s.Life > time.Hour || strings.Count(string(s.Key.Text().Reveal()), ":") != 2) {
			t.Error("a session that is none")
		}
		var e *sts.Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("not an error of this package: %T", err)
		}
		_ = sts.Refusal(400, body)
	})
}
