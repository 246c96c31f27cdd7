package connector_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
)

const role = "arn:aws:iam::123456789012:role/path/reports"

// awsManifest has one slot that is attached as aws says, and a tool on a report.
func awsManifest(aws string) string {
	return `
connector: reports
kind: http
origin: https://s3.eu-central-1.amazonaws.com
credentials:
  main: {owner: workspace, attach: {aws: ` + aws + `}}
tools:
  - name: report.get
    severity: READ
    method: GET
    path: /reports/{id}
    arguments: {type: object, required: [id], properties: {id: {type: string}}}
    resources: ["report:{id}", "page:*"]
`
}

func TestParseAWS(t *testing.T) {
	parse := func(aws string) connector.Slot {
		c, err := connector.Parse([]byte(awsManifest(aws)))
		require.NoError(t, err)
		return c.Slots["main"]
	}
	key := parse("{region: eu-central-1, service: s3}")
	require.Equal(t, connector.AWSKey, key.Kind)
	require.Equal(t, connector.AWSKey, key.Stores())
	require.Empty(t, key.AWS.Role)
	require.Empty(t, key.AWS.STS.String())

	assumed := parse("{region: eu-central-1, service: s3, role: '" + role + "'}")
	require.Equal(t, connector.AWSKey, assumed.Kind)
	require.Equal(t, connector.AWSRole, assumed.Stores())
	require.Equal(t, "https://sts.eu-central-1.amazonaws.com/", assumed.AWS.STS.String())
	require.Equal(t, 15*time.Minute, assumed.AWS.Session)
	require.Equal(t, "https://sts.cn-north-1.amazonaws.com.cn/", parse("{region: cn-north-1, service: s3, role: '"+role+"'}").AWS.STS.String())

	full := parse("{region: eu-central-1, service: s3, role: '" + role + `', external_id: "a:b/c", session_duration: 1h,
      session_policy: {report: {actions: ["s3:GetObject"], arn: "arn:aws:s3:::reports/{id}"}},
      sts: {endpoint: "https://sts.test:8443/x", network: {allow: [10.0.0.0/8]}}}`)
	require.Equal(t, "a:b/c", full.AWS.ExternalID)
	require.Equal(t, time.Hour, full.AWS.Session)
	require.Equal(t, "https://sts.test:8443/x", full.AWS.STS.String())
	require.Len(t, full.AWS.Egress.AllowRanges, 1)
	require.Equal(t, []connector.PolicyRule{{Type: "report", Actions: []string{"s3:GetObject"}, Prefix: "arn:aws:s3:::reports/"}}, full.AWS.Rules)
}

