package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const (
	// tunnelTimeout bounds all that is done to get through a proxy: its own name, TCP, TLS,
	// and CONNECT, for which it makes a connection itself.
	tunnelTimeout    = 15 * time.Second
	maxConnectAnswer = 64 << 10 // bytes
	maxTargets       = 4        // addresses of one upstream that a proxy is asked for
)

var (
	errProxyAuth   = errors.New("the proxy on the way refuses how the broker authenticates")
	errProxyRefuse = errors.New("the proxy on the way refuses to connect to the upstream")
	errProxyFailed = errors.New("the proxy on the way could not connect to the upstream")
	errProxyAnswer = errors.New("the proxy on the way does not answer CONNECT as HTTP/1.1 has it")
	errProxySize   = errors.New("the proxy on the way answers CONNECT with too large a header")
	errProxyEarly  = errors.New("the proxy on the way sends bytes of its own into the tunnel")
	errProxyClosed = errors.New("the proxy on the way closed the connection")
	errProxyTime   = errors.New("the proxy on the way took too long to connect")
)

// tunnel gets a connection to one of the judged addresses through the proxy. Only where
// the proxy could not reach the one is it asked for the next.
func (d *dialer) tunnel(ctx context.Context, addrs []netip.Addr) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, tunnelTimeout)
	defer cancel()
	var last error
	for _, target := range d.targets(addrs) {
		conn, status, err := d.ask(ctx, target)
		if err == nil && status/100 == 2 {
			return conn, nil
		}
		if err == nil {
			_ = conn.Close()
			err = refusal(status)
		}
		if last = err; status/100 != 5 {
			break
		}
	}
	d.log.WarnContext(ctx, "egress proxy failed", "proxy", d.via.proxy.Name, "host", d.origin.host, "reason", last.Error())
	return nil, last
}

// targets are what CONNECT asks for: the addresses that were judged, or the name.
func (d *dialer) targets(addrs []netip.Addr) []string {
	if d.via.proxy.SendName {
		return []string{d.origin.HostPort()}
	}
	var list []string
	for _, a := range addrs[:min(len(addrs), maxTargets)] {
		list = append(list, netip.AddrPortFrom(a.Unmap(), d.origin.port).String())
	}
	return list
}

// refusal is what an answer means that opens no tunnel. What else the proxy says of it,
// nobody gets to see.
func refusal(status int) error {
	switch {
	case status == http.StatusProxyAuthRequired, status == http.StatusUnauthorized:
		return atProxy(Denied, errProxyAuth)
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
		return &Error{Kind: Unreachable, cause: errProxyFailed}
	case status/100 == 4:
		return atProxy(Denied, errProxyRefuse)
	case status/100 == 5:
		return &Error{Kind: Unreachable, cause: errProxyFailed}
	}
	return atProxy(Unreachable, errProxyAnswer)
}

// ask makes a connection to the proxy and sends CONNECT. Its errors are *Error.
func (d *dialer) ask(ctx context.Context, target string) (conn net.Conn, status int, err error) {
	if conn, err = d.reachProxy(ctx); err != nil {
		return nil, 0, err
	}
	// A Read or Write ends with ctx; deadline and all are undone once the tunnel stands.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	status, err = connectThrough(conn, target, d.via.header())
	if !stop() {
		err = atProxy(Unreachable, errProxyTime)
	}
	if err != nil {
		_ = conn.Close()
		return nil, 0, err
	}
	return conn, status, nil
}

// reachProxy dials the proxy as if it were an upstream under a policy of its own: its
// name is resolved here, and every address judged.
func (d *dialer) reachProxy(ctx context.Context) (net.Conn, error) {
	p := d.via.proxy
	own := &dialer{
		resolver: d.resolver, origin: Origin{p.Address.host, p.Address.port}, policy: Policy{AllowRanges: p.AllowRanges}, log: d.log,
	}
	if p.Address.literal.IsValid() {
		own.resolver = p.Address
	}
	plain, err := own.dial(ctx, "tcp", own.origin.HostPort())
	if err != nil {
		return nil, ofProxy(err)
	}
	if p.tls == nil {
		return plain, nil
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	config := p.tls.Clone()
	config.Time = d.now
	conn := tls.Client(plain, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		return nil, ofProxy(&Error{Kind: Unreachable, cause: safeCause(err)})
	}
	return conn, nil
}

// ofProxy says of an error that it is the proxy's.
func ofProxy(err error) error {
	var own *Error
	if !errors.As(err, &own) {
		return atProxy(Unreachable, errConnection)
	}
	return atProxy(own.Kind, fmt.Errorf("the proxy on the way: %w", own.cause))
}

// connectThrough sends CONNECT (RFC 9110, 9.3.6) and gives the status of the answer. This
// is the one place where a proxy is told its secret.
func connectThrough(conn net.Conn, target, authorization string) (int, error) {
	request := "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n"
	if authorization != "" {
		request += proxyAuthorization + ": " + authorization + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return 0, ofProxy(&Error{Kind: Unreachable, cause: safeCause(err)})
	}
	status, err := readAnswer(conn)
	if err != nil {
		return 0, atProxy(Unreachable, err)
	}
	return status, nil
}

// readAnswer reads the header of an answer to CONNECT. Its fields mean nothing here: of
// Content-Length and Transfer-Encoding the RFC says so. Whatever comes right behind it is
// refused, for the first to speak in the tunnel is the broker.
func readAnswer(conn io.Reader) (status int, err error) {
	limited := &io.LimitedReader{R: conn, N: maxConnectAnswer}
	r := bufio.NewReader(limited)
	first := true
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, readCause(err, limited.N == 0)
		}
		text, ok := strings.CutSuffix(line, "\r\n")
		switch {
		case !ok:
			return 0, errProxyAnswer
		case first:
			if status = statusOf(text); status == 0 {
				return 0, errProxyAnswer
			}
			first = false
		case text == "":
			if status/100 == 2 && r.Buffered() > 0 {
				return 0, errProxyEarly
			}
			return status, nil
		}
	}
}

func readCause(err error, full bool) error {
	switch {
	case full:
		return errProxySize
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errProxyClosed
	}
	return fmt.Errorf("the proxy on the way: %w", safeCause(err))
}

// statusOf reads "HTTP/1.x NNN reason" (RFC 9112, 4); 0 where it is none.
func statusOf(line string) int {
	version, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.ParseUint(code, 10, 16)
	if version != "HTTP/1.1" && version != "HTTP/1.0" || err != nil || len(code) != 3 || status < 100 || status > 599 {
		return 0
	}
	return int(status)
}
