package connector_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
)

// TestTimesOfATool: what an upstream may take for the parts of a call never exceeds the
// whole, and a model may think as long as it may take in all.
func TestTimesOfATool(t *testing.T) {
	minute := "    timeout: 1m\n    method"
	for name, k := range map[string]struct {
		text             string
		all, first, idle time.Duration
	}{
		"nothing said":  {small, 30 * time.Second, 15 * time.Second, 30 * time.Second},
		"a short call":  {replaced(t, "    method", "    timeout: 5s\n    method"), 5 * time.Second, 5 * time.Second, 5 * time.Second},
		"a long call":   {replaced(t, "    method", minute), time.Minute, 15 * time.Second, 30 * time.Second},
		"said":          {replaced(t, "    method", "    first_byte: 40s\n    idle: 50s\n"+minute), time.Minute, 40 * time.Second, 50 * time.Second},
		"a model":       {strings.Replace(strings.Replace(llm, "{{model}}", "{dialect: openai}", 1), "    method", minute, 1), time.Minute, time.Minute, time.Minute},
		"a quick model": {strings.Replace(strings.Replace(llm, "{{model}}", "{dialect: openai}", 1), "    method", "    first_byte: 2s\n"+minute, 1), time.Minute, 2 * time.Second, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := connector.Parse([]byte(k.text))
			require.NoError(t, err)
			tool := c.Tools[0]
			require.Equal(t, []time.Duration{k.all, k.first, k.idle}, []time.Duration{tool.Timeout, tool.FirstByte, tool.Idle})
		})
	}
}
