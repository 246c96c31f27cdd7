package openapi

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onedoor/onedoor/server/egress"
)

// slot is a credential of the manifest under way.
type slot struct {
	name    string
	owner   string
	attach  *node
	kind    string // query or header, for one that goes there
	param   string
	oauth   *node
	comment string
}

const (
	// maxWays is how many sets of schemes one operation's list, and maxTried how many in all,
	// are looked at. maxSchemes is how many slots a manifest holds.
	maxWays, maxTried = 32, 64
	maxSchemes        = 16
)

// maxScopes is how many a manifest's slot may name.
const maxScopes = 64

// way is one set of schemes that together let a call through.
type way struct {
	schemes []string
	at      string
}

func (w way) key() string { return strings.Join(w.schemes, "\x00") }

// security chooses the credentials: of the sets that the chosen operations accept and a
// manifest can attach, the one that most of them do; of several, the document's first.
func (im *importer) security(chosen []*operation) {
	count := map[string]int{}
	var ways []way
	ask := map[*operation][]way{}
	for _, o := range chosen {
		ask[o] = im.waysOf(o)
		for _, w := range ask[o] {
			if count[w.key()]++; count[w.key()] == 1 {
				ways = append(ways, w)
			}
		}
	}
	slices.SortStableFunc(ways, func(a, b way) int { return cmp.Compare(count[b.key()], count[a.key()]) })
	var taken *way
	for i, w := range ways {
		if i == maxTried {
			im.tell(NotMapped, w.at, "security", "there is more of it than is looked at")
			break
		}
		slots, reason := im.slotsOf(w, chosen)
		if taken == nil && reason == "" {
			im.slots, taken = slots, &ways[i]
			continue
		}
		if reason == "" {
			reason = "a connector attaches one set of credentials to every call; most operations take another"
		}
		im.tell(NotMapped, w.at, "security "+strings.Join(w.schemes, " and "), reason)
	}
	if taken == nil {
		if len(ways) > 0 {
			im.tell(Review, "/security", "credentials", "none of the document's can be attached; add the section by hand (docs/connectors.md, Credentials)")
		} else {
			im.tell(Review, "/security", "credentials", "the document names none, so calls go out with none")
		}
		return
	}
	for _, s := range im.slots {
		im.tell(Review, taken.at, "credential slot "+s.name, s.comment)
	}
	for _, o := range chosen {
		if len(ask[o]) > 0 && !slices.ContainsFunc(ask[o], func(w way) bool { return w.key() == taken.key() }) {
			im.tell(Review, o.at, o.what("security"), "it wants another credential than the manifest attaches: "+strings.Join(ask[o][0].schemes, " and "))
		}
	}
}

// looked are the elements that are looked at: of every operation, and all may share one
// long list.
func looked(list *node) []*node {
	all := list.elements()
	return all[:min(len(all), maxWays)]
}

// waysOf lists the sets that an operation accepts; the empty one, no credential at all,
// is left out.
func (im *importer) waysOf(o *operation) (out []way) {
	list, at := o.get("security"), pointer(o.at, "security")
	if list == nil {
		list, at = im.root.get("security"), "/security"
	}
	if len(list.elements()) > maxWays {
		im.tell(NotMapped, at, "security", fmt.Sprintf("it has more than %d alternatives: only the first of them are looked at", maxWays))
	}
	for i, n := range looked(list) {
		if len(n.keys) > maxSchemes {
			im.tell(NotMapped, pointer(at, itoa(i)), "security", fmt.Sprintf("more than %d schemes together cannot be attached", maxSchemes))
			continue
		}
		w := way{at: pointer(at, itoa(i))}
		for name := range n.pairs() {
			w.schemes = append(w.schemes, name)
		}
		slices.Sort(w.schemes)
		if len(w.schemes) > 0 {
			out = append(out, w)
		}
	}
	return out
}

