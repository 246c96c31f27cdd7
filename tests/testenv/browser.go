package testenv

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// Browser is a headless Chromium, driven by npm's playwright-core. Its contexts share
// nothing, as the browsers of two people do.
type Browser struct {
	in      io.WriteCloser
	out     *bufio.Scanner
	context string
}

// Seen is what a page shows.
type Seen struct {
	URL, Title, Text string
	Headings         []string
	// Violations are what the browser refused by a Content-Security-Policy.
	Violations []string
}

// NewBrowser runs until the test ends. Where Chromium is missing the test is skipped; in
// CI it fails.
func NewBrowser(t testing.TB) *Browser {
	t.Helper()
	node, modules := Node(t, "playwright-core")
	chromium, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("Chromium: not run (it is missing: run `make deps`)")
	}
	require.NoError(t, err)
	cmd := exec.Command(node, script("browser.mjs"), modules, chromium)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { // it ends with its input
		_ = in.Close()
		_ = cmd.Wait()
	})
	b := &Browser{in: in, out: bufio.NewScanner(out), context: "main"}
	b.out.Buffer(nil, 1<<24)
	require.True(t, b.out.Scan(), "the browser has started")
	require.Equal(t, "ready", b.out.Text())
	return b
}

// Another is a browser that shares nothing with this one. Both are driven by one test.
func (b *Browser) Another(name string) *Browser { return &Browser{in: b.in, out: b.out, context: name} }

// Do sends one command; into takes the answer.
func (b *Browser) Do(t testing.TB, command string, arguments map[string]any, into any) {
	t.Helper()
	request := map[string]any{"command": command, "context": b.context}
	for name, value := range arguments {
		request[name] = value
	}
	text, err := json.Marshal(request)
	require.NoError(t, err)
	_, err = b.in.Write(append(text, '\n'))
	require.NoError(t, err)
	require.True(t, b.out.Scan(), "the browser answers")
	var answer struct{ Error string }
	require.NoError(t, json.Unmarshal(b.out.Bytes(), &answer))
	require.Empty(t, answer.Error, "%s %v", command, arguments)
	if into != nil {
		require.NoError(t, json.Unmarshal(b.out.Bytes(), into))
	}
}

// Open goes to an address, and gives the status of the answer.
func (b *Browser) Open(t testing.TB, url string) int {
	t.Helper()
	var answer struct{ Status int }
	b.Do(t, "open", map[string]any{"url": url}, &answer)
	return answer.Status
}

// Fill types into a field.
func (b *Browser) Fill(t testing.TB, field, value string) {
	t.Helper()
	b.Do(t, "fill", map[string]any{"field": field, "value": value}, nil)
}

// Click presses what bears the text.
func (b *Browser) Click(t testing.TB, text string) {
	t.Helper()
	b.Do(t, "click", map[string]any{"text": text}, nil)
}

// Wait waits until the page's heading holds the text, and gives what the page shows.
func (b *Browser) Wait(t testing.TB, heading string) Seen {
	t.Helper()
	b.Do(t, "wait", map[string]any{"text": heading}, nil)
	return b.See(t)
}

// See gives what the page shows now.
func (b *Browser) See(t testing.TB) Seen {
	t.Helper()
	var seen Seen
	b.Do(t, "see", nil, &seen)
	return seen
}
