package assertions

import (
	"bytes"
	"encoding/json"
	"slices"
)

const (
	issuer      = "https://broker.example"
	audience    = "https://payroll.internal"
	trustDomain = "prod.example"
	now         = 1_800_000_000
	leeway      = 30
	brokerID    = "spiffe://prod.example/onedoor"
	header      = "X-Onedoor-Jwt-Assertion"
	txnHeader   = "Txn-Token"
	get         = "https://payroll.internal/payslips/alice"
	post        = "https://payroll.internal/payslips"
	query       = "month=2026-10&note=a%20b"
	body        = `{"user":"alice","gross":7200}`
)

// world is what the cases are made from.
type world struct {
	active, next, stranger key
	rsaHeader              object
	rsa                    sign
	head                   object // the usual header
	read, write            object // the claims of a GET without a body and of a POST with one
	txnHead, txn           object // those of a Transaction Token
	cases                  []Case
}

// Generate gives the text of vectors.json.
func Generate() ([]byte, error) {
	other := rsaKey()
	w := &world{active: ecKey("active"), next: ecKey("next"), stranger: ecKey("stranger"), rsa: rs256(other)}
	w.head = object{"alg": "ES256", "kid": w.active.kid, "typ": "onedoor-assertion+jwt"}
	w.rsaHeader = with(w.head, "alg", "RS256", "kid", "rsa")
	w.read = object{
		"iss": issuer, "aud": audience, "sub": "usr_7f3a", "iat": now - 5, "exp": now + 55,
		"jti": "6d0f4f7a2b8c4c0e9a51d3b7e8f01234", "txn": "0b2c7c1e-5a4e-4d0f-9d6f-1f0a3b5c7d9e",
		"act":    object{"sub": "mailer", "sub_profile": "ai_agent"},
		"req_wl": "spiffe://prod.example/sandbox/42", "scope": "payroll.payslips.get",
		"htm": "GET", "htu": get,
		"tctx": object{
			"task": "tsk_1", "workspace": "default", "tool": "payslips.get", "severity": "READ", "content_digest": digest(""),
		},
		"rctx": object{"spiffe_id": "spiffe://prod.example/sandbox/42", "key_id": "key_1"},
	}
	w.write = with(w.read, "htm", "POST", "htu", post, "scope", "payroll.payslips.add",
		"tctx.tool", "payslips.add", "tctx.severity", "WRITE", "tctx.content_digest", digest(body))
	w.txnHead = with(w.head, "typ", "txntoken+jwt")
	w.txn = with(w.read, "aud", trustDomain, "htm", nil, "htu", nil, "tctx.content_digest", nil)

	w.addTokens()
	w.addRequests()
	w.addServices()
	return encode(File{
		About: "Golden vectors for verifiers of Onedoor assertions; docs/assertions.md explains them. " +
			"Made by `go run ./tests/conformance/assertions/write`. The keys are public: never trust them.",
		Issuer: issuer, Audience: audience, TrustDomain: trustDomain, Now: now, Leeway: leeway,
		JWKS: jwks(w.active, w.next, other), Cases: w.cases,
	})
}

func encode(f File) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(f); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// token signs claims as the broker does.
func (w *world) token(claims object) string {
	return compact(text(w.head), text(claims), es256(w.active))
}

// getting and posting are the requests for which read and write are right.
func getting(token string) Request {
	return Request{Method: "GET", URL: get, Headers: [][2]string{{header, token}}}
}

func posting(token string) Request {
	return Request{Method: "POST", URL: post, Headers: [][2]string{{header, token}}, Body: body}
}

func (w *world) add(c Case) {
	if slices.ContainsFunc(w.cases, func(other Case) bool { return other.Name == c.Name }) {
		panic("two cases " + c.Name)
	}
	if c.Profile == "" {
		c.Profile = "request-bound"
	}
	c.Times = max(c.Times, 1)
	c.Valid = c.Reason == ""
	w.cases = append(w.cases, c)
}
