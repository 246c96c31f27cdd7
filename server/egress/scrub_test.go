package egress_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

// awkward holds what escapes differ about, an escape of its own, and a byte that is
// no ASCII.
const awkward = `tok/En+%41"&\u0042=é<'x`

// spellings are the ways in which an upstream may write a secret.
func spellings(secret string) map[string]string {
	all := map[string]string{
		"raw":               secret,
		"query escape":      url.QueryEscape(secret),
		"path escape":       url.PathEscape(secret),
		"percent, all":      each(secret, "%%%02X"),
		"percent, lower":    each(secret, "%%%02x"),
		"JSON":              jsonText(secret, true),
		"JSON without HTML": jsonText(secret, false),
		"JSON slashes":      strings.ReplaceAll(jsonText(secret, false), "/", `\/`),
		"JavaScript":        each(secret, `\x%02x`),
		"hex":               hex.EncodeToString([]byte(secret)),
		"HEX":               strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"HTML":              html.EscapeString(secret),
	}
	if isASCII(secret) {
		all[`\u00xx`] = each(secret, `\u%04x`)
		all[`\u00XX`] = each(secret, `\u%04X`)
		all["HTML decimal"] = each(secret, "&#%d;")
		all["HTML hex"] = each(secret, "&#x%x;")
		all["UTF-16LE"] = each(secret, "%c\x00")
		all["UTF-16BE"] = each(secret, "\x00%c")
	}
	if !strings.ContainsAny(secret, `%\&`) { // those no encoder leaves as they are
		all["percent, mixed"] = mix(secret, "%%%02x")
		all[`\u mixed`] = mix(secret, `\u%04x`)
		all["HTML mixed"] = mix(secret, "&#%d;")
	}
	for before := range 3 {
		for after := range 3 {
			text := strings.Repeat("\xfb", before) + secret + strings.Repeat("\xff", after)
			name := fmt.Sprintf(" at %d, %d behind", before, after)
			all["base64"+name] = base64.StdEncoding.EncodeToString([]byte(text))
			all["base64url"+name] = base64.RawURLEncoding.EncodeToString([]byte(text))
		}
	}
	all["base64 in a query"] = url.QueryEscape(all["base64 at 0, 0 behind"])
	all["base64 in JSON"] = strings.ReplaceAll(all["base64 at 1, 1 behind"], "/", `\/`)
	return all
}

func each(s, format string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, format, c)
	}
	return b.String()
}

// mix escapes every second byte.
func mix(s, format string) string {
	var b strings.Builder
	for i, c := range []byte(s) {
		if i%2 == 1 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, format, c)
	}
	return b.String()
}

func jsonText(s string, escapeHTML bool) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(escapeHTML)
	_ = enc.Encode(s)
	text := strings.TrimSuffix(b.String(), "\n")
	return text[1 : len(text)-1]
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

func TestScrubberFindsEverySpellingAtEverySplit(t *testing.T) {
	for _, secret := range []string{"sk-live-4f9Qz7", awkward, strings.ReplaceAll(awkward, "é", "e"), "aaaaaaaa", "abcabcabd", "1234567890abcdef", "%41%41%41", `\\\\\\\\`, "user:pass word"} {
		s := egress.NewScrubber([]byte(secret))
		for name, spelled := range spellings(secret) {
			t.Run(secret+" "+name, func(t *testing.T) {
				requireFound(t, s, spelled)
				got, err := io.ReadAll(s.Reader(iotest.OneByteReader(strings.NewReader(`{"z":"` + spelled + `","z":1}`))))
				require.NoError(t, err)
				requireLittle(t, string(got), spelled, 8+1)
			})
		}
	}
}

