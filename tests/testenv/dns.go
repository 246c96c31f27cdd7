package testenv

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/onedoor/onedoor/server/config"
)

// DNS is a DNS server whose answers a test chooses. It serves UDP and TCP on one port of
// loopback; every answer has a time to live of zero.
type DNS struct {
	Addr netip.AddrPort

	mu    sync.Mutex
	zone  map[string][]Records
	asked []string
}

// Records are what one question about a name is answered with; the zero value says that
// there is no such name. Where a name has several, each address question of one kind
// (A, AAAA) takes the next, and the last one stays.
type Records struct {
	// Addrs are the addresses: A and AAAA, each to its own question. A mapped one goes
	// into an AAAA as it is.
	Addrs []string
	// Alias is a CNAME of the name, to which the addresses belong.
	Alias string
	// As is the owner of the records in the answer in the place of the name asked for.
	As string
	// Code is the answer's code, for instance SERVFAIL; without addresses only.
	Code dnsmessage.RCode
	// Silent sends no answer.
	Silent bool
}

// Addresses is the answer that gives these.
func Addresses(addrs ...string) Records { return Records{Addrs: addrs} }

// NewDNS serves until the test ends.
func NewDNS(t testing.TB) *DNS {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := &DNS{Addr: tcp.Addr().(*net.TCPAddr).AddrPort(), zone: map[string][]Records{}}
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(d.Addr))
	require.NoError(t, err)
	var served sync.WaitGroup
	served.Go(func() { d.serveUDP(udp) })
	served.Go(func() { d.serveTCP(tcp) })
	t.Cleanup(func() { _, _ = udp.Close(), tcp.Close(); served.Wait() })
	return d
}

// Use has a broker ask this server; it is an edit of a Site's configuration.
func (d *DNS) Use(c *config.Config) {
	c.Egress.Resolver = append(c.Egress.Resolver, config.DNSServer{AddrPort: d.Addr})
}

// Set says how questions about a name are answered from now on, and forgets the
// questions so far.
func (d *DNS) Set(name string, answers ...Records) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.zone[name+"."], d.asked = answers, nil
}

// Asked gives the names of all address questions since the last Set, A before the name
// or AAAA.
func (d *DNS) Asked() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string{}, d.asked...)
}

// take finds the answer to one question.
func (d *DNS) take(q dnsmessage.Question) Records {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := q.Type.String()[len("Type"):] + " " + q.Name.String()
	before := 0
	for _, one := range d.asked {
		if one == asked {
			before++
		}
	}
	d.asked = append(d.asked, asked)
	answers := d.zone[q.Name.String()]
	if len(answers) == 0 {
		return Records{Code: dnsmessage.RCodeNameError}
	}
	return answers[min(before, len(answers)-1)]
}

func (d *DNS) serveUDP(conn *net.UDPConn) {
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		if out := d.answer(buffer[:n], 1232); out != nil {
			_, _ = conn.WriteToUDPAddrPort(out, from)
		}
	}
}

func (d *DNS) serveTCP(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		// One question a connection is what resolvers ask over TCP.
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err == nil {
			message := make([]byte, binary.BigEndian.Uint16(length[:]))
			if _, err := io.ReadFull(conn, message); err == nil {
				if out := d.answer(message, 1<<16-1); out != nil {
					_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...))
				}
			}
		}
		_ = conn.Close()
	}
}

// answer makes the answer to one message; nil for none. One that is longer than limit
// goes out empty and marked as cut off.
func (d *DNS) answer(message []byte, limit int) []byte {
	var question dnsmessage.Message
	if question.Unpack(message) != nil || len(question.Questions) != 1 {
		return nil
	}
	q := question.Questions[0]
	say := d.take(q)
	if say.Silent {
		return nil
	}
	out := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: question.ID, Response: true, RecursionDesired: true, RecursionAvailable: true, RCode: say.Code},
		Questions: question.Questions, Answers: say.resources(q),
	}
	packed, err := out.Pack()
	if err == nil && len(packed) > limit {
		out.Truncated, out.Answers = true, nil
		packed, err = out.Pack()
	}
	if err != nil {
		return nil
	}
	return packed
}

// resources are the records that answer a question.
func (r Records) resources(q dnsmessage.Question) (all []dnsmessage.Resource) {
	owner := q.Name
	if r.As != "" {
		owner = dnsmessage.MustNewName(r.As + ".")
	}
	add := func(kind dnsmessage.Type, body dnsmessage.ResourceBody) {
		all = append(all, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: owner, Type: kind, Class: dnsmessage.ClassINET}, Body: body})
	}
	if r.Alias != "" {
		alias := dnsmessage.MustNewName(r.Alias + ".")
		add(dnsmessage.TypeCNAME, &dnsmessage.CNAMEResource{CNAME: alias})
		owner = alias
	}
	for _, text := range r.Addrs {
		a := netip.MustParseAddr(text)
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			add(q.Type, &dnsmessage.AResource{A: a.As4()})
		case !a.Is4() && q.Type == dnsmessage.TypeAAAA:
			add(q.Type, &dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	return all
}
