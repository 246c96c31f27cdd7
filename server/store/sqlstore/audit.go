package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/onedoor/onedoor/server/audit"
)

// Audit keeps the trail: audit.Store.
type Audit struct{ db *db }

// auditTx is an audit.Tx.
type auditTx struct{ *tx }

// Write runs f in one serializable transaction and may run it several times. Once a
// call on the transaction has failed, it is not committed, whatever f returns.
func (a Audit) Write(ctx context.Context, f func(ctx context.Context, tx audit.Tx) error) error {
	return a.db.transact(ctx, "write audit", func(ctx context.Context, t *tx) error {
		return f(ctx, auditTx{t})
	})
}

const findHead = `SELECT head_seq, head_hash FROM audit_chains WHERE chain_id = $1`

const findOpenHeads = `
SELECT chain_id, head_seq, head_hash FROM audit_chains WHERE closed = FALSE AND head_seq > 0 ORDER BY chain_id`

// A chain whose incarnation never sent a heartbeat is not dead: a broker registers
// itself before it opens its chain.
const findDeadChains = `
SELECT c.chain_id
FROM audit_chains c JOIN brokers b ON b.incarnation = c.incarnation
WHERE c.closed = FALSE AND b.lease_us <= $1
ORDER BY c.opened_us, c.chain_id`

const openChain = `
INSERT INTO audit_chains (chain_id, broker_id, incarnation, opened_us) VALUES ($1, $2, $3, $4)`

const closeChain = `UPDATE audit_chains SET closed = TRUE WHERE chain_id = $1`

// Head returns the last sequence number and hash of a chain; 0 and nil where there
// is none.
func (a Audit) Head(ctx context.Context, chainID string) (seq int64, hash []byte, err error) {
	err = a.db.query(ctx, "read an audit chain's head", func() { seq, hash = 0, nil },
		func(scan scanner) error { return scan(&seq, &hash) }, findHead, chainID)
	return seq, hash, err
}

// OpenHeads returns the heads of all chains that nobody has closed.
func (a Audit) OpenHeads(ctx context.Context) ([]audit.Head, error) {
	var heads []audit.Head
	err := a.db.query(ctx, "read the heads of audit chains", func() { heads = nil }, func(scan scanner) error {
		var h audit.Head
		err := scan(&h.ChainID, &h.Seq, &h.Hash)
		heads = append(heads, h)
		return err
	}, findOpenHeads)
	return heads, err
}

// DeadChains returns the unclosed chains of incarnations whose lease has run out at
// the time now, oldest first.
func (a Audit) DeadChains(ctx context.Context, now time.Time) ([]string, error) {
	var chains []string
	err := a.db.query(ctx, "find dead audit chains", func() { chains = nil }, func(scan scanner) error {
		var id string
		err := scan(&id)
		chains = append(chains, id)
		return err
	}, findDeadChains, micros(now))
	return chains, err
}

// CloseChain marks a chain as complete; nothing can be appended to it any more, so
// that a broker that was thought dead and wakes up cannot leave intents behind which
// nobody would look for. store.ErrNotFound.
func (a Audit) CloseChain(ctx context.Context, chainID string) error {
	n, err := a.db.exec(ctx, "close an audit chain", closeChain, chainID)
	if err == nil && n == 0 {
		return notFound("close an audit chain")
	}
	return err
}

// OpenChain registers a chain of a broker's incarnation; store.ErrConflict where the
// id is taken.
func (a auditTx) OpenChain(ctx context.Context, chainID, brokerID, incarnation string, now time.Time) error {
	if chainID == "" || incarnation == "" {
		return a.fail(errors.New("open an audit chain: no id or incarnation"))
	}
	_, err := a.exec(ctx, "open an audit chain", openChain, chainID, brokerID, incarnation, micros(now))
	return err
}
