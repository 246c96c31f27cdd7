package conformance_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// recorder is the upstream: it answers as it is told and keeps what it was sent.
type recorder struct {
	mu     sync.Mutex
	answer answer
	got    []string
}

func (r *recorder) answerWith(a answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = a
}

func (r *recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = nil
}

// sent gives the requests since forget, each as "METHOD TARGET BODY".
func (r *recorder) sent() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.got, "; ")
}

// ServeHTTP answers what it was told to; SECRET in a body stands for the credential.
func (r *recorder) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	body, _ := io.ReadAll(in.Body) // what is missing shows in what was sent
	r.mu.Lock()
	a := r.answer
	r.got = append(r.got, strings.TrimSpace(in.Method+" "+in.RequestURI+" "+string(body)))
	r.mu.Unlock()
	for name, value := range a.Headers {
		w.Header().Set(name, value)
	}
	if a.Type != "" {
		w.Header().Set("Content-Type", a.Type)
	}
	text := strings.ReplaceAll(a.Body, "SECRET", secret)
	if a.Size > 0 {
		text = strings.Repeat("x", a.Size)
	}
	if text != "" {
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	}
	status := a.Status
	if status == 0 {
		status = http.StatusTeapot // a case that says nothing is not answered
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}
