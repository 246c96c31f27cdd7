package authn

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// DenyList holds SPIFFE IDs that are refused whatever they present: SVIDs cannot be
// revoked, they only expire. It is a file, one ID a line, `#` for comments, read again
// when it changes. A line that is no SPIFFE ID makes the whole file unusable, and then
// the list before it stays in force. What is added counts at once; what is taken off
// only when two reads in a row agree, and a file that is empty takes nobody off: it may
// be just being written. A line of comment empties the list.
type DenyList struct {
	path string
	ids  atomic.Pointer[map[spiffeid.ID]bool]
	// settled is the text that is in force; last is the text of the last read.
	settled, last []byte
}

// OpenDenyList reads the file; an empty path makes an empty list.
func OpenDenyList(path string) (*DenyList, error) {
	d := &DenyList{path: path}
	d.ids.Store(&map[spiffeid.ID]bool{})
	if path == "" {
		return d, nil
	}
	for range 2 { // the second read settles what the first has found
		if _, err := d.read(); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// Denies reports whether the ID is on the list.
func (d *DenyList) Denies(id spiffeid.ID) bool { return (*d.ids.Load())[id] }

// Watch reads the file every interval until ctx ends, and tells newly denied IDs.
func (d *DenyList) Watch(ctx context.Context, every time.Duration, log *slog.Logger, denied func(spiffeid.ID)) {
	if d.path == "" {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for failing := false; ; {
		added, err := d.read()
		if err != nil && !failing {
			log.Error("list of denied SPIFFE IDs cannot be read; the one before stays in force", "error", err)
		}
		failing = err != nil
		for _, id := range added {
			log.Warn("SPIFFE ID denied", "spiffe_id", id.String())
			denied(id)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *DenyList) read() (added []spiffeid.ID, err error) {
	text, err := os.ReadFile(d.path)
	if err != nil {
		return nil, fmt.Errorf("denied SPIFFE IDs: %w", err)
	}
	if len(text) == 0 && len(*d.ids.Load()) > 0 {
		return nil, fmt.Errorf("denied SPIFFE IDs: %s is empty; a line of comment in it would empty the list", d.path)
	}
	if d.settled != nil && bytes.Equal(text, d.settled) {
		d.last = text
		return nil, nil
	}
	ids, err := d.parse(text)
	if err != nil {
		return nil, err
	}
	before := *d.ids.Load()
	for id := range ids {
		if !before[id] {
			added = append(added, id)
		}
	}
	if d.last != nil && bytes.Equal(text, d.last) {
		d.settled = text
	} else {
		maps.Copy(ids, before)
	}
	d.last = text
	d.ids.Store(&ids)
	return added, nil
}

func (d *DenyList) parse(text []byte) (map[spiffeid.ID]bool, error) {
	ids := map[spiffeid.ID]bool{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		id, err := spiffeid.FromString(line)
		if err != nil {
			return nil, fmt.Errorf("denied SPIFFE IDs: %s line %d: not a SPIFFE ID", d.path, n)
		}
		ids[id] = true
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("denied SPIFFE IDs: %w", err)
	}
	return ids, nil
}