func TestParseAWSRefuses(t *testing.T) {
	base := "region: eu-central-1, service: s3"
	assumed := base + ", role: '" + role + "'"
	policy := func(rule string) string { return assumed + ", session_policy: " + rule }
	arn := func(text string) string {
		return policy(`{report: {actions: ["s3:GetObject"], arn: "` + text + `"}}`)
	}
	for name, c := range map[string]struct{ aws, want string }{
		"no region":                   {"service: s3", "region is missing"},
		"no service":                  {"region: eu-central-1", "service is missing"},
		"unknown field":               {base + ", profile: x", `has no field "profile"`},
		"a region with a slash":       {"region: eu/x, service: s3", "region"},
		"a service in capitals":       {"region: eu, service: S3", "service"},
		"STS as the upstream":         {"region: eu, service: sts", "its answers are credentials"},
		"a role's name alone":         {base + ", role: reports", "want arn:aws:iam::ACCOUNT:role/NAME"},
		"a user's ARN":                {base + ", role: 'arn:aws:iam::123456789012:user/x'", "want arn:aws:iam"},
		"a role without account":      {base + ", role: 'arn:aws:iam:::role/x'", "want arn:aws:iam"},
		"external_id alone":           {base + ", external_id: abc", "external_id: only beside role"},
		"session_policy alone":        {base + `, session_policy: {report: {actions: ["s3:GetObject"], arn: "arn:aws:s3:::r/{id}"}}`, "session_policy: only beside role"},
		"sts alone":                   {base + ", sts: {endpoint: 'https://sts.test/'}", "sts: only beside role"},
		"an external_id with a space": {assumed + ", external_id: 'a b'", "external_id: want"},
		"a short session":             {assumed + ", session_duration: 5m", "want 15m to 12h"},
		"a long session":              {assumed + ", session_duration: 13h", "want 15m to 12h"},
		"STS over http":               {assumed + ", sts: {endpoint: 'http://sts.test/'}", "endpoint: want https"},
		"STS with a query":            {assumed + ", sts: {endpoint: 'https://sts.test/?a=b'}", "without a query"},
		"an empty policy":             {policy("{}"), "want a mapping of 1 to"},
		"no actions":                  {policy(`{report: {actions: [], arn: "arn:aws:s3:::r/{id}"}}`), "a list that is not empty"},
		"all actions":                 {policy(`{report: {actions: ["s3:*"], arn: "arn:aws:s3:::r/{id}"}}`), "without wildcards"},
		"an action without name":      {policy(`{report: {actions: ["s3"], arn: "arn:aws:s3:::r/{id}"}}`), "want SERVICE:ACTION"},
		"an action twice":             {policy(`{report: {actions: ["s3:Get", "s3:Get"], arn: "arn:aws:s3:::r/{id}"}}`), "stands twice"},
		"no type":                     {policy(`{"Report:x": {actions: ["s3:Get"], arn: "arn:aws:s3:::r/{id}"}}`), "want a type of resources"},
		"everything":                  {arn("*"), "arn: want"},
		"all buckets":                 {arn("arn:aws:s3:::*"), "arn: want"},
		"a beginning":                 {arn("arn:aws:s3:::reports/{id}*"), "arn: want"},
		"a wildcard before":           {arn("arn:aws:s3:::*/{id}"), "arn: want"},
		"a question mark":             {arn("arn:aws:s3:::reports-?/{id}"), "arn: want"},
		"a variable of IAM's":         {arn("arn:aws:s3:::${aws:username}/{id}"), "arn: want"},
		"the id twice":                {arn("arn:aws:s3:::{id}/{id}"), "arn: want"},
		"the id as the account":       {arn("arn:aws:s3::{id}:reports"), "arn: want"},
		"nothing behind":              {arn("arn:aws:s3:::"), "arn: want"},
		"no rule for a tool":          {policy(`{folder: {actions: ["s3:Get"], arn: "arn:aws:s3:::r/{id}"}}`), "tool report.get: session_policy of slot main has no rule"},
		"a second way to attach":      {base + "}, query: {q", "attach"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := connector.Parse([]byte(awsManifest("{" + c.aws + "}")))
			require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
			require.ErrorContains(t, err, c.want)
		})
	}
	for _, other := range []string{"bearer", "basic", "{header: X-Amz-Date}", "{header: x-amz-security-token}", "{aws: {region: eu, service: s3}}"} {
		text := strings.Replace(awsManifest("{"+base+"}"), "tools:", "  other: {owner: workspace, attach: "+other+"}\ntools:", 1)
		_, err := connector.Parse([]byte(text))
		require.ErrorContains(t, err, "would be attached where", other)
	}
	for header, want := range map[string]string{
		"X-Amz-Date: now": "carries the credential", "x-amz-content-sha256: UNSIGNED-PAYLOAD": "carries the credential",
		"Authorization: x": "not a manifest's to set", "Content-Type: text/plain": "not a manifest's to set",
		"Content-Type: application/x-www-form-urlencoded": "not a manifest's to set",
	} {
		text := strings.Replace(awsManifest("{"+base+"}"), "    resources:", "    headers: {"+header+"}\n    resources:", 1)
		_, err := connector.Parse([]byte(text))
		require.ErrorContains(t, err, want, header)
	}
}

// A body of JSON goes under the name that the upstream has for it.
func TestContentTypeOfJSON(t *testing.T) {
	text := strings.NewReplacer("method: GET", "method: POST\n    headers: {X-Amz-Target: T.Get, content-type: application/x-amz-json-1.0}\n    body: all",
		"/reports/{id}", "/").Replace(awsManifest("{region: eu, service: dynamodb}"))
	c, err := connector.Parse([]byte(text))
	require.NoError(t, err)
	b, err := c.Bind("report.get", []byte(`{"id":"a"}`))
	require.NoError(t, err)
	require.Equal(t, []string{"application/x-amz-json-1.0"}, b.Header["Content-Type"])
	require.Equal(t, `{"id":"a"}`, string(b.Body))
}

// narrowed is a slot of a role with rules for two types, a folder and a fixed ARN.
func narrowed(t testing.TB) *connector.AWS {
	t.Helper()
	c, err := connector.Parse([]byte(awsManifest("{region: eu-central-1, service: s3, role: '" + role + `', session_policy: {
      report: {actions: ["s3:GetObject", "s3:PutObject"], arn: "arn:aws:s3:::reports/{id}"},
      folder: {actions: ["s3:GetObject"], arn: "arn:aws:s3:::reports/{id}/*"},
      list: {actions: ["s3:ListBucket"], arn: "arn:aws:s3:::reports"}}}`)))
	require.NoError(t, err)
	return c.Slots["main"].AWS
}

