package connector_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"reflect"
	"testing"

	"github.com/onedoor/onedoor/server/connector"
)

// checkSame holds what is sent against what was asked for, as another reader sees both.
func checkSame(t *testing.T, asked connector.Request, sent *connector.Bound) {
	t.Helper()
	path, err := url.PathUnescape(asked.Path)
	if err != nil || sent.Method != asked.Method || sent.Path != path {
		t.Fatalf("%s %s became %s %s", asked.Method, asked.Path, sent.Method, sent.Path)
	}
	if sent.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		sameParameters(t, string(asked.Body), string(sent.Body))
		sameParameters(t, asked.Query, sent.Query)
		return
	}
	sameParameters(t, asked.Query, sent.Query)
	if len(asked.Body) == 0 {
		if len(sent.Body) > 0 {
			t.Fatalf("a body came about: %q", sent.Body)
		}
		return
	}
	members, kept := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if json.Unmarshal(asked.Body, &members) != nil || json.Unmarshal(sent.Body, &kept) != nil || len(members) != len(kept) {
		t.Fatalf("the body %q became %q", asked.Body, sent.Body)
	}
	for name, value := range members {
		if !bytes.Equal(value, kept[name]) {
			t.Fatalf("%q: %q became %q", name, value, kept[name])
		}
	}
}

// sameParameters holds two queries or forms against each other.
func sameParameters(t *testing.T, asked, sent string) {
	t.Helper()
	before, err := url.ParseQuery(asked)
	if err != nil {
		t.Fatalf("another reader does not take %q", asked)
	}
	after, err := url.ParseQuery(sent)
	if err != nil || !reflect.DeepEqual(before, after) {
		t.Fatalf("%q became %q: %v", asked, sent, err)
	}
}
