package attack_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

// TestAttack17_SecretsNowhere attaches a credential in each way that there is, and makes
// every stage of a call, and of the purchase of a token, fail. Then it looks for the
// credential in all that the broker gave out or wrote down.
func TestAttack17_SecretsNowhere(t *testing.T) {
	t.Parallel()
	newHunt(t, "").run(t, nil)
}

// The same on PostgreSQL, whose every row is read, and which goes away under the calls.
func TestAttack17_SecretsNowhereOnPostgres(t *testing.T) {
	t.Parallel()
	url := testenv.Postgres(t)
	proxy := testenv.NewProxy(t, url)
	h := newHunt(t, proxy.URL)
	h.run(t, []string{"query", "account", "certificate"}, func(calls []call) {
		proxy.Cut()
		h.make(t, calls[:10])
		proxy.Mend()
	})
	rows := testenv.PostgresRows(t, url)
	require.Contains(t, rows, "NOT_SENT")
	absent(t, "the database", rows, h.secrets...)
}

// The demo upstreams' secrets lie in DIR/demo and nowhere else: not in the log, not in
// another file of the folder.
func TestAttack17_DemoSecrets(t *testing.T) {
	b := testenv.Dev(t)
	var secrets []string
	demo, err := os.ReadDir(filepath.Join(b.Dir, "demo"))
	require.NoError(t, err)
	for _, one := range demo {
		text, err := os.ReadFile(filepath.Join(b.Dir, "demo", one.Name()))
		require.NoError(t, err)
		secrets = append(secrets, string(text))
	}
	require.Len(t, secrets, 4)
	task := b.Mint(t, nil, "crm: contacts.* READ contact:*")
	_, err = b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "crm", "contacts.search", map[string]string{"q": "a"})
	require.NoError(t, err)
	absent(t, "the log", b.Log(), append(secrets, task.Key)...)
	require.NoError(t, filepath.WalkDir(b.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Base(filepath.Dir(path)) == "demo" {
			return err
		}
		text, err := os.ReadFile(path)
		absent(t, filepath.Base(path), string(text), append(secrets, task.Key)...)
		return err
	}))
}
