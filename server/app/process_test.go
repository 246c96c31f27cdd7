package app_test

import (
	"bytes"
	"log"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/app"
	"github.com/onedoor/onedoor/server/config"
)

func TestGODEBUG(t *testing.T) {
	for setting, ok := range map[string]bool{
		"": true, "gctrace=1": true, "madvdontneed=1,cpu.avx2=off": true, " schedtrace=1000 ": true,
		"tls10server=1": false, "gctrace=1,http2debug=2": false, "x509sha1=1": false, "rsa1024min=0": false,
		"httplaxcontentlength=1": false, "netdns=go+2": false, "what=ever": false, "bare": false,
		"fips140=on": true, "fips140=only,gctrace=1": true, "fips140=off": false, "fips140=on,fips140=off": false, "fips140=debug": false,
	} {
		t.Setenv("GODEBUG", setting)
		err := app.CheckGODEBUG()
		require.Equal(t, ok, err == nil, "%q: %v", setting, err)
	}
}

func TestLibrariesAreNotQuoted(t *testing.T) {
	var out bytes.Buffer
	l := log.New(app.Libraries(slog.New(slog.NewTextHandler(&out, nil))), "", 0)
	l.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v", "canary", nil)
	l.Printf("http2: Transport encoding header %q = %q", "authorization", "canary")
	require.NotContains(t, out.String(), "canary")
	require.Contains(t, out.String(), "an upstream sent what nobody had asked for")
	require.Contains(t, out.String(), "withheld")
}

// A broker whose process stays open is for tests alone.
func TestBuildWithinIsForDevelopment(t *testing.T) {
	_, err := app.BuildWithin(t.Context(), &config.Config{Environment: config.Production}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "environment")
	_, err = app.BuildWithin(t.Context(), &config.Config{}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "environment")
}
