package credential

import (
	"strings"
	"sync"
	"time"

	"github.com/onedoor/onedoor/server/connector"
)

const (
	// doubtAfter is how old an access token is before an upstream's 401 is taken for its
	// fault. A sandbox may provoke a 401 as often as it likes: this is how often it can
	// cause a refresh with that.
	doubtAfter = 5 * time.Minute
	// maxDoubts bounds how many are remembered; beyond, all are forgotten.
	maxDoubts = 10_000
)

// doubts are the versions of connected accounts whose access token an upstream did not
// take, though it should be good: a user may have withdrawn it.
type doubts struct {
	mu  sync.Mutex
	all map[string]bool // by workspace and label
}

// Doubt says that an upstream answered 401 to a call with these records. The access
// token of a connected account is renewed before it is used again, once for each version,
// and not sooner than five minutes after it was had. A connection that its user has
// withdrawn shows as dead by that.
func (k *Keeper) Doubt(records []Record) {
	k.doubts.mu.Lock()
	defer k.doubts.mu.Unlock()
	for _, r := range records {
		if r.Kind != string(connector.AuthorizationCode) {
			continue
		}
		if k.doubts.all == nil || len(k.doubts.all) >= maxDoubts {
			k.doubts.all = map[string]bool{}
		}
		k.doubts.all[r.Workspace+" "+labelOf(r)] = true
	}
}

// due reports whether the access token of a record is to be renewed before it is used.
func (k *Keeper) due(r Record, t tokens, now time.Time) bool {
	return t.old(now) || t.refreshable() && !now.Before(t.obtained.Add(doubtAfter)) && k.doubts.has(r)
}

func (d *doubts) has(r Record) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all[r.Workspace+" "+labelOf(r)]
}

// forget drops what is held against any version of a credential.
func (d *doubts) forget(workspace, id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.all {
		if strings.HasPrefix(name, workspace+" "+id+"@") {
			delete(d.all, name)
		}
	}
}
