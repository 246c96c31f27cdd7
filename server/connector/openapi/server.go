package openapi

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
)

// server finds the origin and the path that stands before all others: those of the
// options, or the document's first server that can be an origin.
func (im *importer) server() error {
	servers := im.servers()
	if im.Origin != "" {
		origin, base, err := splitURL(im.Origin)
		if err != nil {
			return fault.Invalid("origin", err.Error())
		}
		im.origin, im.base = origin, base
		if base == "" && !strings.HasSuffix(im.Origin, "/") {
			im.base = firstBase(servers)
		}
		return nil
	}
	var reasons []string
	for i, s := range servers {
		origin, base, err := splitURL(s.url)
		if err != nil {
			reasons = append(reasons, fmt.Sprintf("%s: %s", quoted(s.url), err.Error()))
			continue
		}
		im.origin, im.base = origin, base
		for j, other := range servers {
			if j != i {
				im.tell(NotMapped, other.at, "server "+other.url, "a connector has one origin; this manifest has "+origin+base+": import once more with origin for another")
			}
		}
		return nil
	}
	if len(reasons) == 0 {
		return fault.Invalid("origin", "is needed: the document names no server")
	}
	return fault.Invalid("origin", "is needed: no server of the document can be one: "+clean(strings.Join(reasons, "; "), 400))
}

// address is a server of the document.
type address struct{ url, at string }

// servers lists those of the document, in its order.
func (im *importer) servers() []address {
	if im.version != v20 {
		return serverList(im.root, "")
	}
	host := im.root.str("host")
	if host == "" {
		if base := im.root.str("basePath"); base != "" {
			return []address{{base, "/basePath"}}
		}
		return nil
	}
	scheme, schemes := "https", im.root.get("schemes").elements()
	for i, s := range schemes {
		if i == 0 || s.text == "https" {
			scheme = s.text
		}
	}
	return []address{{scheme + "://" + host + im.root.str("basePath"), "/host"}}
}

func serverList(n *node, at string) (out []address) {
	for i, s := range n.get("servers").elements() {
		out = append(out, address{s.str("url"), pointer(at, "servers", itoa(i))})
	}
	return out
}

// splitURL reads https://HOST[:PORT][/BASE] into an origin in its one spelling and a
// base without a slash at its end.
func splitURL(s string) (origin, base string, err error) {
	if strings.Contains(s, "{") {
		return "", "", fmt.Errorf("holds variables: give it as https://HOST[/PATH]")
	}
	rest, ok := strings.CutPrefix(s, "https://")
	if !ok {
		return "", "", fmt.Errorf("want https://HOST[:PORT], with a path if there is one")
	}
	host, path, _ := strings.Cut(rest, "/")
	o, err := egress.ParseOrigin("https://" + host)
	if err != nil {
		return "", "", err
	}
	if path = strings.TrimRight(path, "/"); path != "" {
		base = "/" + path
	}
	if strings.ContainsAny(base, "?#") {
		return "", "", fmt.Errorf("want no query and no fragment")
	}
	return o.String(), base, nil
}

// firstBase is the path of the first server, whatever its host; empty where it holds
// variables.
func firstBase(servers []address) string {
	if len(servers) == 0 {
		return ""
	}
	path := servers[0].url
	if _, rest, ok := strings.Cut(path, "://"); ok {
		_, path, _ = strings.Cut(rest, "/")
		path = "/" + path
	}
	if path = strings.TrimRight(path, "/"); strings.ContainsAny(path, "{?#") {
		return ""
	}
	return path
}

// baseOf is what stands before the path of an operation that may have servers of its
// own; reason says why it cannot be called at the manifest's origin.
func (im *importer) baseOf(o *operation) (base, reason string) {
	own := serverList(o.node, o.at)
	if len(own) == 0 {
		own = serverList(o.item, o.itemAt)
	}
	if len(own) == 0 {
		return im.base, ""
	}
	for _, s := range own {
		origin, base, err := splitURL(s.url)
		if err == nil && origin == im.origin {
			return base, ""
		}
		if strings.HasPrefix(s.url, "/") && !strings.Contains(s.url, "{") {
			return strings.TrimRight(s.url, "/"), ""
		}
	}
	return "", "it has servers of its own (" + quoted(own[0].url) + "), and a connector has one origin: import it as another connector"
}

// resolveURL reads the URL of an endpoint, which may be relative to the origin.
func (im *importer) resolveURL(s string) string {
	from, err := url.Parse(im.origin + im.base + "/")
	if err != nil {
		return s
	}
	to, err := from.Parse(s)
	if err != nil {
		return s
	}
	if to.Path == "" {
		to.Path = "/"
	}
	return to.String()
}
