package assertions

import "strings"

// addTokens adds the cases that the token alone decides.
func (w *world) addTokens() {
	signed := func(name, reason string, head, claims object, s sign) {
		w.add(Case{Name: name, Layer: "token", Reason: reason, Request: getting(compact(text(head), text(claims), s))})
	}
	active := es256(w.active)
	claims := func(name, reason string, changes ...any) {
		signed(name, reason, w.head, with(w.read, changes...), active)
	}
	head := func(name, reason string, changes ...any) {
		signed(name, reason, with(w.head, changes...), w.read, active)
	}

	claims("valid", "")
	signed("valid, signed with the next key", "", with(w.head, "kid", w.next.kid), w.read, es256(w.next))
	claims("valid, expired within the leeway", "", "iat", now-89, "exp", now-29)
	claims("valid, issued ahead within the leeway", "", "iat", now+29, "exp", now+89)
	claims("valid, the longest life", "", "iat", now-5, "exp", now+295)
	claims("valid, an agent for an agent", "", "act.act", object{"sub": "planner", "sub_profile": "ai_agent"})
	claims("valid, a claim of tomorrow", "", "new", object{"a": 1})

	signed("alg none", "ALGORITHM_REFUSED", with(w.head, "alg", "none"), w.read, unsigned)
	signed("alg nOnE", "ALGORITHM_REFUSED", with(w.head, "alg", "nOnE"), w.read, unsigned)
	signed("alg none, with a signature", "ALGORITHM_REFUSED", with(w.head, "alg", "none"), w.read, active)
	signed("HS256 with the public key as secret", "ALGORITHM_REFUSED", with(w.head, "alg", "HS256"), w.read, hs256(publicPEM(w.active)))
	signed("RS256 with a published key", "ALGORITHM_REFUSED", w.rsaHeader, w.read, w.rsa)
	head("no alg", "ALGORITHM_REFUSED", "alg", nil)
	signed("ES256 by an RSA key", "KEY_UNKNOWN", with(w.head, "kid", "rsa"), w.read, w.rsa)

	head("typ JWT", "TYPE_WRONG", "typ", "JWT")
	head("typ of an access token", "TYPE_WRONG", "typ", "at+jwt")
	head("typ of a Transaction Token", "TYPE_WRONG", "typ", "txntoken+jwt")
	head("no typ", "TYPE_WRONG", "typ", nil)

	head("unknown kid", "KEY_UNKNOWN", "kid", w.stranger.kid)
	head("no kid", "KEY_UNKNOWN", "kid", nil)
	signed("a stranger's key", "SIGNATURE_INVALID", w.head, w.read, es256(w.stranger))
	signed("a stranger's key that the header brings along", "KEY_UNKNOWN", with(w.head, "kid", w.stranger.kid,
		"jwk", object{"kty": "EC", "crv": "P-256", "x": b64(must(w.stranger.private.PublicKey.Bytes())[1:33]), "y": b64(must(w.stranger.private.PublicKey.Bytes())[33:])}),
		w.read, es256(w.stranger))
	signed("the other published key", "SIGNATURE_INVALID", w.head, w.read, es256(w.next))
	signed("a signature in DER", "SIGNATURE_INVALID", w.head, w.read, es256DER(w.active))
	signed("no signature", "SIGNATURE_INVALID", w.head, w.read, unsigned)
	head("crit names what nobody knows", "SIGNATURE_INVALID", "crit", []string{"urgent"}, "urgent", true)

	good := w.token(w.read)
	raw := func(name, reason, token string) {
		w.add(Case{Name: name, Layer: "token", Reason: reason, Request: getting(token)})
	}
	raw("altered payload", "SIGNATURE_INVALID", replacePayload(good, with(w.read, "sub", "usr_admin")))
	raw("altered signature", "SIGNATURE_INVALID", alter(good, 2))
	raw("two parts", "MALFORMED", good[:strings.LastIndex(good, ".")])
	raw("no token", "MALFORMED", "")
	raw("not a token", "MALFORMED", "Bearer")
	raw("payload is no JSON", "MALFORMED", compact(text(w.head), []byte("alice"), active))

	claims("another issuer", "ISSUER_WRONG", "iss", "https://broker.evil")
	claims("issuer with a slash", "ISSUER_WRONG", "iss", issuer+"/")
	claims("no issuer", "ISSUER_WRONG", "iss", nil)
	claims("another audience", "AUDIENCE_WRONG", "aud", "https://crm.internal")
	claims("audience with a slash", "AUDIENCE_WRONG", "aud", audience+"/")
	claims("two audiences", "AUDIENCE_WRONG", "aud", []string{audience, "https://crm.internal"})
	claims("a list of one audience", "AUDIENCE_WRONG", "aud", []string{audience})
	claims("no audience", "AUDIENCE_WRONG", "aud", nil)
	claims("no exp", "CLAIM_MISSING", "exp", nil)
	claims("no iat", "CLAIM_MISSING", "iat", nil)
	claims("no jti", "CLAIM_MISSING", "jti", nil)
	claims("no sub", "CLAIM_MISSING", "sub", nil)
	claims("exp is text", "MALFORMED", "exp", "never")
	claims("expired", "EXPIRED", "iat", now-120, "exp", now-60)
	claims("expired when the leeway ends", "EXPIRED", "iat", now-90, "exp", now-30)
	claims("issued in the future", "NOT_YET_VALID", "iat", now+120, "exp", now+180)
	claims("not yet valid", "NOT_YET_VALID", "nbf", now+40)
	claims("a life too long", "LIFE_TOO_LONG", "exp", now+296)
	claims("a life that ends before it begins", "LIFE_TOO_LONG", "iat", now, "exp", now-10)
	claims("a life of ten years", "LIFE_TOO_LONG", "exp", now+315360000)
}

