package egress_test

import (
	"bytes"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

// Whatever a proxy answers, it is read to the same end however its bytes arrive, and only
// an answer that ends with its header opens a tunnel.
func FuzzConnectAnswer(f *testing.F) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 407 No\r\nA: b\r\n\r\nbody", "HTTP/1.1 200\r\n\r\nx", "HTTP/1.1 2000 \r\n\r\n", "\r\n\r\n", "HTTP/1.1 200 OK\n\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		status, err := egress.ReadAnswer(bytes.NewReader(text))
		if err != nil {
			require.Zero(t, status)
			return
		}
		if status/100 == 2 {
			require.True(t, bytes.HasSuffix(text, []byte("\r\n\r\n")))
			require.Equal(t, 1, bytes.Count(text, []byte("\r\n\r\n")))
		}
		again, err := egress.ReadAnswer(iotest.OneByteReader(bytes.NewReader(text)))
		require.NoError(t, err)
		require.Equal(t, status, again)
	})
}

// An address that is accepted reads back as itself.
func FuzzProxyAddress(f *testing.F) {
	for _, text := range []string{"http://p.example:3128", "https://10.0.0.1:1", "http://[2001:db8::1]:80", "http://u:p@h:1", "http://[::ffff:1.2.3.4]:1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := egress.ParseProxyAddress(text)
		if err != nil {
			return
		}
		again, err := egress.ParseProxyAddress(a.String())
		require.NoError(t, err)
		require.Equal(t, a, again)
		require.NotContains(t, a.String(), "@")
	})
}
