// Package assertions holds the golden vectors for verifiers of Onedoor's assertions in
// any language: vectors.json, and the generator that made it.
//
// Every byte of the file is reproducible: the keys come from fixed seeds and ECDSA signs
// by RFC 6979. The keys are as public as this file and worth nothing.
package assertions

import (
	"encoding/json"
	"os"
)

// File is the form of vectors.json.
type File struct {
	About string `json:"about"`
	// Issuer, Audience and TrustDomain are what the verifier expects: the audience of
	// the profile "txn-token" is the trust domain.
	Issuer      string `json:"issuer"`
	Audience    string `json:"audience"`
	TrustDomain string `json:"trust_domain"`
	// Now and Leeway are the verifier's clock and the skew it forgives, in seconds.
	Now    int64           `json:"now"`
	Leeway int64           `json:"leeway"`
	JWKS   json.RawMessage `json:"jwks"`
	Cases  []Case          `json:"cases"`
}

// Case is one request and what a verifier must say of it.
type Case struct {
	Name    string `json:"name"`
	Profile string `json:"profile"` // "request-bound" or "txn-token"
	// Layer says who can see the fault: "token" whoever checks the JWT as
	// docs/assertions.md shows, "request" whoever compares it with the request too,
	// "service" only who also looks at the connection, at other requests, or stricter
	// than JWT libraries do. Valid cases are of the layer that is needed to judge them.
	Layer string `json:"layer"`
	// Times is how often the request comes; the last one is judged, those before are
	// valid.
	Times   int     `json:"times"`
	Request Request `json:"request"`
	// BrokerID is the SPIFFE ID that the verifier demands of the peer; empty for none.
	BrokerID string `json:"broker_id,omitempty"`
	// RequireCNF says that the verifier demands cnf.
	RequireCNF bool `json:"require_cnf,omitempty"`
	Valid      bool `json:"valid"`
	// Reason is the one that client/assertion gives; empty if valid.
	Reason string `json:"reason,omitempty"`
}

// Request is what comes over the wire.
type Request struct {
	Method  string      `json:"method"`
	URL     string      `json:"url"`
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body"`
	// PeerCertificate is the verified client certificate, in PEM; empty for none.
	PeerCertificate string `json:"peer_certificate,omitempty"`
}

// Load reads vectors.json.
func Load(path string) (File, error) {
	var f File
	text, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(text, &f)
}
