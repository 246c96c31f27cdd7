package assertion_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client/assertion"
)

func broken(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }

// TestKeysOverTime walks one verifier through the life of its keys.
func TestKeysOverTime(t *testing.T) {
	c := newClock()
	b := newBroker(t, c)
	v := b.verifier(nil)
	verify := func() assertion.Reason {
		_, err := v.Verify(context.Background(), b.request("GET", target, ""))
		return reason(err)
	}
	fetched := func(n int64, what string) { t.Helper(); require.Equal(t, n, b.fetches.Load(), what) }

	require.Empty(t, verify())
	require.Empty(t, verify())
	fetched(1, "fresh keys are not asked for again")

	b.answerWith(broken)
	c.Pass(5 * time.Minute)
	require.Empty(t, verify(), "the broker is away")
	fetched(2, "old keys are asked for again")
	require.Empty(t, verify())
	fetched(2, "but not at once")
	c.Pass(23 * time.Hour)
	require.Empty(t, verify(), "away for long")
	c.Pass(time.Hour)
	require.Equal(t, assertion.KeysUnavailable, verify(), "away for too long")

	b.answerWith(nil)
	c.Pass(10 * time.Second)
	require.Empty(t, verify(), "back again")
}

func TestAKeyThatVanishedIsDropped(t *testing.T) {
	c := newClock()
	b := newBroker(t, c)
	v := b.verifier(nil)
	_, err := v.Verify(context.Background(), b.request("GET", target, ""))
	require.NoError(t, err)

	b.publish("two")
	withdrawn := b.withdraw("one")
	old := func() error {
		_, err := v.Verify(context.Background(), carrying(signWith(t, withdrawn, "one", b.claims("GET", target, "")), "GET", target, ""))
		return err
	}
	require.NoError(t, old(), "nobody can know yet")
	c.Pass(10 * time.Second)
	b.active = "two"
	_, err = v.Verify(context.Background(), b.request("GET", target, ""))
	require.NoError(t, err, "an unknown kid is asked for at once")
	require.Equal(t, assertion.KeyUnknown, reason(old()), "one answer without it is enough")

	b.withdraw("two")
	c.Pass(5 * time.Minute)
	require.Equal(t, assertion.KeyUnknown, reason(old()))
	b.answerWith(broken)
	require.Equal(t, assertion.KeyUnknown, reason(old()), "no outage brings it back")
}

func TestUnknownKidsAreNoLoadOnTheBroker(t *testing.T) {
	c := newClock()
	b := newBroker(t, c)
	v := b.verifier(nil)
	stranger := b.publish("stranger")
	b.withdraw("stranger")
	forged := func() assertion.Reason {
		_, err := v.Verify(context.Background(), carrying(signWith(t, stranger, "stranger", b.claims("GET", target, "")), "GET", target, ""))
		return reason(err)
	}
	for range 100 {
		require.Equal(t, assertion.KeyUnknown, forged())
	}
	require.EqualValues(t, 1, b.fetches.Load())
	c.Pass(10 * time.Second)
	_, err := v.Verify(context.Background(), carrying(signWith(t, stranger, "", b.claims("GET", target, "")), "GET", target, ""))
	require.ErrorIs(t, err, assertion.KeyUnknown)
	require.EqualValues(t, 1, b.fetches.Load(), "without a kid there is nothing to ask for")
	require.Equal(t, assertion.KeyUnknown, forged())
	require.EqualValues(t, 2, b.fetches.Load())

	c.Pass(-time.Hour) // the clock is set back
	_, err = v.Verify(context.Background(), b.request("GET", target, ""))
	require.NoError(t, err)
	require.EqualValues(t, 3, b.fetches.Load(), "keys from the future are not fresh")
}

