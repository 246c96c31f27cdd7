package vault

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
	"sync"

	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf/hmacprf"
)

// pepper computes HMAC-SHA-256 under one key. Tink keeps the key; the computing is the
// standard library's, because every call of every sandbox passes here and a pooled
// state needs neither the key schedule again nor an allocation.
type pepper struct {
	states sync.Pool // of hash.Hash
}

func newPepper(handle *keyset.Handle) (*pepper, error) {
	entry, err := handle.Primary()
	if err != nil {
		return nil, err
	}
	k, ok := entry.Key().(*hmacprf.Key)
	if !ok {
		return nil, fmt.Errorf("want an HMAC key, have %T", entry.Key())
	}
	params, ok := k.Parameters().(*hmacprf.Parameters)
	if !ok || params.HashType() != hmacprf.SHA256 {
		return nil, fmt.Errorf("want HMAC-SHA-256, have another hash")
	}
	material := k.KeyBytes().Data(insecuresecretdataaccess.Token{})
	p := &pepper{}
	p.states.New = func() any { return hmac.New(sha256.New, material) }
	return p, nil
}

// appendSum appends the 32 bytes of the digest of text to out.
func (p *pepper) appendSum(out, text []byte) []byte {
	state := p.states.Get().(hash.Hash)
	_, _ = state.Write(text) // a hash never fails to write
	out = state.Sum(out)
	state.Reset() // before the pool has it back, so that nothing of text stays in it
	p.states.Put(state)
	return out
}

// Digest is the keyed hash of a task key under the active pepper, 32 bytes, with the
// pepper's id. It panics on a keyring that was never loaded: a digest under no key
// would be one that anybody can compute.
func (k *Keyring) Digest(text []byte) (digest []byte, pepperID string) {
	active, err := k.active(Pepper)
	if err != nil {
		panic(err)
	}
	return active.pepper.appendSum(make([]byte, 0, sha256.Size), text), active.row.ID
}

// Digests gives the digest of text under every pepper, the active one first, then by
// age from the newest: one of them stands in the store if the task key does. A pending
// pepper counts, for another broker may have seen its activation before this one.
func (k *Keyring) Digests(text []byte) [][]byte {
	peppers := k.current.Load().peppers
	sums := make([]byte, 0, len(peppers)*sha256.Size)
	digests := make([][]byte, len(peppers))
	for i, p := range peppers {
		start := len(sums)
		sums = p.pepper.appendSum(sums, text)
		digests[i] = sums[start:len(sums):len(sums)]
	}
	return digests
}