// slotsOf makes the slots of a set, and those of their clients' secrets.
func (im *importer) slotsOf(w way, chosen []*operation) (slots []slot, reason string) {
	var secrets []slot
	for i, name := range w.schemes {
		n, err := im.scheme(name)
		if err != nil {
			return nil, err.Error()
		}
		s, reason := im.slotOf(n, im.scopes(name, chosen))
		if reason != "" {
			return nil, "the scheme " + name + ": " + reason
		}
		if s.name = "main"; i > 0 {
			s.name = fmt.Sprintf("credential-%d", i+1)
		}
		if client := s.oauth.get("client"); client.str("secret") != "" {
			secret := s.name + "-client"
			client.set("secret", textNode(secret))
			secrets = append(secrets, slot{name: secret, owner: "workspace", attach: textNode("token-endpoint"),
				comment: "put the client's secret with: onedoor credential put " + im.Name + " --workspace --slot " + secret + " --from-file FILE"})
		}
		slots = append(slots, s)
	}
	return append(slots, secrets...), ""
}

func (im *importer) scheme(name string) (*node, error) {
	n := im.root.get("components").get("securitySchemes").get(name)
	if im.version == v20 {
		n = im.root.get("securityDefinitions").get(name)
	}
	n, _, err := im.referred(n, "")
	if err == nil && !n.isObject() {
		err = fmt.Errorf("the scheme %s is not described", quoted(name))
	}
	return n, err
}

// slotOf makes a slot of a security scheme.
func (im *importer) slotOf(n *node, scopes []string) (s slot, reason string) {
	s = slot{owner: "user", comment: "each user's own; if all share one, make it owner: workspace"}
	switch n.str("type") {
	case "basic":
		s.attach = textNode("basic")
	case "http":
		switch scheme := strings.ToLower(n.str("scheme")); scheme {
		case "bearer", "basic":
			s.attach = textNode(scheme)
		default:
			return s, "HTTP authentication " + quoted(scheme) + " cannot be attached"
		}
	case "apiKey":
		place := n.str("in")
		if place != "header" && place != "query" {
			return s, "a key in a " + clean(place, 20) + " cannot be attached"
		}
		s.kind, s.param = place, n.str("name")
		s.attach = (&node{kind: object}).set(place, textNode(s.param))
		if strings.EqualFold(s.param, "Authorization") {
			s.comment += "; if a word stands before it in the header, such as Token, add prefix"
		}
	case "mutualTLS":
		s.owner, s.attach, s.comment = "workspace", textNode("certificate"), "a client certificate that all users share: put the chain and its key, as PEM"
	case "openIdConnect":
		s.attach = textNode("bearer")
		s.comment += "; the document names OpenID Connect: to have tokens fetched and refreshed, add oauth by hand"
	case "oauth2":
		return im.oauthSlot(n, s, scopes), ""
	default:
		return s, "the type " + quoted(n.str("type")) + " is not known"
	}
	return s, ""
}

