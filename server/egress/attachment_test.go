package egress_test

import (
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

func TestAttachmentRefuses(t *testing.T) {
	for _, c := range []struct{ name, header, value string }{
		{"no name", "", "v"},
		{"line break in the name", "X-A\r\nX-B", "v"},
		{"colon in the name", "X-A:", "v"},
		{"space in the name", "X A", "v"},
		{"name that is not ASCII", "X-É", "v"},
		{"CR", "X-A", "v\rw"},
		{"LF", "X-A", "v\nw"},
		{"NUL", "X-A", "v\x00w"},
		{"DEL", "X-A", "v\x7fw"},
		{"no value", "X-A", ""},
		{"Host", "Host", "v"},
		{"Content-Length", "content-length", "1"},
		{"Transfer-Encoding", "Transfer_Encoding", "chunked"},
		{"Connection", "Connection", "close"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := egress.NewAttachment().SetHeader(c.header, c.value)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "v\\")
		})
	}
	att := egress.NewAttachment()
	require.Error(t, att.AddQuery("", "v"))
	require.Error(t, att.AddQuery("a\nb", "v"))
	require.Error(t, att.AddQuery("a", "v\r\n"))
	require.Error(t, att.AddQuery("a", ""))
	require.Error(t, att.Scrub(nil))
	require.Error(t, att.Use(nil))

	var zero egress.Attachment
	require.Error(t, zero.SetHeader("X-A", "v"))
	require.Error(t, zero.AddQuery("a", "v"))
	require.Error(t, zero.Use(egress.NewScrubber([]byte("v"))))
}

func TestAttachmentIsUnprintable(t *testing.T) {
	att := bearer(t)
	require.NoError(t, att.AddQuery("key", secret))
	requireUnprintable(t, att, secret)
	requireUnprintable(t, &att, secret)
	requireUnprintable(t, struct{ a egress.Attachment }{att}, secret)
	requireUnprintable(t, []egress.Attachment{att}, secret)
}

// What is attached and could not be found in the answer is not sent.
func TestDoRefusesWhatItCouldNotScrub(t *testing.T) {
	b := upstream(t, func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		name string
		fill func(egress.Attachment) error
	}{
		{"a header without a scrubber", func(a egress.Attachment) error { return a.SetHeader("X-Key", secret) }},
		{"a parameter without a scrubber", func(a egress.Attachment) error { return a.AddQuery("key", secret) }},
		{"another secret's scrubber", func(a egress.Attachment) error {
			_ = a.Scrub([]byte("another"))
			return a.SetHeader("X-Key", secret)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			att := egress.NewAttachment()
			require.NoError(t, c.fill(att))
			_, err := b.door.Do(t.Context(), b.key, b.policy, b.get("/path"), att, b.limits)
			requireError(t, err, egress.Denied, false)
		})
	}
	t.Run("what is added to one that was sent", func(t *testing.T) {
		for name, add := range map[string]func(egress.Attachment) error{
			"header": func(a egress.Attachment) error { return a.SetHeader("X-Key", "another-"+secret[:9]) },
			"query":  func(a egress.Attachment) error { return a.AddQuery("key", "another-"+secret[:9]) },
		} {
			att := bearer(t)
			_, err := b.door.Do(t.Context(), b.key, b.policy, b.get("/path"), att, b.limits)
			require.NoError(t, err)
			require.NoError(t, add(att))
			_, err = b.door.Do(t.Context(), b.key, b.policy, b.get("/path"), att, b.limits)
			require.Error(t, err, name)
			requireError(t, err, egress.Denied, false)
		}
	})
	t.Run("basic, by the pair that it is made of", func(t *testing.T) {
		att := egress.NewAttachment()
		require.NoError(t, att.SetHeader("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("user:password"))))
		require.NoError(t, att.Scrub([]byte("user:password")))
		_, err := b.door.Do(t.Context(), b.key, b.policy, b.get("/"), att, b.limits)
		require.NoError(t, err)
	})
}

// A copy holds what the original held, and what is added to one is not in the other.
func TestAttachmentCopy(t *testing.T) {
	var seen *http.Request
	b := upstream(t, func(_ http.ResponseWriter, r *http.Request) { seen = r })
	send := func(a egress.Attachment) *http.Request {
		t.Helper()
		_, err := b.door.Do(t.Context(), b.key, b.policy, b.get("/"), a, b.limits)
		require.NoError(t, err)
		return seen
	}
	original := bearer(t)
	require.NoError(t, original.AddQuery("key", secret))
	added := original.Copy()
	require.NoError(t, added.SetHeader("X-More", secret))
	require.NoError(t, added.SetHeader("Authorization", "Other "+secret))
	require.NoError(t, added.AddQuery("key", secret))

	more := send(added)
	require.Equal(t, []string{secret}, more.Header.Values("X-More"))
	require.Equal(t, []string{"Other " + secret}, more.Header.Values("Authorization"))
	require.Len(t, more.URL.Query()["key"], 2)
	less := send(original)
	require.Empty(t, less.Header.Values("X-More"))
	require.Equal(t, []string{"Bearer " + secret}, less.Header.Values("Authorization"))
	require.Len(t, less.URL.Query()["key"], 1)

	for range 2 { // three values: what holds them has room for a fourth
		require.NoError(t, original.AddQuery("key", secret))
	}
	one, other := original.Copy(), original.Copy()
	require.NoError(t, one.AddQuery("key", "one"+secret))
	require.NoError(t, other.AddQuery("key", "other"+secret))
	require.Contains(t, send(one).URL.Query()["key"], "one"+secret)

	var zero egress.Attachment
	require.NoError(t, zero.Copy().SetHeader("X-A", "v"), "a copy of nothing can be added to")
}