// addRequests adds the cases that need the request beside the token.
func (w *world) addRequests() {
	bound := func(name, reason string, claims object, change func(*Request)) {
		r := getting(w.token(claims))
		if claims["htm"] == "POST" {
			r = posting(w.token(claims))
		}
		if change != nil {
			change(&r)
		}
		w.add(Case{Name: name, Layer: "request", Reason: reason, Request: r})
	}
	queried := with(w.read, "tctx.query_sha256", hash(query))
	url := func(u string) func(*Request) { return func(r *Request) { r.URL = u } }
	sent := func(b string) func(*Request) { return func(r *Request) { r.Body = b } }
	method := func(m string) func(*Request) { return func(r *Request) { r.Method = m } }

	bound("valid with a body", "", w.write, nil)
	bound("valid with an empty body", "", with(w.write, "tctx.content_digest", digest("")), sent(""))
	bound("valid with a query", "", queried, url(get+"?"+query))
	bound("valid stream", "", with(w.write, "tctx.content_digest", nil, "tctx.body", "stream"), sent("anything"))

	bound("another method", "METHOD_WRONG", w.read, method("DELETE"))
	bound("method in small letters", "METHOD_WRONG", with(w.read, "htm", "get"), nil)
	bound("no htm", "METHOD_WRONG", with(w.read, "htm", nil), nil)
	bound("another path", "URI_WRONG", w.read, url("https://payroll.internal/payslips/bob"))
	bound("path with a slash", "URI_WRONG", w.read, url(get+"/"))
	bound("path written otherwise", "URI_WRONG", w.read, url("https://payroll.internal/payslips/%61lice"))
	bound("path in capitals", "URI_WRONG", w.read, url("https://payroll.internal/Payslips/alice"))
	bound("another host", "URI_WRONG", w.read, url("https://crm.internal/payslips/alice"))
	bound("another scheme", "URI_WRONG", with(w.read, "htu", strings.Replace(get, "https", "http", 1)), nil)
	bound("htu with a query", "URI_WRONG", with(queried, "htu", get+"?"+query), url(get+"?"+query))
	bound("no htu", "URI_WRONG", with(w.read, "htu", nil), nil)
	bound("a query that was added", "QUERY_WRONG", w.read, url(get+"?"+query))
	bound("a query that was taken away", "QUERY_WRONG", queried, nil)
	bound("another query", "QUERY_WRONG", queried, url(get+"?month=2026-09&note=a%20b"))
	bound("query written otherwise", "QUERY_WRONG", queried, url(get+"?month=2026-10&note=a+b"))
	bound("another body", "DIGEST_WRONG", w.write, sent(strings.Replace(body, "7200", "9200", 1)))
	bound("a body that was taken away", "DIGEST_WRONG", w.write, sent(""))
	bound("a body that was added", "DIGEST_WRONG", w.read, sent("{}"))
	bound("digest of another algorithm", "DIGEST_WRONG", with(w.write, "tctx.content_digest",
		strings.Replace(digest(body), "sha-256", "sha-512", 1)), nil)
	bound("no digest", "DIGEST_MISSING", with(w.write, "tctx.content_digest", nil), nil)
	bound("no digest of an empty body", "DIGEST_MISSING", with(w.read, "tctx.content_digest", nil), nil)
	bound("stream with a digest", "DIGEST_WRONG", with(w.write, "tctx.body", "stream"), nil)
	bound("body neither digest nor stream", "DIGEST_WRONG", with(w.write, "tctx.content_digest", nil, "tctx.body", "any"), nil)
}

