package testenv

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Metric gives the value of a metric as the broker shows it, labels and all; 0 where it
// is not there yet.
func (b *Broker) Metric(t testing.TB, name string) float64 {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.OpsURL+"/metrics", nil)
	require.NoError(t, err)
	for line := range strings.Lines(Fetch(t, http.DefaultClient, request).Body) {
		if text, found := strings.CutPrefix(line, name+" "); found {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			require.NoError(t, err)
			return value
		}
	}
	return 0
}

// Memory gives how many bytes of memory a process has at most had so far.
func (p *Process) Memory(t testing.TB) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(t, err)
	_, after, found := strings.Cut(string(status), "VmHWM:")
	require.True(t, found)
	text, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	kib, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return kib << 10
}
