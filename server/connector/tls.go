package connector

import (
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"go.yaml.in/yaml/v3"
)

const maxSPIFFEID = 2048 // SPIFFE-ID, 2.3

// tls reads {ca: PEM, client: svid, server_id: ID}: by what the upstream is known, and
// as whom the broker comes.
func (r *reader) tls(n *yaml.Node, c *Connector) {
	var ca *yaml.Node
	given := 0
	r.fields(n, "tls",
		// PEM certificates to trust for this upstream **instead of** the system's.
		field{"ca", false, func(n *yaml.Node) { ca, given, c.Egress.RootCAs = n, given+1, r.certificates(n) }},
		// `svid`: the broker shows its own X.509-SVID.
		field{"client", false, func(n *yaml.Node) { given, c.ShowsSVID = given+1, r.tlsClient(n) }},
		// The SPIFFE ID that the upstream must have, in the place of its name.
		field{"server_id", false, func(n *yaml.Node) { given, c.Egress.ServerID = given+1, r.serverID(n) }},
	)
	switch {
	case given == 0 && n.Kind == yaml.MappingNode:
		r.fail(n, "tls: want ca, client or server_id")
	case ca != nil && !c.Egress.ServerID.IsZero():
		r.fail(ca, "tls.ca: server_id is verified by the bundle of its trust domain, and no CA beside")
	}
}

func (r *reader) tlsClient(n *yaml.Node) bool {
	s := r.text(n, "tls.client", maxName)
	if s != "" && s != "svid" {
		r.fail(n, "tls.client %s: want svid; a certificate of another CA is a credential", quote(s))
	}
	return s == "svid"
}

// serverID reads the one SPIFFE ID that the upstream must have.
func (r *reader) serverID(n *yaml.Node) spiffeid.ID {
	s := r.text(n, "tls.server_id", maxSPIFFEID)
	if s == "" {
		return spiffeid.ID{}
	}
	id, err := spiffeid.FromString(s)
	if err != nil || id.Path() == "" || id.String() != s {
		r.fail(n, "tls.server_id %s: want the SPIFFE ID of a workload, like spiffe://prod.example/payroll", quote(s))
		return spiffeid.ID{}
	}
	return id
}
