package sqlstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/store/sqlstore"
)

func TestVerifiedTransport(t *testing.T) {
	const unverified = "not verified"
	for url, says := range map[string]string{
		"postgres://u:canary@db.invalid/d":                                       unverified,
		"postgres://u:canary@db.invalid/d?sslmode=disable":                       unverified,
		"postgres://u:canary@db.invalid/d?sslmode=allow":                         unverified,
		"postgres://u:canary@db.invalid/d?sslmode=prefer":                        unverified,
		"postgres://u:canary@db.invalid/d?sslmode=require":                       unverified,
		"cockroach://u:canary@db.invalid/d?sslmode=require":                      unverified,
		"postgres://u:canary@db.invalid,127.0.0.1/d?sslmode=disable":             unverified,
		"postgres://u:canary@127.0.0.1,db.invalid/d?sslmode=prefer":              unverified,
		"postgres://u:canary@127.0.0.1/d?sslmode=disable&host=db.invalid":        unverified,
		"postgres://u:canary@db.invalid/d?sslmode=verify-ca&connect_timeout=1":   "open the database",
		"postgres://u:canary@db.invalid/d?sslmode=verify-full&connect_timeout=1": "open the database",
		"postgres://u:canary@127.0.0.1:1/d?sslmode=disable":                      "open the database",
		"postgres://u:canary@localhost:1/d?sslmode=disable":                      "open the database",
		"postgres://u:canary@/d?host=/nothing/here&sslmode=disable":              "open the database",
	} {
		_, err := sqlstore.Open(t.Context(), url, sqlstore.Options{Verified: true})
		require.ErrorContains(t, err, says, url)
		require.NotContains(t, err.Error(), "canary")
	}
	_, err := sqlstore.Open(t.Context(), "postgres://u:canary@db.invalid/d?sslmode=disable&connect_timeout=1", sqlstore.Options{})
	require.ErrorContains(t, err, "open the database", "only where it is asked for")
}