func TestScrubberTable(t *testing.T) {
	for _, c := range []struct {
		name    string
		secrets []string
		in, out string
		hits    int64
	}{
		{"nothing", []string{"secret"}, "harmless", "harmless", 0},
		{"no secrets", nil, "harmless %41", "harmless %41", 0},
		{"an empty secret", []string{""}, "harmless", "harmless", 0},
		{"two places", []string{"secret"}, "a secret, a secret", "a [redacted], a [redacted]", 2},
		{"side by side", []string{"secret"}, "secretsecret", "[redacted][redacted]", 2},
		{"a false start", []string{"secret"}, "sesecretsecre", "se[redacted]secre", 1},
		{"one inside another", []string{"secret", "my-secret-key"}, "my-secret-key my-secret-kex", "[redacted] my-[redacted]-kex", 2},
		{"overlapping", []string{"abcdef", "defghi"}, "xabcdefghiy", "x[redacted]y", 1},
		{"prefix of another", []string{"abcd", "abcdefgh"}, "abcdefgx abcdefgh", "[redacted]efgx [redacted]", 2},
		{"short, as it stands", []string{"pin"}, "my pin 70696e", "my [redacted] 70696e", 1},
		{"a short one in a form", []string{"my pin"}, "q=my+pin", "q=[redacted]", 1},
		{"a short one in base64", []string{"~~?~~?"}, "fn4/fn4/ fn4_fn4_", "[redacted] [redacted]", 2},
		{"escapes around are kept", []string{"secret"}, `a%20\n&amp;secret%20\u0041`, `a%20\n&amp;[redacted]%20\u0041`, 1},
		{"an escape that swallows its head", []string{"1secret"}, "%41secret %4 1secret", "%4[redacted] %4 [redacted]", 2},
		{"half an escape at the end", []string{"secret"}, "100% sure\\", "100% sure\\", 0},
		{"half a secret at the end", []string{"secret"}, "secre", "secre", 0},
		{"one that prolongs itself", []string{"aaa"}, "b" + strings.Repeat("a", 50) + "b", "b[redacted]b", 1},
		{"one that prolongs itself, apart", []string{"aba"}, "ababaXaba", "[redacted]X[redacted]", 2},
		{"case counts", []string{"Secret"}, "secret SECRET", "secret SECRET", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var secrets [][]byte
			for _, s := range c.secrets {
				secrets = append(secrets, []byte(s))
			}
			s := egress.NewScrubber(secrets...)
			out, hits := s.String(c.in)
			require.Equal(t, c.out, out)
			require.Equal(t, c.hits, hits)
			slow, err := io.ReadAll(s.Reader(iotest.OneByteReader(strings.NewReader(c.in))))
			require.NoError(t, err)
			require.Equal(t, c.out, string(slow))
		})
	}
}

// Bytes go out at once unless they may begin a secret.
func TestScrubberHoldsBackNoMoreThanItMust(t *testing.T) {
	for _, c := range []struct{ name, first, out string }{
		{"an event", "data: {\"x\":\"a\\\"b\"}\n\n", "data: {\"x\":\"a\\\"b\"}\n\n"},
		{"the beginning of a secret", "data: secr", "data: "},
		{"the beginning of an escape", "data: %4", "data: "},
		{"what is no escape", "data: %4q&?~", "data: %4q&?~"},
		{"a whole secret", "data: secret\n", "data: [redacted]\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, w := io.Pipe()
			defer func() { _ = w.Close() }()
			go func() { _, _ = io.WriteString(w, c.first) }()
			s := egress.NewScrubber([]byte("secret")).Reader(r)
			buf := make([]byte, 100)
			n, err := s.Read(buf)
			require.NoError(t, err)
			require.Equal(t, c.out, string(buf[:n]))
		})
	}
}

// Of a thousand events, each read by itself, nothing is held back: not a letter by which
// the secret might begin, and not the blank line that sends the event off.
func TestScrubberHoldsNoEvent(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789     .,-_"
	word := func(n int) string {
		var b strings.Builder
		for range n {
			_ = b.WriteByte(letters[random.IntN(len(letters))])
		}
		return b.String()
	}
	for _, end := range []string{"\"}\n\n", "\"}\r\n\r\n", "\n\n", "\"}\n", "\n", "</p>", "\"]", "\"}"} {
		var events []io.Reader
		for range 1000 {
			events = append(events, strings.NewReader("data: {\"delta\":\""+word(random.IntN(20))+end))
		}
		r := egress.NewScrubber([]byte(secret)).Reader(io.MultiReader(slices.Clone(events)...))
		buf := make([]byte, 100)
		for _, e := range events {
			want := int(e.(*strings.Reader).Size())
			n, err := r.Read(buf)
			require.NoError(t, err)
			require.Equal(t, want, n, "%q held back of an event that ends with %q", buf[:n], end)
		}
	}
}

func TestScrubberDropsWhatABrokenStreamLeft(t *testing.T) {
	broken := errors.New("broken")
	r := egress.NewScrubber([]byte("secret")).Reader(io.MultiReader(strings.NewReader("data: secre"), iotest.ErrReader(broken)))
	got, err := io.ReadAll(r)
	require.ErrorIs(t, err, broken)
	require.Equal(t, "data: ", string(got))
}

func TestScrubberIsUnprintable(t *testing.T) {
	s := egress.NewScrubber([]byte("canary-secret"))
	requireUnprintable(t, s, "canary-secret")
	requireUnprintable(t, *s, "canary-secret")
	requireUnprintable(t, struct{ s *egress.Scrubber }{s}, "canary-secret")
}