// addServices adds the cases that need more than one request and its token.
func (w *world) addServices() {
	good, written := w.token(w.read), w.token(w.write)
	request := func(name, reason string, times int, r Request) {
		w.add(Case{Name: name, Layer: "service", Reason: reason, Times: times, Request: r})
	}
	request("read twice", "", 2, getting(good))
	request("replayed", "REPLAYED", 2, posting(written))
	request("no header", "HEADER_MISSING", 1, Request{Method: "GET", URL: get, Headers: [][2]string{}})
	request("two headers", "HEADER_REPEATED", 1, Request{Method: "GET", URL: get, Headers: [][2]string{{header, good}, {header, good}}})
	request("two headers made one", "MALFORMED", 1, getting(good+", "+good))
	request("typ as a media type", "TYPE_WRONG", 1, getting(compact(text(with(w.head, "typ", "application/onedoor-assertion+jwt")), text(w.read), es256(w.active))))
	twice := strings.Replace(string(text(w.read)), `"sub":"usr_7f3a"`, `"sub":"usr_7f3a","sub":"usr_admin"`, 1)
	request("a claim twice", "MALFORMED", 1, getting(compact(text(w.head), []byte(twice), es256(w.active))))
	request("no txn", "CLAIM_MISSING", 1, getting(w.token(with(w.read, "txn", nil))))
	request("no req_wl", "CLAIM_MISSING", 1, getting(w.token(with(w.read, "req_wl", nil))))
	request("no scope", "CLAIM_MISSING", 1, getting(w.token(with(w.read, "scope", nil))))
	request("a fraction of a second", "MALFORMED", 1, getting(w.token(with(w.read, "exp", now+55.5))))
	request("a jti of a thousand letters", "MALFORMED", 1, getting(w.token(with(w.read, "jti", strings.Repeat("a", 1000)))))

	broker, sandbox := certificate(brokerID), certificate("spiffe://prod.example/sandbox/42")
	bound := w.token(with(w.read, "cnf", object{"x5t#S256": thumbprint(broker)}))
	peer := func(name, reason, demanded, token string, der []byte) {
		r := getting(token)
		if der != nil {
			r.PeerCertificate = certificatePEM(der)
		}
		w.add(Case{Name: name, Layer: "service", Reason: reason, BrokerID: demanded, Request: r})
	}
	peer("valid from the broker", "", brokerID, good, broker)
	peer("valid, bound to the broker's certificate", "", "", bound, broker)
	peer("from a sandbox", "PEER_WRONG", brokerID, good, sandbox)
	peer("from nobody", "PEER_WRONG", brokerID, good, nil)
	peer("bound to another certificate", "PEER_WRONG", "", bound, sandbox)
	peer("bound, without a certificate", "PEER_WRONG", "", bound, nil)
	peer("bound to what is not known", "PEER_WRONG", "", w.token(with(w.read, "cnf", object{"jkt": "x"})), broker)

	required := func(name, reason, token string, der []byte) {
		peer(name, reason, brokerID, token, der)
		w.cases[len(w.cases)-1].RequireCNF = true
	}
	required("valid, bound as required", "", bound, broker)
	required("not bound as required", "CLAIM_MISSING", good, broker)
	required("bound as required, to another certificate", "PEER_WRONG",
		w.token(with(w.read, "cnf", object{"x5t#S256": thumbprint(sandbox)})), broker)
	required("bound as required, without a certificate", "PEER_WRONG", bound, nil)
	required("bound as required, by nothing", "PEER_WRONG", w.token(with(w.read, "cnf", object{})), broker)
	required("bound as required, in hexadecimal", "PEER_WRONG",
		w.token(with(w.read, "cnf", object{"x5t#S256": hexadecimal(broker)})), broker)

	txn := func(name, reason string, times int, head, claims object) {
		token := compact(text(head), text(claims), es256(w.active))
		w.add(Case{Name: name, Profile: "txn-token", Layer: "token", Reason: reason, Times: times, Request: Request{
			Method: "POST", URL: "https://ledger.internal/entries", Headers: [][2]string{{txnHeader, token}}, Body: body,
		}})
	}
	txn("Transaction Token", "", 1, w.txnHead, w.txn)
	txn("Transaction Token, handed on twice", "", 2, w.txnHead, w.txn)
	txn("Transaction Token for a service", "AUDIENCE_WRONG", 1, w.txnHead, with(w.txn, "aud", audience))
	txn("Transaction Token with the other typ", "TYPE_WRONG", 1, w.head, w.txn)
	txn("Transaction Token, expired", "EXPIRED", 1, w.txnHead, with(w.txn, "iat", now-120, "exp", now-60))
}