// oauthSlot makes a slot whose tokens the broker fetches where the document says how:
// as the user if it can, else as the client.
func (im *importer) oauthSlot(n *node, s slot, scopes []string) slot {
	s.attach = textNode("bearer")
	flows := n.get("flows")
	code, client := flows.get("authorizationCode"), flows.get("clientCredentials")
	if im.version == v20 {
		switch n.str("flow") {
		case "accessCode":
			code = n
		case "application":
			client = n
		}
	}
	oauth := &node{kind: object}
	switch {
	case code != nil:
		oauth.set("grant", textNode("authorization_code")).set("authorization_endpoint", textNode(im.resolveURL(code.str("authorizationUrl"))))
		oauth.set("token_endpoint", textNode(im.resolveURL(code.str("tokenUrl"))))
		oauth.set("client", (&node{kind: object}).set("id", textNode(placeholder)).set("auth", textNode("basic")).set("secret", textNode("client")))
		s.comment = "each user connects their account; fill in the id under which your client is registered"
	case client != nil:
		s.owner = "workspace"
		oauth.set("grant", textNode("client_credentials")).set("token_endpoint", textNode(im.resolveURL(client.str("tokenUrl"))))
		oauth.set("client", (&node{kind: object}).set("id", textNode(placeholder)).set("auth", textNode("basic")))
		s.comment = "the broker is the client; fill in its id, and put its secret"
	default:
		s.comment += "; the document's flows of OAuth are not the broker's: put an access token, or add oauth by hand"
		return s
	}
	for _, endpoint := range []string{"authorization_endpoint", "token_endpoint"} {
		if e := oauth.get(endpoint); e != nil && !isLocation(e.text) {
			s.owner = "user"
			s.comment = "each user's own access token: the document's " + endpoint + " is no https URL that a manifest takes; to have tokens fetched, add oauth by hand"
			return s
		}
	}
	switch {
	case len(scopes) > maxScopes:
		s.comment += fmt.Sprintf("; the operations ask for %d scopes, more than a manifest holds: name those that you need", len(scopes))
	case len(scopes) > 0:
		oauth.set("scopes", textList(scopes))
		s.comment += "; scopes are all that the operations ask for: narrow them"
	}
	if others := im.elsewhere(oauth); others != "" {
		s.comment = "codes and secrets go to " + others + ", which is not this connector's host: make sure that it is the provider's; " + s.comment
	}
	s.oauth = oauth
	return s
}

// elsewhere names the hosts of the endpoints that are not the connector's own: the
// document's author chose them, and whoever owns them gets the client's secret.
func (im *importer) elsewhere(oauth *node) string {
	var hosts []string
	for _, endpoint := range []string{"authorization_endpoint", "token_endpoint"} {
		l, err := egress.ParseLocation(oauth.str(endpoint))
		if err != nil {
			continue
		}
		if at := l.Origin.String(); at != im.origin && !slices.Contains(hosts, at) {
			hosts = append(hosts, at)
		}
	}
	return strings.Join(hosts, " and ")
}

// placeholder stands for what only the operator knows.
const placeholder = "REPLACE-ME"

func isLocation(s string) bool {
	l, err := egress.ParseLocation(s)
	return err == nil && l.String() == s && strings.HasPrefix(l.Path, "/")
}

// scopes are those that the chosen operations ask for of a scheme, sorted.
func (im *importer) scopes(scheme string, chosen []*operation) []string {
	found := map[string]bool{}
	for _, o := range chosen {
		list := o.get("security")
		if list == nil {
			list = im.root.get("security")
		}
		for _, n := range looked(list) {
			for _, scope := range n.get(scheme).elements() {
				plain := scope.kind == text && scope.text != "" && len(scope.text) <= 256 &&
					!strings.ContainsFunc(scope.text, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' })
				if plain {
					found[scope.text] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// attached reports whether a credential goes in a parameter or header of this name.
func (im *importer) attached(kind, name string) bool {
	return slices.ContainsFunc(im.slots, func(s slot) bool { return s.kind == kind && strings.EqualFold(s.param, name) })
}

// keyPlace names the security scheme whose key goes in a query parameter; empty where
// there is none.
func (im *importer) keyPlace(name string) string {
	if im.keys == nil {
		im.keys = im.keyPlaces()
	}
	return im.keys[strings.ToLower(name)]
}

// keyPlaces are those query parameters in lower case, and the schemes.
func (im *importer) keyPlaces() map[string]string {
	places := map[string]string{}
	schemes := im.root.get("components").get("securitySchemes")
	if im.version == v20 {
		schemes = im.root.get("securityDefinitions")
	}
	for scheme := range schemes.pairs() {
		n, err := im.scheme(scheme)
		if err == nil && n.str("type") == "apiKey" && n.str("in") == "query" && places[strings.ToLower(n.str("name"))] == "" {
			places[strings.ToLower(n.str("name"))] = scheme
		}
	}
	return places
}