func TestOneFetchServesAll(t *testing.T) {
	b := newBroker(t, newClock())
	v := b.verifier(nil)
	arrived, release := make(chan struct{}), make(chan struct{})
	set := text(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: b.keys["one"].Public(), KeyID: "one"}}})
	b.answerWith(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived) // a second fetch would panic
		<-release
		_, _ = w.Write([]byte(set))
	})
	// The one whose request started the fetch gives up, and does not take it from the others.
	hurried, cancel := context.WithCancel(context.Background())
	gone := make(chan error)
	first := b.request("GET", target, "")
	go func() {
		_, err := v.Verify(hurried, first)
		gone <- err
	}()
	<-arrived
	cancel()
	err := <-gone
	require.Equal(t, assertion.KeysUnavailable, reason(err))
	require.ErrorIs(t, err, context.Canceled)

	var all sync.WaitGroup
	errs := make([]error, 50)
	for i := range errs {
		r := b.request("GET", target, "")
		all.Go(func() { _, errs[i] = v.Verify(context.Background(), r) })
	}
	close(release)
	all.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, b.fetches.Load())
}

func TestNobodyWaitsForABrokerThatIsAway(t *testing.T) {
	c := newClock()
	b := newBroker(t, c)
	v := b.verifier(nil)
	_, err := v.Verify(context.Background(), b.request("GET", target, ""))
	require.NoError(t, err)
	b.answerWith(broken)
	c.Pass(5 * time.Minute)
	_, err = v.Verify(context.Background(), b.request("GET", target, ""))
	require.NoError(t, err)

	arrived, release := make(chan struct{}), make(chan struct{})
	b.answerWith(func(http.ResponseWriter, *http.Request) { close(arrived); <-release })
	defer close(release)
	c.Pass(10 * time.Second)
	impatient, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err = v.Verify(impatient, b.request("GET", target, ""))
	require.NoError(t, err, "answered while the fetch hangs")
	<-arrived
}

func TestWhatIsNoAnswer(t *testing.T) {
	b := newBroker(t, newClock())
	key := b.keys["one"]
	public := jose.JSONWebKey{Key: key.Public(), KeyID: "one", Use: "sig", Algorithm: "ES256"}
	set := func(keys ...jose.JSONWebKey) http.HandlerFunc {
		body := text(t, jose.JSONWebKeySet{Keys: keys})
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
	}
	say := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(s)) }
	}
	good := text(t, map[string]any{"keys": []any{public}})
	larger, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   assertion.Reason
	}{
		{"the key", set(public), ""},
		{"an error", broken, assertion.KeysUnavailable},
		{"an error that holds the key", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			set(public)(w, r)
		}, assertion.KeysUnavailable},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				set(public)(w, r)
				return
			}
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}, assertion.KeysUnavailable},
		{"no JSON", say("<html>"), assertion.KeysUnavailable},
		{"no set", say("{}"), assertion.KeysUnavailable},
		{"a page too long", say(good + strings.Repeat(" ", 256<<10)), assertion.KeysUnavailable},
		{"one kid twice", set(public, public), assertion.KeysUnavailable},
		{"no keys", say(`{"keys":[]}`), assertion.KeyUnknown},
		{"for encryption", set(jose.JSONWebKey{Key: key.Public(), KeyID: "one", Use: "enc"}), assertion.KeyUnknown},
		{"for another algorithm", set(jose.JSONWebKey{Key: key.Public(), KeyID: "one", Algorithm: "ES384"}), assertion.KeyUnknown},
		{"of another curve", set(jose.JSONWebKey{Key: larger.Public(), KeyID: "one"}), assertion.KeyUnknown},
		{"a private key", set(jose.JSONWebKey{Key: key, KeyID: "one"}), assertion.KeyUnknown},
		{"without a kid", set(jose.JSONWebKey{Key: key.Public()}), assertion.KeyUnknown},
		{"beside two without a kid", set(public, jose.JSONWebKey{Key: key.Public()}, jose.JSONWebKey{Key: key.Public()}), ""},
		{"beside one of tomorrow", say(`{"keys":[{"kty":"NEW"},` + text(t, public) + `]}`), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.answerWith(c.answer)
			_, err := b.verifier(nil).Verify(context.Background(), b.request("GET", target, ""))
			require.Equal(t, c.want, reason(err), "%v", err)
		})
	}
}
