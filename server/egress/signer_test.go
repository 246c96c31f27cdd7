package egress_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

const signature = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"

// stamp gives an Attachment with the headers, each a secret of its own.
func stamp(t testing.TB, headers ...string) egress.Attachment {
	t.Helper()
	a := egress.NewAttachment()
	for i := 0; i < len(headers); i += 2 {
		require.NoError(t, a.SetHeader(headers[i], headers[i+1]))
		require.NoError(t, a.Scrub([]byte(headers[i+1])))
	}
	return a
}

func signed(t testing.TB, s egress.Signer) egress.Attachment {
	t.Helper()
	a := bearer(t)
	require.NoError(t, a.SignWith(s))
	return a
}

// A signer sees the request as it leaves, and has the last word on its headers.
func TestSignerSeesWhatIsSent(t *testing.T) {
	var got *http.Request
	b := upstream(t, func(_ http.ResponseWriter, r *http.Request) { got = r })
	var seen egress.Outgoing
	att := signed(t, func(o egress.Outgoing) (egress.Attachment, error) {
		seen = o
		a := stamp(t, "Authorization", "Signature "+signature, "X-Token", signature)
		if err := a.SetPlain("X-Date", "20261125T120000Z"); err != nil {
			return a, err
		}
		o.Header.Set("X-Late", "late") // a copy
		o.URL.Path = "/elsewhere"
		return a, nil
	})
	require.NoError(t, att.AddQuery("key", secret))
	req := &egress.Request{
		Method: "POST", Origin: b.origin, Path: "/a%20b", Query: "q=1", Body: []byte("body"),
		Header: http.Header{"X-Date": {"yesterday"}, "X_token": {"mine"}, "X-Stays": {"stays"}},
	}
	_, err := b.door.Do(t.Context(), b.key, b.policy, req, att, b.limits)
	require.NoError(t, err)
	require.Equal(t, "POST", seen.Method)
	require.Equal(t, "body", string(seen.Body))
	require.Equal(t, got.Host, seen.URL.Host)
	require.Equal(t, "/a%20b?q=1&key="+url.QueryEscape(secret), got.URL.RequestURI())
	require.Equal(t, "Bearer "+secret, seen.Header.Get("Authorization"), "what is attached is there before")
	require.Equal(t, []string{"Signature " + signature}, got.Header.Values("Authorization"))
	require.Equal(t, []string{"20261125T120000Z"}, got.Header.Values("X-Date"))
	require.Equal(t, []string{signature}, got.Header.Values("X-Token"))
	require.Empty(t, got.Header["X_token"], "another spelling of what is signed is gone")
	require.Empty(t, got.Header.Values("X-Late"))
	for _, name := range []string{"User-Agent", "Accept-Encoding", "X-Stays"} {
		require.Equal(t, got.Header.Values(name), seen.Header.Values(name), name)
	}
}

// What a signer gave for a request is not in its answer, in any form.
func TestSignatureIsScrubbed(t *testing.T) {
	forms := map[string]func(string) string{
		"plain": func(s string) string { return s },
		"query": url.QueryEscape,
		"upper": func(s string) string { return strings.ToUpper(hexOf(s)) },
		"bytes": func(s string) string { return spaced(s) },
	}
	b := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		form := forms[r.URL.Query().Get("form")]
		w.Header().Set("X-Echo", form(r.Header.Get("Authorization")))
		_, _ = w.Write([]byte("before " + form(r.Header.Get("Authorization")) + form(secret) + " after"))
	})
	n := 0
	att := signed(t, func(egress.Outgoing) (egress.Attachment, error) {
		n++
		return stamp(t, "Authorization", signature[n:]), nil
	})
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			req := b.get("/")
			req.Query = "form=" + name
			res, err := b.door.Do(t.Context(), b.key, b.policy, req, att, b.limits)
			require.NoError(t, err)
			text, err := res.Bytes()
			require.NoError(t, err)
			require.Equal(t, "before "+egress.Redacted+egress.Redacted+" after", string(text))
			require.NotContains(t, res.Header.Get("X-Echo"), form(signature[n:]))
		})
	}
}

func TestSignerRefused(t *testing.T) {
	b := upstream(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	for name, s := range map[string]egress.Signer{
		"an error": func(egress.Outgoing) (egress.Attachment, error) {
			return egress.NewAttachment(), errors.New("canary " + secret)
		},
		"nothing": func(egress.Outgoing) (egress.Attachment, error) { return egress.Attachment{}, nil },
		"a header without a scrubber": func(egress.Outgoing) (egress.Attachment, error) {
			a := egress.NewAttachment()
			return a, a.SetHeader("X-Key", signature)
		},
		"a parameter": func(egress.Outgoing) (egress.Attachment, error) {
			a := stamp(t, "X-Key", signature)
			return a, a.AddQuery("key", signature)
		},
		"another signer": func(egress.Outgoing) (egress.Attachment, error) {
			a := stamp(t, "X-Key", signature)
			return a, a.SignWith(func(egress.Outgoing) (egress.Attachment, error) { return a, nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.door.Do(t.Context(), b.key, b.policy, b.get("/path"), signed(t, s), b.limits)
			requireError(t, err, egress.Denied, false)
		})
	}
	var zero egress.Attachment
	sign := func(egress.Outgoing) (egress.Attachment, error) { return zero, nil }
	require.Error(t, zero.SignWith(sign))
	require.Error(t, egress.NewAttachment().SignWith(nil))
	require.Error(t, signed(t, sign).SignWith(sign), "there is one signer")
	for _, name := range []string{"Host", "Content-Length", "Transfer_Encoding", "Connection", "X A"} {
		require.Error(t, egress.NewAttachment().SetPlain(name, "v"), name)
	}
	require.Error(t, zero.SetPlain("X-A", "v"))
}

// A signed Attachment can be kept and copied: each request has its own signature.
func TestSignerIsCopied(t *testing.T) {
	var seen []string
	b := upstream(t, func(_ http.ResponseWriter, r *http.Request) { seen = append(seen, r.Header.Get("X-Key")) })
	n := 0
	att := signed(t, func(egress.Outgoing) (egress.Attachment, error) {
		n++
		return stamp(t, "X-Key", signature[n:]), nil
	})
	for _, a := range []egress.Attachment{att, att.Copy(), att} {
		_, err := b.door.Do(t.Context(), b.key, b.policy, b.get("/"), a, b.limits)
		require.NoError(t, err)
	}
	require.Equal(t, []string{signature[1:], signature[2:], signature[3:]}, seen)
	requireUnprintable(t, stamp(t, "X-Key", signature), signature)
}

// BenchmarkScrubberOfASignature is what a signed request costs besides.
func BenchmarkScrubberOfASignature(b *testing.B) {
	for b.Loop() {
		egress.NewScrubber([]byte(signature))
	}
}

func hexOf(s string) string { return strings.ReplaceAll(spaced(s), " ", "") }

// spaced is how S3 writes bytes in the answer to a wrong signature.
func spaced(s string) string { return fmt.Sprintf("% x", s) }
