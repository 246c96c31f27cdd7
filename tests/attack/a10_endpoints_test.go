package attack_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/tests/testenv"
)

// Wherever a manifest says where to go, what two servers would read as two places is refused
// when it is applied, and not only when a secret is about to go there.
func TestAttack10_EndpointsInOneReading(t *testing.T) {
	b := testenv.Dev(t)
	const host, good = "https://login.example", "https://login.example/x"
	_, ca := testenv.Certificate(t, "login.example")
	api := func(at string) string {
		return "{main: {owner: workspace, attach: bearer, github_app: {app_id: 1, installation_id: 2, api: " + quoted(at) + ", permissions: {contents: read}, all_repositories: true}}}"
	}
	sts := func(at string) string {
		return "{main: {owner: workspace, attach: {aws: {region: us-east-1, service: s3, role: \"arn:aws:iam::123456789012:role/r\", external_id: onedoor, " +
			"session_policy: {thing: {actions: [\"s3:GetObject\"], arn: \"arn:aws:s3:::b/{id}\"}}, sts: {endpoint: " + quoted(at) + "}}}}}"
	}
	apply := func(slots string) error {
		return applied(t, b, testenv.Manifest("endpoints", "https://api.example.com", "", slots, testenv.Things))
	}
	require.NoError(t, apply(testenv.OAuthSlots(good, good, ca)))
	require.NoError(t, apply(api(good)))
	require.NoError(t, apply(sts(good)))
	for _, path := range []string{
		"/a/../b", "/..", "/./x", "/%2e%2e/x", "/.%2E/x", "/x/..%2fy", "/..%5cx", "/..;/x", "/..;v=1/x", "//x", "//evil.example/x", "/a\\b", "/\\evil.example", "/a b", "/a\tb", "/é",
		"/x?a b", "/x?é", "/x?a\\b", "/x?a=%", "/x?a=%zz", "/x#y", "/x?a#y", "/%zz", "@evil.example/x", ":443:443/x", "?x", "",
	} {
		at := host + path
		require.ErrorIs(t, apply(testenv.OAuthSlots(good, at, ca)), client.ArgumentInvalid, "token_endpoint %s", at)
		require.ErrorIs(t, apply(testenv.OAuthSlots(at, good, ca)), client.ArgumentInvalid, "authorization_endpoint %s", at)
		require.ErrorIs(t, apply(sts(at)), client.ArgumentInvalid, "sts %s", at)
		if path != "" { // GitHub's own has none
			require.ErrorIs(t, apply(api(at)), client.ArgumentInvalid, "api %s", at)
		}
	}
}
