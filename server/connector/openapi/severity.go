package openapi

import (
	"net/http"
	"slices"
	"strings"
)

// severity proposes one, and says why where it is a guess that a person must judge;
// empty where method and name leave little doubt. What is not known is DESTRUCTIVE.
func severity(o *operation) (level, review string) {
	said := append(words(o.id), pathWords(o.path)...)
	admin := first(said, adminWords())
	harm := first(said, harmWords())
	switch o.method {
	case http.MethodGet, http.MethodHead:
		change := first(leading(o), slices.Concat(harmWords(), changeWords())) // elsewhere it is a noun: /pulls/{n}/merge
		if change == "" && !reads(o) {
			change = exact(lastWords(o.path), slices.Concat(harmWords(), changeWords())) // /payments are things
		}
		switch secret := first(said, secretWords()); {
		case change != "":
			return "DESTRUCTIVE", "a " + o.method + " whose name says " + change
		case secret != "":
			return "READ", "what it reads may be a secret: " + secret
		}
		return "READ", ""
	case http.MethodDelete:
		if admin != "" {
			return "ADMIN", "by the word " + admin
		}
		return "DESTRUCTIVE", ""
	}
	verbs := words(o.id) // a noun of the path, such as labels, says nothing
	if ends := literals(o.path); len(ends) > 0 {
		verbs = append(verbs, words(ends[len(ends)-1])...)
	}
	switch change := first(verbs, changeWords()); {
	case admin != "":
		return "ADMIN", "by the word " + admin
	case harm != "":
		return "DESTRUCTIVE", "by the word " + harm
	case o.method == http.MethodPost && change == "" && asks(o):
		return "READ", "a POST that only asks, by its name"
	case change != "":
		return "WRITE", ""
	}
	return "DESTRUCTIVE", "its name does not say what it does"
}

// asks reports whether an operation's name says clearly that it changes nothing: the
// first word of its name's last part, or the whole of the path's last segment. Only the
// word itself is a verb: lists and queries are things, which a POST makes.
func asks(o *operation) bool {
	name := words(o.id[strings.LastIndexAny(o.id, "./:")+1:])
	last := lastWords(o.path)
	return exact(name[:min(len(name), 1)], askWords()) != "" || len(last) == 1 && exact(last, askWords()) != ""
}

// reads reports whether the name that an operation has begins with a word for reading.
func reads(o *operation) bool { return first(leading(o), readWords()) != "" }

// lastWords are those of what the path ends in, behind its last separator; none where
// that is an argument.
func lastWords(path string) []string {
	last := path[strings.LastIndexAny(path, "/:.")+1:]
	if strings.Contains(last, "{") {
		return nil
	}
	return words(last)
}

// leading are the words with which a name begins, before and behind its last separator:
// of contacts/delete-all contacts and delete.
func leading(o *operation) (out []string) {
	for _, part := range []string{o.id, o.id[strings.LastIndexAny(o.id, "./:")+1:]} {
		if all := words(part); len(all) > 0 {
			out = append(out, all[0])
		}
	}
	return out
}

// pathWords are the words of a path's fixed segments.
func pathWords(path string) []string {
	var out []string
	for _, part := range literals(path) {
		out = append(out, words(part)...)
	}
	return out
}

// exact gives the first of the words that is one of those meant, as it stands there.
func exact(said, meant []string) string {
	if i := slices.IndexFunc(said, func(w string) bool { return slices.Contains(meant, w) }); i >= 0 {
		return said[i]
	}
	return ""
}

// first gives the first of the words that is one of those meant, in one of its forms.
func first(said, meant []string) string {
	for _, w := range said {
		if slices.Contains(meant, w) || slices.Contains(meant, singular(w)) {
			return w
		}
	}
	return ""
}

func readWords() []string {
	return append(askWords(), "get", "read", "fetch", "show", "check", "is", "has", "view", "describe", "retrieve", "download", "browse")
}

func askWords() []string { return []string{"search", "query", "list", "lookup", "count", "find"} }

func adminWords() []string {
	return []string{
		"admin", "administrator", "role", "permission", "key", "apikey", "token", "invite", "invitation", "webhook", "hook",
		"secret", "credential", "password", "owner", "ownership", "member", "membership", "collaborator", "policy", "acl",
		"scim", "sso", "impersonate", "grant", "authorization", "oauth", "session", "login", "certificate",
	}
}

func secretWords() []string {
	return []string{"key", "apikey", "token", "secret", "credential", "password", "session", "export"}
}

func changeWords() []string {
	return []string{
		"create", "add", "update", "edit", "set", "put", "patch", "replace", "insert", "upsert", "save", "modify", "write",
		"upload", "rename", "change", "append", "copy", "clone",
	}
}

func harmWords() []string {
	return []string{
		"delete", "remove", "destroy", "purge", "cancel", "send", "pay", "payment", "transfer", "refund", "charge", "merge", "close",
		"publish", "revoke", "reset", "terminate", "stop", "kill", "drop", "wipe", "erase", "archive", "shutdown",
		"reboot", "restart", "execute", "exec", "deploy", "rollback", "disable", "capture", "void", "logout", "unsubscribe",
	}
}
