package egress_test

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onedoor/onedoor/server/egress"
)

type flusher interface {
	io.WriteCloser
	Flush() error
}

type coder struct {
	name string
	to   func(io.Writer) flusher
}

// coders write every content coding that is decoded.
var coders = []coder{
	{"gzip", func(w io.Writer) flusher { return gzip.NewWriter(w) }},
	{"br", func(w io.Writer) flusher { return brotli.NewWriter(w) }},
	{"zstd", func(w io.Writer) flusher {
		z, _ := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		return z
	}},
	{"deflate", func(w io.Writer) flusher { return zlib.NewWriter(w) }},
	{"deflate without a frame", func(w io.Writer) flusher {
		f, _ := flate.NewWriter(w, flate.DefaultCompression)
		return f
	}},
}

// coding is the name in the header.
func (c coder) coding() string { return strings.Fields(c.name)[0] }

func (c coder) bytes(t testing.TB, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := c.to(&b)
	_, err := w.Write(text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// coded is a bench whose upstream answers with a body under Content-Encoding headers.
func coded(t *testing.T, body []byte, codings ...string) *bench {
	t.Helper()
	return upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Encoding"] = codings
		_, _ = w.Write(body)
	})
}

func TestCodingIsDecoded(t *testing.T) {
	text := `{"auth":"Bearer ` + secret + `","pad":"` + strings.Repeat("0123456789", 10_000) + `"}`
	want := strings.ReplaceAll(text, secret, egress.Redacted)
	for _, c := range coders {
		plain := c.bytes(t, []byte(text))
		t.Run(c.name, func(t *testing.T) {
			b := coded(t, plain, strings.ToUpper(c.coding()))
			res, got := b.fetch(t, b.get("/"))
			require.Equal(t, want, got)
			require.EqualValues(t, 1, res.Redactions())
		})
		t.Run(c.name+", empty", func(t *testing.T) {
			b := coded(t, nil, c.coding())
			_, got := b.fetch(t, b.get("/"))
			require.Empty(t, got)
		})
		for _, over := range coders {
			t.Run(c.name+" within "+over.name, func(t *testing.T) {
				b := coded(t, over.bytes(t, plain), c.coding()+" , "+over.coding())
				_, got := b.fetch(t, b.get("/"))
				require.Equal(t, want, got)
			})
		}
		t.Run(c.name+" in three headers", func(t *testing.T) {
			b := coded(t, coders[0].bytes(t, coders[1].bytes(t, plain)), c.coding(), "br", "gzip")
			_, got := b.fetch(t, b.get("/"))
			require.Equal(t, want, got)
		})
		t.Run(c.name+" with more behind", func(t *testing.T) {
			for _, more := range []string{"x", secret, strings.Repeat("rubbish ", 10_000)} {
				b := coded(t, append(bytes.Clone(plain), more...), c.coding())
				_, err := read(t, b)
				var e *egress.Error
				require.ErrorAs(t, err, &e)
				require.Contains(t, []egress.Kind{egress.Withheld, egress.Lost}, e.Kind)
			}
		})
		t.Run(c.name+" cut short", func(t *testing.T) {
			for _, n := range []int{1, 10, len(plain) / 2, len(plain) - 1} {
				b := coded(t, plain[:n], c.coding())
				_, err := read(t, b)
				requireError(t, err, egress.Lost, true)
			}
		})
	}
	t.Run("gzip of several members", func(t *testing.T) {
		b := coded(t, append(gzipped(t, `{"auth":"Bearer `+secret[:7]), gzipped(t, secret[7:]+`"}`)...), "gzip")
		_, got := b.fetch(t, b.get("/"))
		require.Equal(t, `{"auth":"Bearer `+egress.Redacted+`"}`, got)
	})
}

// read makes a call and reads its answer.
func read(t *testing.T, b *bench) ([]byte, error) {
	t.Helper()
	res, err := b.do(t, b.get("/"))
	if err != nil {
		return nil, err
	}
	return res.Bytes()
}

// A bound holds on every layer, and for what takes much to say nothing.
func TestCodingIsLimited(t *testing.T) {
	zeros := make([]byte, 8<<20)
	var wide bytes.Buffer
	z, err := zstd.NewWriter(&wide, zstd.WithWindowSize(16<<20), zstd.WithEncoderConcurrency(1), zstd.WithSingleSegment(false))
	require.NoError(t, err)
	_, err = z.Write(make([]byte, 20<<20))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	skipped := append([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 4, 0}, make([]byte, 0x40000)...)
	type bomb struct {
		name, codings string
		body          []byte
		limit         int64
		kind          egress.Kind
	}
	cases := []bomb{
		{"a wide window", "zstd", wide.Bytes(), 100 << 20, egress.Withheld},
		{"empty members", "gzip", bytes.Repeat(gzipped(t, ""), 10_000), 5000, egress.TooLarge},
		{"skipped frames", "zstd", skipped, 5000, egress.TooLarge},
	}
	for _, c := range coders {
		bytes := c.bytes(t, zeros)
		cases = append(cases,
			bomb{c.name + ", a bomb", c.coding(), bytes, 100 << 20, egress.TooLarge},
			bomb{c.name + ", a bomb in a bomb", c.coding() + ", gzip", gzipped(t, string(bytes)), 100 << 20, egress.TooLarge},
			bomb{c.name + ", one over", c.coding(), c.bytes(t, zeros[:5001]), 5000, egress.TooLarge},
			bomb{c.name + ", at the limit", c.coding(), c.bytes(t, zeros[:5000]), 5000, 0},
			bomb{c.name + ", without bound", c.coding(), c.bytes(t, zeros[:5000]), 1<<63 - 1, 0},
		)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := coded(t, c.body, c.codings)
			b.limits.MaxResponseBytes = c.limit
			got, err := read(t, b)
			if c.kind == 0 {
				require.NoError(t, err)
				require.Len(t, got, 5000)
				return
			}
			requireError(t, err, c.kind, true)
		})
	}
}

