package attack_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/tests/testenv"
)

// granted is a grant as this test understands it, said once more in the simplest way: it
// is the other opinion to which the broker is held.
type granted struct {
	connector string
	tools     []string
	write     bool
	resources []string // a "*" at the end stands for every end
}

func (g granted) text() string {
	severity := "READ"
	if g.write {
		severity = "WRITE"
	}
	return g.connector + ": " + strings.Join(g.tools, ",") + " " + severity + " " + strings.Join(g.resources, ",")
}

// acts are the tools of things, and whether each one writes.
var acts = map[string]bool{"things.get": false, "things.find": false, "things.make": true}

// allows is for one call of a tool with one id.
func (g granted) allows(connector, tool, id string) bool {
	write, known := acts[tool]
	resource := "thing:*"
	if tool == "things.get" {
		resource = "thing:" + id
	}
	return known && g.connector == connector && slices.Contains(g.tools, tool) && (g.write || !write) &&
		slices.ContainsFunc(g.resources, func(p string) bool {
			begin, all := strings.CutSuffix(p, "*")
			return p == resource || all && strings.HasPrefix(resource, begin)
		})
}

// Spellings of names and ids, most of them of none: other case, other scripts, patterns,
// paths, and what some reader might trim, fold or decode into one that is granted.
var (
	saidConnectors = []string{"Things", "THINGS", "thing", "things ", " things", "thin\u0261s", "things\u200b", "*", "", "things*", "things:things", "../things", "th%69ngs", "things\x00"}
	saidTools      = []string{
		"Things.Get", "THINGS.MAKE", "things.gets", "things", "things.", "things.*", "*", "", ".get",
		"things.get ", "\tthings.get", "things.get,things.make", "things\uff0eget", "th\u0456ngs.get", "things.get\u0000", "things/get", "things.get#", "things__get",
	}
	saidIDs = []string{"11", "eu-", "eu", "EU-1", "*", "1*", "eu-*", "", ".", "..", "1/2", "%31", "\uff11", "1\u0000", " 1", "1 ", "1,2", "thing:1"}
)

// Whatever is called, however it is spelled and by whichever way in, only what a grant
// names comes through, and all of that does. What is refused is not sent.
func TestAttack30_NothingWithoutAGrant(t *testing.T) {
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {})
	b.Apply(t, upstream.Manifest("others", bearer, testenv.Things))
	b.Put(t, "others", "alice", canary)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 30))
	one := func(of []string) string { return of[random.IntN(len(of))] }
	some := func(of ...string) []string {
		random.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
		return of[:1+random.IntN(len(of))]
	}
	allowed, refused := 0, 0
	for range 12 {
		var grants []granted
		var texts []string
		for range 1 + random.IntN(2) {
			g := granted{one([]string{"things", "others"}), some("things.get", "things.find", "things.make"), random.IntN(2) == 0, some("thing:1", "thing:eu-*", "thing:*", "other:*")}
			grants, texts = append(grants, g), append(texts, g.text())
		}
		task := b.Mint(t, nil, texts...)
		sandbox := b.Client(t, testenv.Sandbox, task.Key)
		for range 100 {
			connector, tool, id := one([]string{"things", "others"}), one([]string{"things.get", "things.find", "things.make"}), one([]string{"1", "2", "eu-1"})
			switch random.IntN(6) {
			case 0:
				connector = one(saidConnectors)
			case 1:
				tool = one(saidTools)
			case 2:
				id = one(saidIDs)
			}
			arguments := map[string]string{"things.find": "q", "things.make": "name"}
			argument := arguments[tool]
			if argument == "" {
				argument = "id"
			}
			before := upstream.Requests()
			var err error
			if random.IntN(2) == 0 {
				_, err = sandbox.Invoke(t.Context(), connector, tool, map[string]string{argument: id})
			} else if stream, serr := sandbox.InvokeStream(t.Context(), connector, tool, map[string]string{argument: id}); serr != nil {
				err = serr
			} else {
				for _, derr := range stream.Data() {
					err = derr
				}
			}
			what := fmt.Sprintf("%q %q %q under %q: %v", connector, tool, id, texts, err)
			if !slices.ContainsFunc(grants, func(g granted) bool { return g.allows(connector, tool, id) }) {
				refused++
				require.Error(t, err, what)
				require.Equal(t, before, upstream.Requests(), what)
				continue
			}
			if client.ReasonOf(err) == client.ArgumentInvalid {
				continue // granted, and no argument that the tool takes
			}
			allowed++
			require.NoError(t, err, what)
			require.Equal(t, before+1, upstream.Requests(), what)
		}
	}
	t.Logf("%d allowed, %d refused", allowed, refused)
	require.Greater(t, allowed, 20)
	require.Greater(t, refused, 200)
}
