package testenv_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

func TestEveryTestHasADatabaseOfItsOwn(t *testing.T) {
	urls := []string{testenv.Postgres(t), testenv.Postgres(t)}
	require.NotEqual(t, urls[0], urls[1])
	for _, url := range urls {
		conn, err := pgx.Connect(context.Background(), url)
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), "CREATE TABLE mine (n BIGINT)")
		require.NoError(t, err, "the table of the other database is not here")
		var isolation string
		require.NoError(t, conn.QueryRow(t.Context(), "SHOW default_transaction_isolation").Scan(&isolation))
		require.Equal(t, "serializable", isolation)
		require.NoError(t, conn.Close(context.Background()))
	}
}
