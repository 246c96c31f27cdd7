package docs_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
)

// TestTheCredentialExamples: every manifest is taken as it stands, and stores what the
// section's table says.
func TestTheCredentialExamples(t *testing.T) {
	page := read(t, "docs/credentials.md")
	stores := map[string]string{}
	for _, text := range blocks(page, "yaml") {
		c, err := connector.Parse([]byte(text))
		require.NoError(t, err, "%s", text)
		stores[c.Name] = c.Slots[connector.DefaultSlot].Stores()
		require.Contains(t, page, "onedoor credential put "+c.Name+" ")
	}
	for name, kind := range map[string]string{
		"reports": "client_credentials", "calendar": "jwt_bearer", "archive": "token_exchange", "payslips": "token_exchange", "github": "github_app",
	} {
		require.Equal(t, kind, stores[name], name)
	}
	var named []string
	for _, row := range rows(page) {
		for kind := range strings.SplitSeq(row[0], ", ") {
			named = append(named, strings.SplitN(strings.Trim(kind, "[]`"), "]", 2)[0])
		}
	}
	for name, kind := range stores {
		require.Contains(t, named, kind, "the table of kinds lacks that of %s", name)
	}
}
