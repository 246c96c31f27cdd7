package audit

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onedoor/onedoor/server/fault"
)

// Signer signs the opening row of a chain.
type Signer interface {
	SignAudit(message []byte) (signature []byte, keyID string, err error)
}

// Options are what a Log is made of; all are needed.
type Options struct {
	Store       Store
	Signer      Signer
	Now         func() time.Time // the store's clock
	NewID       func() string    // UUIDs
	BrokerID    string
	Incarnation string
	Log         *slog.Logger
}

// Log is one broker's writer of the trail. Open starts it, Close ends it.
type Log struct {
	o Options
	// chain is the id of the chain that is written to; only the writer changes it.
	chain atomic.Pointer[string]

	// What the writer alone touches: the end of the chain, and the batch whose
	// commit was neither confirmed nor denied.
	seq     int64
	head    []byte
	doubted *doubt
	failing bool // the last write failed
	crowd   int  // how many shared the last commit

	intake  chan *entry
	behind  outcomeQueue
	leaseMu sync.Mutex
	lease   time.Time
	refused refusals

	closing  chan struct{}
	done     chan struct{}
	closed   atomic.Bool
	stopOnce sync.Once
}

const (
	maxBatch   = 512
	intakeSize = 4096
	// maxBehind is how many outcomes may wait for the store before calls are refused.
	maxBehind    = 100_000
	writeTimeout = 5 * time.Second
	outcomeDelay = 25 * time.Millisecond
	// Where many share commits anyway, each waits a moment for more of them: a commit
	// costs far more than a row. Few callers never wait.
	crowded    = 8
	crowdDelay = 500 * time.Microsecond
)

// Open begins a new chain with a signed row that names the heads of all chains that
// are open, and starts the writer.
func Open(ctx context.Context, o Options) (*Log, error) {
	l := &Log{o: o, intake: make(chan *entry, intakeSize), closing: make(chan struct{}), done: make(chan struct{})}
	l.behind.wake = make(chan struct{}, 1)
	l.refused.init()
	if err := l.openChain(ctx); err != nil {
		return nil, err
	}
	go l.run()
	return l, nil
}

// openChain begins a new chain: at the start, and when another broker took this one for
// dead and closed its chain.
func (l *Log) openChain(ctx context.Context) error {
	id := l.o.NewID()
	first, err := l.openingRow(ctx, id)
	if err != nil {
		return err
	}
	err = l.o.Store.Write(ctx, func(ctx context.Context, tx Tx) error {
		if err := tx.OpenChain(ctx, id, l.o.BrokerID, l.o.Incarnation, first.Time); err != nil {
			return err
		}
		return tx.Append(ctx, []Event{first})
	})
	if err != nil {
		return fmt.Errorf("open audit chain: %w", err)
	}
	l.chain.Store(&id)
	l.seq, l.head = 1, first.Hash
	return nil
}

type headDetail struct {
	Chain string `json:"chain"`
	Seq   int64  `json:"seq"`
	Hash  string `json:"hash"`
}

func (l *Log) openingRow(ctx context.Context, id string) (Event, error) {
	heads, err := l.o.Store.OpenHeads(ctx)
	if err != nil {
		return Event{}, fmt.Errorf("read audit heads: %w", err)
	}
	list := make([]headDetail, 0, len(heads))
	for _, h := range heads {
		list = append(list, headDetail{h.ChainID, h.Seq, hex.EncodeToString(h.Hash)})
	}
	detail, err := json.Marshal(map[string]any{"incarnation": l.o.Incarnation, "heads": list})
	if err != nil {
		return Event{}, fmt.Errorf("audit heads: %w", err)
	}
	e := Event{
		ChainID: id, Seq: 1, Workspace: SystemWorkspace, BrokerID: l.o.BrokerID,
		Time: l.o.Now(), Kind: ChainOpened, Detail: string(detail),
	}
	// The key's id is part of what is hashed, and known only after a signature.
	if _, e.SigningKeyID, err = l.o.Signer.SignAudit(nil); err != nil {
		return Event{}, fmt.Errorf("sign audit chain: %w", err)
	}
	e.normal()
	e.Hash = e.Sum()
	signature, keyID, err := l.o.Signer.SignAudit(e.Hash)
	if err != nil || keyID != e.SigningKeyID {
		return Event{}, fmt.Errorf("sign audit chain: %w", errors.Join(err, errKeyChanged(keyID != e.SigningKeyID)))
	}
	e.Signature = signature
	return e, nil
}

func errKeyChanged(changed bool) error {
	if changed {
		return errors.New("the signing key changed meanwhile; try again")
	}
	return nil
}

// ChainID names the chain to which this broker writes.
func (l *Log) ChainID() string { return *l.chain.Load() }

// Live says until when this broker's lease runs. Past it nothing is begun, since
// another broker may be closing our intents as unknown.
func (l *Log) Live(until time.Time) {
	l.leaseMu.Lock()
	defer l.leaseMu.Unlock()
	l.lease = until
}

func (l *Log) leased(now time.Time) bool {
	l.leaseMu.Lock()
	defer l.leaseMu.Unlock()
	return now.Before(l.lease)
}

// Close writes what waits and stops the writer. Calls begun after it are refused.
func (l *Log) Close(ctx context.Context) error {
	l.closed.Store(true)
	l.stopOnce.Do(func() { close(l.closing) })
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("audit log: %d outcomes not written: %w", l.behind.len(), ctx.Err())
	}
}

func unavailable(err error) error {
	return fault.New(fault.AuditUnavailable, "the call could not be recorded, so it was not made; try again", err)
}