// requireUnprintable looks for the secret, as text, numbers and hex, in every way to
// print a value.
func requireUnprintable(t *testing.T, v any, secret string) {
	t.Helper()
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%U", "%t", "%p"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", v)
	text, _ := json.Marshal(v)
	b.Write(text)
	numbers := strings.Trim(fmt.Sprint([]byte(secret)), "[]")
	for _, form := range []string{secret, numbers, hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret))} {
		require.NotContains(t, strings.ToLower(b.String()), strings.ToLower(form))
	}
}

// However the text is cut, the secret is not in it, and nothing but the secret is missing.
func FuzzScrubber(f *testing.F) {
	f.Add("secret", "a secret %73ecret", uint64(1))
	f.Add("aaa", "aaaaaaa", uint64(2))
	f.Add(awkward, "x"+jsonText(awkward, true), uint64(3))
	f.Add("000000000000", "0\\0X0000000000000", uint64(122))
	f.Fuzz(func(t *testing.T, secret, text string, seed uint64) {
		if secret == "" || len(secret) > 200 || len(text) > 2000 || strings.Contains(egress.Redacted, secret) {
			return
		}
		s := egress.NewScrubber([]byte(secret))
		whole, hits := s.String(text)
		require.Equal(t, hits > 0, whole != text)
		if !strings.ContainsAny(secret, "[]redacted") {
			require.NotContains(t, whole, secret)
		}
		r := s.Reader(&randomReader{text, rand.New(rand.NewPCG(seed, 0))})
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, hits, r.Redactions())
		if !strings.ContainsAny(secret, "[]redacted") {
			require.NotContains(t, string(got), secret)
		}
		// Where it was cut, up to three symbols are out, and what stands between them.
		require.LessOrEqual(t, len(got), len(whole)+3*(1+32)*int(hits))
	})
}

// randomReader gives text in pieces of random length, some of them empty.
type randomReader struct {
	text   string
	random *rand.Rand
}

func (r *randomReader) Read(p []byte) (int, error) {
	if r.text == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.random.IntN(5))], r.text)
	r.text = r.text[n:]
	return n, nil
}

func BenchmarkScrubber(b *testing.B) {
	secret := []byte("sk-live-4f9Qz7Lm2XcVbN8sKd0PwRtYuIoAeHgJ")
	body := bytes.Repeat([]byte(`{"id":42,"name":"Ada \"L\"","mail":"ada@example.com","tags":["a","b"]},`), 15)[:1024]
	b.Run("compile", func(b *testing.B) {
		for b.Loop() {
			egress.NewScrubber(secret)
		}
	})
	s := egress.NewScrubber(secret)
	b.Run("1 KiB", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 2048)
		for b.Loop() {
			r := s.Reader(bytes.NewReader(body))
			for {
				if _, err := r.Read(buf); err != nil {
					break
				}
			}
		}
	})
	b.Run("header", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.String("application/json; charset=utf-8")
		}
	})
}

// What scrubbing adds to an exchange over TLS on loopback, of an answer of 1 KiB: rounds
// with and without it alternate, so that whatever else the machine does meets both.
func BenchmarkScrubbingAnExchange(b *testing.B) {
	body := bytes.Repeat([]byte(`{"id":42,"name":"Ada \"L\"","mail":"ada@example.com","tags":["a","b"]},`), 15)[:1024]
	up := upstream(b, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	})
	without := egress.NewAttachment()
	require.NoError(b, without.SetPlain("Authorization", "Bearer "+secret))
	kinds := [2]egress.Attachment{without, bearer(b)}
	const round = 100
	var more, whole []float64
	for n := 0; b.Loop(); n++ {
		var spent [2]time.Duration
		for i := range kinds {
			i = (i + n) % 2
			start := time.Now()
			for range round {
				res, err := up.door.Do(b.Context(), up.key, up.policy, up.get("/"), kinds[i], up.limits)
				require.NoError(b, err)
				_, err = res.Bytes()
				require.NoError(b, err)
			}
			spent[i] = time.Since(start)
		}
		more = append(more, float64(spent[1]-spent[0])/round)
		whole = append(whole, float64(spent[0])/round)
	}
	slices.Sort(more)
	slices.Sort(whole)
	b.ReportMetric(whole[len(whole)/2], "ns/without")
	b.ReportMetric(more[len(more)/2], "ns/more")
	b.ReportMetric(100*more[len(more)/2]/whole[len(whole)/2], "%more")
}
