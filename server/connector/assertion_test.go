package connector_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
)

func TestParseAssertion(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want *connector.Assertion
	}{
		"none": {"", nil},
		"default": {
			"assertion: {audience: https://payroll.internal}\n",
			&connector.Assertion{Profile: connector.RequestBound, Audience: "https://payroll.internal", Header: "X-Onedoor-Jwt-Assertion"},
		},
		"another header": {
			"assertion: {profile: default, audience: payroll, header: x-who-asks}\n",
			&connector.Assertion{Profile: connector.RequestBound, Audience: "payroll", Header: "X-Who-Asks"},
		},
		"Transaction Token": {
			"assertion: {profile: txn-token}\n",
			&connector.Assertion{Profile: connector.TxnToken, Header: "Txn-Token"},
		},
		"Transaction Token beside a credential in the query": {
			"assertion: {profile: txn-token}\ncredentials: {main: {owner: user, attach: {query: key}}}\n",
			&connector.Assertion{Profile: connector.TxnToken, Header: "Txn-Token"},
		},
		"beside a credential in a header": {
			"assertion: {audience: payroll}\ncredentials: {main: {owner: user, attach: bearer}}\n",
			&connector.Assertion{Profile: connector.RequestBound, Audience: "payroll", Header: "X-Onedoor-Jwt-Assertion"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := connector.Parse([]byte(replaced(t, "tools:", c.text+"tools:")))
			require.NoError(t, err)
			require.Equal(t, c.want, parsed.Assertion)
		})
	}
}

func TestParseAssertionRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no mapping":               {"assertion: yes please\n", "line 4: assertion: want a mapping"},
		"unknown field":            {"assertion: {audience: a, alg: HS256}\n", `line 4: assertion has no field "alg"`},
		"no audience":              {"assertion: {}\n", "line 4: assertion: audience is missing"},
		"audience twice in one":    {"assertion: {audience: a b}\n", "audience: want printable ASCII without spaces"},
		"list of audiences":        {"assertion: {audience: [a]}\n", "audience: want a string"},
		"unknown profile":          {"assertion: {audience: a, profile: saml}\n", `profile "saml": want default or txn-token`},
		"audience of a Txn-Token":  {"assertion: {audience: a, profile: txn-token}\n", "made for the trust domain"},
		"header of a Txn-Token":    {"assertion: {profile: txn-token, header: X-A}\n", "goes in Txn-Token alone"},
		"Authorization":            {"assertion: {audience: a, header: authorization}\n", "Authorization cannot carry an assertion"},
		"Txn-Token for another":    {"assertion: {audience: a, header: Txn-Token}\n", "Txn-Token cannot carry an assertion"},
		"Content-Digest":           {"assertion: {audience: a, header: Content-Digest}\n", "Content-Digest cannot carry an assertion"},
		"Host":                     {"assertion: {audience: a, header: Host}\n", "Host cannot carry an assertion"},
		"no header's name":         {"assertion: {audience: a, header: 'a b'}\n", "want a header's name"},
		"where the credential is":  {"assertion: {audience: a, header: X-A}\ncredentials: {main: {owner: user, attach: {header: x-a}}}\n", "header X-A carries the credential"},
		"digest as the credential": {"assertion: {audience: a}\ncredentials: {main: {owner: user, attach: {header: content-digest}}}\n", "header Content-Digest carries the credential"},
		"credential in the query":  {"assertion: {audience: a}\ncredentials: {main: {owner: user, attach: {query: key}}}\n", "it binds the query"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := connector.Parse([]byte(replaced(t, "tools:", c.text+"tools:")))
			require.True(t, fault.Is(err, fault.ArgumentInvalid))
			require.ErrorContains(t, err, c.want)
		})
	}
	for _, header := range []string{"x-onedoor-jwt-assertion", "content-digest"} {
		_, err := connector.Parse([]byte(replaced(t, "tools:", "assertion: {audience: a}\ntools:", "    method:", "    headers: {"+header+": x}\n    method:")))
		require.ErrorContains(t, err, "belongs to the assertion", header)
	}
}