func resourcesOf(t testing.TB, texts ...string) []grant.Resource {
	t.Helper()
	var all []grant.Resource
	for _, text := range texts {
		r, err := grant.ParseResource(text)
		require.NoError(t, err)
		all = append(all, r)
	}
	return all
}

func TestSessionPolicy(t *testing.T) {
	aws := narrowed(t)
	statement := func(action, resource string) string {
		return `{"Effect":"Allow","Action":[` + action + `],"Resource":[` + resource + `]}`
	}
	const getPut, get = `"s3:GetObject","s3:PutObject"`, `"s3:GetObject"`
	for name, c := range map[string]struct {
		resources []string
		want      []string
	}{
		"one":                {[]string{"report:q1"}, []string{statement(getPut, `"arn:aws:s3:::reports/q1"`)}},
		"two, in one order":  {[]string{"report:q2", "report:q1"}, []string{statement(getPut, `"arn:aws:s3:::reports/q1","arn:aws:s3:::reports/q2"`)}},
		"a whole type":       {[]string{"report:*"}, []string{statement(getPut, `"arn:aws:s3:::reports/*"`)}},
		"below":              {[]string{"folder:2026"}, []string{statement(get, `"arn:aws:s3:::reports/2026/*"`)}},
		"fixed":              {[]string{"list:*", "list:x"}, []string{statement(`"s3:ListBucket"`, `"arn:aws:s3:::reports"`)}},
		"without a rule":     {[]string{"page:1", "report:q1"}, []string{statement(getPut, `"arn:aws:s3:::reports/q1"`)}},
		"two types":          {[]string{"report:q1", "folder:a"}, []string{statement(get, `"arn:aws:s3:::reports/a/*"`), statement(getPut, `"arn:aws:s3:::reports/q1"`)}},
		"quotes and slashes": {[]string{`report:a"b/c<d>&`}, []string{statement(getPut, `"arn:aws:s3:::reports/a\"b/c<d>&"`)}},
		"a colon":            {[]string{"report:a:b"}, []string{statement(getPut, `"arn:aws:s3:::reports/a:b"`)}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := aws.SessionPolicy(resourcesOf(t, c.resources...))
			require.NoError(t, err)
			require.Equal(t, `{"Version":"2012-10-17","Statement":[`+strings.Join(c.want, ",")+`]}`, got)
		})
	}
}

// An id is never read as a pattern, and a policy is never empty.
func TestSessionPolicyRefuses(t *testing.T) {
	aws := narrowed(t)
	var many []string
	for i := range 60 {
		many = append(many, fmt.Sprintf("report:report-number-%04d", i))
	}
	for name, c := range map[string]struct {
		resources []string
		want      string
	}{
		"nothing":         {nil, "has no rule for what this call acts on"},
		"no rule":         {[]string{"page:1"}, "has no rule"},
		"a question mark": {[]string{"report:a?"}, "without *, ? and $"},
		"a variable":      {[]string{"report:${aws:username}"}, "without *, ? and $"},
		"not ASCII":       {[]string{"report:ä"}, "printable ASCII"},
		"one bad of two":  {[]string{"report:a", "report:b?"}, "without *, ? and $"},
		"too many":        {many, "longer than 2048"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := aws.SessionPolicy(resourcesOf(t, c.resources...))
			require.Empty(t, got)
			require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
			require.ErrorContains(t, err, c.want)
		})
	}
	got, err := (&connector.AWS{}).SessionPolicy(resourcesOf(t, "report:a"))
	require.NoError(t, err)
	require.Empty(t, got, "a manifest that does not narrow")
}

// FuzzSessionPolicy: whatever the id, the policy speaks of that one thing, or there is
// no policy.
func FuzzSessionPolicy(f *testing.F) {
	aws := narrowed(f)
	for _, id := range []string{"q1", "*", "a?", "${x}", `a"],"Resource":["*`, "ä", "a/../b", `\u002a`} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		r, err := grant.ParseResource("report:" + id)
		if err != nil {
			return
		}
		text, err := aws.SessionPolicy([]grant.Resource{r})
		if err != nil {
			return
		}
		var policy struct {
			Statement []struct{ Resource []string }
		}
		if json.Unmarshal([]byte(text), &policy) != nil || len(policy.Statement) != 1 || len(policy.Statement[0].Resource) != 1 ||
			policy.Statement[0].Resource[0] != "arn:aws:s3:::reports/"+id || id != "*" && strings.ContainsAny(id, "*?$") {
			t.Errorf("the policy for %q is %s", id, text)
		}
	})
}
