package attack_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/tests/testenv"
)

// An upstream that drops a connection under a request has it sent again over another one.
// What the name leads to by then is judged as if it were the first time; the call ends once,
// and the trail does not say that it was not sent, for the upstream has seen it.
func TestAttack05_SecondDialOfOneCall(t *testing.T) {
	dns := testenv.NewDNS(t)
	certificate, ca := testenv.Certificate(t, shifty)
	conf := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	var seen atomic.Int64
	at := speaks(t, func(plain net.Conn) { // one answer a connection, and then no more
		c := tls.Server(plain, conf)
		in := bufio.NewReader(c)
		for i := range 2 {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			seen.Add(1)
			if i == 0 {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		}
	})
	trapped := traps(t, at)
	b := testenv.NewSite(t, "", 0).Start(t, dns.Use)
	b.Apply(t, testenv.Manifest("things", "https://"+shifty+":"+at, ca, bearer, testenv.Things))
	b.Put(t, "things", "alice", canary)
	task := b.Mint(t, nil, readThings, "things: things.make WRITE thing:*")
	sandbox := b.Client(t, testenv.Sandbox, task.Key)
	get := func() error {
		_, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
		return err
	}
	write := func() error {
		_, err := sandbox.Invoke(t.Context(), "things", "things.make", map[string]string{"name": "x"})
		return err
	}
	tries := 0
	// again makes a call that a pooled connection gets before it is dropped. That there is
	// one cannot be had for certain, since a credential just put closes what is pooled: then
	// the call is refused before it is sent, and the whole is tried again.
	again := func(bad string, call func() error) error {
		for range 20 {
			tries++
			dns.Set(shifty, testenv.Addresses("127.0.0.1"))
			require.NoError(t, get())
			dns.Set(shifty, testenv.Addresses(bad))
			before := seen.Load()
			err := call()
			if seen.Load() == before+1 {
				return err
			}
			require.Equal(t, before, seen.Load())
			require.ErrorIs(t, err, client.EgressDenied)
		}
		t.Fatal("no connection was ever pooled")
		return nil
	}
	for _, bad := range []string{"10.0.0.1", "169.254.169.254", "::1"} {
		require.ErrorIs(t, again(bad, get), client.EgressDenied, bad)
		require.ErrorIs(t, again(bad, write), client.OutcomeUnknown, "what writes is not sent again: %s", bad)
	}
	require.Zero(t, trapped.Load())
	want := map[string]int{"OK ": tries, "UNKNOWN EGRESS_DENIED": 3, "UNKNOWN OUTCOME_UNKNOWN": 3}
	if tries > 6 {
		want["NOT_SENT EGRESS_DENIED"] = tries - 6
	}
	testenv.Eventually(t, "every outcome", func() bool {
		outcomes := map[string]int{}
		for _, e := range b.Events(t, task.ID) {
			if e.GetKind() != "INTENT" {
				outcomes[e.GetOutcome()+" "+e.GetReason()]++
			}
		}
		return maps.Equal(want, outcomes)
	})
}
