package sigv4

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/onedoor/onedoor/server/egress"
)

var (
	errPath  = errors.New("the path cannot be signed")
	errQuery = errors.New("the query cannot be signed")
)

// canonical writes a request as it is signed, and names the headers that are.
func canonical(o egress.Outgoing, s Scope, body string) (text, names string, err error) {
	path, err := canonicalPath(o.URL.EscapedPath(), s)
	if err != nil {
		return "", "", err
	}
	query, err := canonicalQuery(o.URL.RawQuery)
	if err != nil {
		return "", "", err
	}
	lines, names := canonicalHeader(o)
	return strings.Join([]string{o.Method, path, query, lines, names, body}, "\n"), names, nil
}

// canonicalPath: S3 reads the path, and escapes what it read. All others escape the path
// as it came, which is escaped already.
func canonicalPath(path string, s Scope) (string, error) {
	if strings.Contains(path, "//") && !s.isS3() { // some make one slash of it, some do not
		return "", errPath
	}
	if s.isS3() {
		plain, err := url.PathUnescape(path)
		if err != nil {
			return "", errPath
		}
		path = plain
	}
	if path == "" {
		return "/", nil
	}
	return escape(path, "/"), nil
}

// canonicalQuery gives the parameters escaped in one way, and then in order.
func canonicalQuery(query string) (string, error) {
	if query == "" {
		return "", nil
	}
	type pair struct{ name, value string }
	var pairs []pair
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		plainName, err := url.QueryUnescape(name)
		if err != nil {
			return "", errQuery
		}
		plainValue, err := url.QueryUnescape(value)
		if err != nil {
			return "", errQuery
		}
		pairs = append(pairs, pair{escape(plainName, ""), escape(plainValue, "")})
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	var text strings.Builder
	for i, p := range pairs {
		if i > 0 {
			text.WriteByte('&')
		}
		text.WriteString(p.name + "=" + p.value)
	}
	return text.String(), nil
}

// canonicalHeader gives the headers that are signed, a line each, and their names.
func canonicalHeader(o egress.Outgoing) (lines, names string) {
	signed := map[string]string{"host": o.URL.Host}
	for name, values := range o.Header {
		lower := strings.ToLower(name)
		if lower != "content-type" && lower != "content-md5" && !strings.HasPrefix(lower, "x-amz-") {
			continue
		}
		clean := make([]string, len(values))
		for i, v := range values {
			clean[i] = strings.Join(strings.Fields(v), " ")
		}
		signed[lower] = strings.Join(clean, ",")
	}
	order := make([]string, 0, len(signed))
	for name := range signed {
		order = append(order, name)
	}
	slices.Sort(order)
	var text strings.Builder
	for _, name := range order {
		text.WriteString(name + ":" + signed[name] + "\n")
	}
	return text.String(), strings.Join(order, ";")
}

// escape writes every byte as %XX but for letters, digits and -._~, and those in also.
func escape(s, also string) string {
	const digits = "0123456789ABCDEF"
	var text strings.Builder
	for _, c := range []byte(s) {
		if isAlphanumeric(c) || strings.IndexByte("-._~"+also, c) >= 0 {
			text.WriteByte(c)
			continue
		}
		text.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return text.String()
}
