package demo

import "net/http"

// newPayroll holds the payslips of alice and bob.
func newPayroll(key Secret) http.Handler {
	gross := map[string]int{"alice": 7200, "bob": 6400}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /payslips/{user}", func(w http.ResponseWriter, r *http.Request) {
		user := r.PathValue("user")
		amount, ok := gross[user]
		if !ok {
			reply(w, http.StatusNotFound, map[string]string{"error": "no such user"})
			return
		}
		reply(w, http.StatusOK, map[string]any{"user": user, "month": "2026-10", "gross": amount, "currency": "EUR"})
	})
	return demand("X-Api-Key", "", key, mux)
}