// An event that was flushed goes out when it comes, whatever it is coded in.
func TestCodingStreams(t *testing.T) {
	for _, c := range coders {
		for _, over := range []string{"", "gzip"} {
			t.Run(c.name+" "+over, func(t *testing.T) {
				next := make(chan struct{})
				b := upstream(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Encoding", c.coding())
					var outer flusher
					to := io.Writer(w)
					if over != "" {
						w.Header().Add("Content-Encoding", over)
						outer = coders[0].to(w)
						to = outer
					}
					z := c.to(to)
					for range 3 {
						_, _ = fmt.Fprintf(z, "data: %s\n\n", r.Header.Get("Authorization"))
						_ = z.Flush()
						if outer != nil {
							_ = outer.Flush()
						}
						_ = http.NewResponseController(w).Flush()
						<-next
					}
					_ = z.Close()
					if outer != nil {
						_ = outer.Close()
					}
				})
				res, err := b.do(t, b.get("/"))
				require.NoError(t, err)
				want := "data: Bearer [redacted]\n\n"
				for range 3 {
					buf := make([]byte, len(want))
					_, err := io.ReadFull(res.Body, buf)
					require.NoError(t, err)
					require.Equal(t, want, string(buf))
					next <- struct{}{}
				}
				rest, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.Empty(t, rest)
				require.NoError(t, res.Body.Close())
				require.EqualValues(t, 3, res.Redactions())
			})
		}
	}
}

// An answer that nobody reads to its end leaves no goroutine behind.
func TestCodingLeavesNothingRunning(t *testing.T) {
	for _, c := range coders {
		t.Run(c.name, func(t *testing.T) {
			var text []byte
			for i := range 100_000 {
				text = fmt.Appendf(text, "%x ", i*7919)
			}
			b := coded(t, c.bytes(t, text), c.coding())
			b.limits.MaxResponseBytes = 10 << 20
			_, err := read(t, b)
			require.NoError(t, err)
			before := goleak.IgnoreCurrent()
			res, err := b.do(t, b.get("/"))
			require.NoError(t, err)
			_, err = io.ReadFull(res.Body, make([]byte, 100))
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			b.door.Close()
			goleak.VerifyNone(t, before)
		})
	}
}

// Where there is no body, no coding says anything of it.
func TestCodingOfNothing(t *testing.T) {
	for _, status := range []int{http.StatusNoContent, http.StatusNotModified, http.StatusOK} {
		b := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "rot13")
			w.WriteHeader(status)
		})
		req := b.get("/")
		if status == http.StatusOK {
			req.Method = http.MethodHead
		}
		res, text := b.fetch(t, req)
		require.Equal(t, status, res.Status)
		require.Empty(t, text)
	}
}

// What each coding costs, a Door and TLS on loopback included.
func BenchmarkCoding(b *testing.B) {
	text := []byte("[")
	for i := range 120 {
		text = fmt.Appendf(text, `{"id":%d,"name":"Ada %x","mail":"ada%d@example.com","tags":["a","b"]},`, i*7919, i*104729, i)
	}
	for _, c := range append(coders, coder{"identity", nil}) {
		body := text
		if c.to != nil {
			body = c.bytes(b, text)
		}
		b.Run(c.name, func(b *testing.B) {
			up := upstream(b, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", c.coding())
				_, _ = w.Write(body)
			})
			b.ReportAllocs()
			b.ReportMetric(float64(len(body)), "coded-bytes")
			for b.Loop() {
				up.fetch(b, up.get("/"))
			}
		})
	}
}

// A coding of the transfer is not undone, and so the answer is not had.
func TestCodingOfTheTransfer(t *testing.T) {
	ca := newAuthority(t)
	for _, value := range []string{"gzip, chunked", "gzip", "rot13", "chunked, chunked"} {
		addr := rawUpstream(t, ca.server(t, host), func(_ int, c net.Conn) {
			readRequest(c, 0)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: "+value+"\r\n\r\n4\r\n"+secret[:4]+"\r\n0\r\n\r\n")
		})
		b := newBench(t, ca, addr, answer("127.0.0.1"))
		b.refuse(t, b.get("/path"), egress.Lost, true)
	}
}
