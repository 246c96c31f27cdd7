package demo

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
)

type contact struct {
	ID      int    `json:"id"`
	Name    string `json:"name"`
	Email   string `json:"email"`
	Company string `json:"company"`
}

// crm holds contacts 1 to 100.
type crm struct {
	mu       sync.Mutex
	contacts map[string]*contact
}

func newCRM() http.Handler {
	c := &crm{contacts: map[string]*contact{}}
	first := []string{"Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Frances", "Ken", "Radia", "Tony"}
	last := []string{"Lovelace", "Hopper", "Turing", "Dijkstra", "Liskov", "Knuth", "Allen", "Thompson", "Perlman", "Hoare"}
	for id := 1; id <= 100; id++ {
		f, l := first[id%10], last[id/10%10]
		c.contacts[strconv.Itoa(id)] = &contact{
			ID: id, Name: f + " " + l, Email: fmt.Sprintf("%s.%s.%d@example.com", strings.ToLower(f), strings.ToLower(l), id), Company: "Example " + l,
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /contacts", c.search)
	mux.HandleFunc("GET /contacts/{id}", c.one(func(w http.ResponseWriter, _ *http.Request, found *contact) { reply(w, http.StatusOK, found) }))
	mux.HandleFunc("PATCH /contacts/{id}", c.one(c.update))
	mux.HandleFunc("DELETE /contacts/{id}", c.one(c.remove))
	return mux
}

// demand lets a request through only with the secret in the header.
func demand(header, prefix string, secret Secret, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := r.Header.Get(header)
		if subtle.ConstantTimeCompare([]byte(got), []byte(prefix+secret.Reveal())) != 1 {
			reply(w, http.StatusUnauthorized, map[string]string{"error": "credential missing or wrong"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (c *crm) search(w http.ResponseWriter, r *http.Request) {
	q := strings.ToLower(r.URL.Query().Get("q"))
	c.mu.Lock()
	defer c.mu.Unlock()
	items := []contact{}
	for _, one := range c.contacts {
		if strings.Contains(strings.ToLower(one.Name+" "+one.Email+" "+one.Company), q) {
			items = append(items, *one)
		}
	}
	sort.Slice(items, func(i, j int) bool { return items[i].ID < items[j].ID })
	reply(w, http.StatusOK, map[string]any{"items": items, "total": len(items)})
}

func (c *crm) one(then func(http.ResponseWriter, *http.Request, *contact)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		found := c.contacts[r.PathValue("id")]
		if found == nil {
			reply(w, http.StatusNotFound, map[string]string{"error": "no such contact"})
			return
		}
		then(w, r, found)
	}
}

func (c *crm) update(w http.ResponseWriter, r *http.Request, found *contact) {
	var change struct{ Name, Email, Company *string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&change); err != nil {
		reply(w, http.StatusBadRequest, map[string]string{"error": "not JSON"})
		return
	}
	for to, value := range map[*string]*string{&found.Name: change.Name, &found.Email: change.Email, &found.Company: change.Company} {
		if value != nil {
			*to = *value
		}
	}
	reply(w, http.StatusOK, found)
}

func (c *crm) remove(w http.ResponseWriter, r *http.Request, _ *contact) {
	delete(c.contacts, r.PathValue("id"))
	w.WriteHeader(http.StatusNoContent)
}
