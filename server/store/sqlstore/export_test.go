package sqlstore

import (
	"database/sql"
	"fmt"
)

// Built gives the statements that are put together at run time, in every shape.
func Built() map[string]string {
	built := map[string]string{}
	for _, n := range portions(2*mostRows-1, mostRows) {
		built[fmt.Sprintf("insertEvents of %d", n)] = insertEvents + values(n, eventWidth)
		built[fmt.Sprintf("claimKeys of %d", n)] = claimKeysHead + values(n, claimColumns) + claimKeysTail
	}
	return built
}

// ErrorText is what an error of a driver is made into.
func ErrorText(err error) error { return failed("try", err) }

// Portions and Micros are tested directly.
var (
	Portions   = portions
	MostRows   = mostRows
	Micros     = micros
	FromMicros = fromMicros
)

// Writer and Reader are the pools, to look at how they are set.
func Writer(s *Store) *sql.DB { return s.db.write }

// Reader is the pool that reads.
func Reader(s *Store) *sql.DB { return s.db.read }

// AsCockroach has transactions run the way they do on CockroachDB.
func AsCockroach(s *Store) { s.db.dialect = cockroach }
