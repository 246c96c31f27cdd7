package mint_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/fault"
)

// contacts names many of them, in the resources of one grant.
func contacts(n int, pattern string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(pattern, i)
	}
	return strings.Join(list, ",")
}

func repeated(n int, text string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = text
	}
	return list
}

// A sandbox that may delegate must not keep a broker comparing grants, nor have it record
// and store more than a delegation needs.
func TestWhatADelegationMayCost(t *testing.T) {
	b := newBench(t)
	wide := repeated(100, "crm: contacts.* READ "+contacts(300, "contact:%d"))
	for name, c := range map[string]struct {
		parent, child []string
		says          string // empty: it is minted
	}{
		"much text":              {[]string{"crm: contacts.* READ contact:*"}, repeated(20, "crm: contacts.get READ "+contacts(300, "contact:%d-0123")), "65536 bytes"},
		"much against much":      {wide, repeated(17, "crm: contacts.get READ "+contacts(300, "contact:%d")), "too many"},
		"patterns of many tools": {repeated(1000, "crm: contacts.* READ contact:1"), repeated(1000, "crm: c* READ contact:1"), "too many"},
		"many of them":           {[]string{"crm: contacts.* READ contact:*"}, repeated(40, "crm: contacts.get READ "+contacts(100, "contact:%d")), ""},
		"little against much":    {wide, []string{"crm: contacts.get READ contact:42"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := b.create(t, parentRequest(c.parent...))
			before := b.watched.writes
			_, err := b.Delegate(t.Context(), &root.Task, root.Grants, delegation(c.child...))
			if c.says == "" {
				require.NoError(t, err)
				return
			}
			require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
			require.ErrorContains(t, err, c.says)
			require.Equal(t, before, b.watched.writes)
		})
	}
}

func TestDelegatesAreNoLongerThanIDs(t *testing.T) {
	b := newBench(t)
	root := b.create(t, parentRequest("crm: contacts.* READ contact:*"))
	r := delegation()
	r.Delegates = []string{"spiffe://example.org/ns/a/sub/" + strings.Repeat("x", 2048)}
	_, err := b.Delegate(t.Context(), &root.Task, root.Grants, r)
	require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
	require.ErrorContains(t, err, "delegates[0]")
}
