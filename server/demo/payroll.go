package demo

import "net/http"

// newPayroll holds the payslips of alice and bob. It demands a service credential, which
// says that the broker calls, and an assertion, which says for whom.
func newPayroll(key Secret, who *verifier) http.Handler {
	gross := map[string]int{"alice": 7200, "bob": 6400}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /payslips/{user}", func(w http.ResponseWriter, r *http.Request) {
		asked, err := who.verify(r)
		if err != nil {
			reply(w, http.StatusForbidden, map[string]string{"error": "assertion: " + err.Error()})
			return
		}
		user := r.PathValue("user")
		amount, ok := gross[user]
		if !ok {
			reply(w, http.StatusNotFound, map[string]string{"error": "no such user"})
			return
		}
		reply(w, http.StatusOK, map[string]any{
			"user": user, "month": "2026-10", "gross": amount, "currency": "EUR",
			"asked_for": asked.Subject, "asked_by": asked.Actor.Subject,
		})
	})
	return demand("X-Api-Key", "", key, mux)
}
