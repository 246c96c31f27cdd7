package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client/internal/brokertest"
)

func TestSvid(t *testing.T) {
	api := stage(t, &brokertest.Broker{})
	dir := t.TempDir() + "/id"
	code, stdout, stderr := onedoor(t, "", "svid", "--write", dir)
	require.Zero(t, code, stderr)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "spiffe://test.example/operator")
	pair, err := tls.LoadX509KeyPair(dir+"/svid.pem", dir+"/key.pem")
	require.NoError(t, err)
	require.NotNil(t, pair.Leaf)
	roots, err := os.ReadFile(dir + "/bundle.pem")
	require.NoError(t, err)
	require.Contains(t, string(roots), "BEGIN CERTIFICATE")
	info, err := os.Stat(dir + "/key.pem")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 3, "no temporary file stays")

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan int, 1)
	go func() {
		var out, errOut bytes.Buffer
		done <- run(ctx, []string{"svid", "--write", dir, "--watch"}, strings.NewReader(""), &out, &errOut)
	}()
	serial := func() string {
		pair, err := tls.LoadX509KeyPair(dir+"/svid.pem", dir+"/key.pem")
		if err != nil {
			return ""
		}
		return pair.Leaf.SerialNumber.String()
	}
	first := serial()
	require.Eventually(t, func() bool {
		if err := api.Rotate(); err != nil {
			return false
		}
		now := serial()
		return now != "" && now != first
	}, time.Minute, 50*time.Millisecond, "--watch follows a rotation")
	stop()
	require.Zero(t, <-done)
}
