package connector

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/egress"
)

// The kinds of slots that hold an access key of AWS: the first signs with it, the second
// assumes a role by it and signs with what the role is given.
const (
	AWSKey  = "aws"
	AWSRole = "aws-role"
)

const (
	maxARN        = 1 << 10
	maxExternalID = 1224
	// minSession and maxSession are what STS takes (AssumeRole, DurationSeconds).
	minSession = 15 * time.Minute
	maxSession = 12 * time.Hour
)

// AWS says how requests are signed (Signature Version 4), and with what.
type AWS struct {
	Region, Service string
	// Role is the ARN of the role that is assumed; empty: the stored key itself signs.
	Role string
	// ExternalID is what the role's trust policy may ask for; empty for none.
	ExternalID string
	// Session is how long what the role is given is good.
	Session time.Duration
	// STS is asked for it.
	STS egress.Location
	// Egress bounds the connections to STS.
	Egress egress.Policy
	// Rules narrow the role to what a call acts on; empty: all that the role may do.
	Rules []PolicyRule
}

// signatureHeaders are what a signature takes for itself.
func signatureHeaders() []string {
	return []string{"header Authorization", "header X-Amz-Date", "header X-Amz-Security-Token", "header X-Amz-Content-Sha256"}
}

// aws reads {region: R, service: S, role: ARN, …}.
func (r *reader) aws(n *yaml.Node) *AWS {
	a := &AWS{Session: minSession}
	beside := map[string]*yaml.Node{}
	needsRole := func(name string, read func(*yaml.Node)) field {
		return field{name, false, func(n *yaml.Node) { beside[name] = n; read(n) }}
	}
	r.fields(n, "aws",
		// As in a signature's scope, for instance `eu-central-1`.
		field{"region", true, func(n *yaml.Node) { a.Region = r.awsName(n, "region") }},
		// As in a signature's scope, for instance `s3` or `dynamodb`. Services whose answers are
		// credentials (`sts`, `sso`, `cognito-identity` and the like) are refused.
		field{"service", true, func(n *yaml.Node) { a.Service = r.awsService(n) }},
		// The ARN of the role to assume. Left out: the stored key itself signs.
		field{"role", false, func(n *yaml.Node) { a.Role = r.roleARN(n) }},
		// What the role's trust policy asks for. With `role`.
		needsRole("external_id", func(n *yaml.Node) { a.ExternalID = r.externalID(n) }),
		// `15m` to `12h`; STS allows at most what the role's own setting does. With `role`. Default
		// `15m`.
		needsRole("session_duration", func(n *yaml.Node) { a.Session = r.session(n) }),
		// By type of resource, what a call on such a one may do. With `role`.
		needsRole("session_policy", func(n *yaml.Node) { a.Rules = r.policyRules(n) }),
		// The endpoint of STS. With `role`.
		needsRole("sts", func(n *yaml.Node) { r.sts(n, a) }),
	)
	if a.Role == "" {
		for name, given := range beside {
			r.fail(given, "%s: only beside role", name)
		}
		return a
	}
	if a.STS == (egress.Location{}) {
		a.STS = r.regionalSTS(n, a.Region)
	}
	return a
}

// regionalSTS is the endpoint of a region: the global one stands far from most, and its
// tokens are not taken in every region.
func (r *reader) regionalSTS(n *yaml.Node, region string) egress.Location {
	text := "https://sts." + region + ".amazonaws.com/"
	if strings.HasPrefix(region, "cn-") {
		text = "https://sts." + region + ".amazonaws.com.cn/"
	}
	l, err := egress.ParseLocation(text)
	if err != nil && region != "" {
		r.fail(n, "aws: say where STS is: sts: {endpoint: URL}")
	}
	return l
}

func (r *reader) sts(n *yaml.Node, a *AWS) {
	r.fields(n, "sts",
		// Its URL. Default `https://sts.REGION.amazonaws.com/`, without `sts`.
		field{"endpoint", true, func(n *yaml.Node) {
			if a.STS = r.location(n, "endpoint"); a.STS.Query != "" {
				r.fail(n, "endpoint: want a URL without a query")
			}
		}},
		field{"network", false, func(n *yaml.Node) {
			// As `network.allow` of the connector, for this endpoint alone.
			r.fields(n, "network", field{"allow", true, func(n *yaml.Node) { a.Egress.AllowRanges = r.ranges(n) }})
		}},
		field{"tls", false, func(n *yaml.Node) {
			// As `tls.ca` of the connector, for this endpoint alone.
			r.fields(n, "tls", field{"ca", true, func(n *yaml.Node) { a.Egress.RootCAs = r.certificates(n) }})
		}},
	)
}

// awsName reads a region or service as it stands in a signature's scope.
func (r *reader) awsName(n *yaml.Node, what string) string {
	s := r.text(n, what, maxName)
	if strings.ContainsFunc(s, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' }) {
		r.fail(n, "%s %s: want lower-case letters, digits and '-'", what, quote(s))
		return ""
	}
	return s
}

// awsService refuses what gives out credentials: they would be an answer like any other.
func (r *reader) awsService(n *yaml.Node) string {
	s := r.awsName(n, "service")
	giving := []string{
		"sts", "sso", "sso-oauth", "signin", "cognito-identity", "cognito-idp", "rolesanywhere", "eks-auth", "codeartifact",
	}
	if slices.Contains(giving, s) {
		r.fail(n, "service %s: its answers are credentials, which no sandbox is given", s)
	}
	return s
}

func (r *reader) roleARN(n *yaml.Node) string {
	s := r.text(n, "role", maxARN)
	parts := strings.SplitN(s, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || !strings.HasPrefix(parts[1], "aws") || parts[2] != "iam" || parts[3] != "" ||
		len(parts[4]) != 12 || strings.Trim(parts[4], "0123456789") != "" ||
		!strings.HasPrefix(parts[5], "role/") || !isIAMText(parts[5], "+=,.@-_/") {
		r.fail(n, "role: want arn:aws:iam::ACCOUNT:role/NAME")
		return ""
	}
	return s
}

func (r *reader) externalID(n *yaml.Node) string {
	s := r.text(n, "external_id", maxExternalID)
	if !isIAMText(s, "+=,.@:/-_") || len(s) == 1 {
		r.fail(n, "external_id: want 2 to %d letters, digits and _+=,.@:/-", maxExternalID)
	}
	return s
}

// isIAMText reports whether s is letters, digits and those characters.
func isIAMText(s, also string) bool {
	for _, c := range []byte(s) {
		if (c|0x20 < 'a' || c|0x20 > 'z') && !isDigit(c) && strings.IndexByte(also, c) < 0 {
			return false
		}
	}
	return true
}

func (r *reader) session(n *yaml.Node) time.Duration {
	d, err := time.ParseDuration(r.text(n, "session_duration", maxName))
	if err != nil || d < minSession || d > maxSession || d%time.Second != 0 {
		r.fail(n, "session_duration: want 15m to 12h, in whole seconds")
	}
	return d
}
