package egress_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/onedoor/onedoor/server/egress"
)

func ExampleJudge() {
	office := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	for _, text := range []string{"93.184.215.14", "10.1.2.3", "10.2.2.3", "169.254.169.254", "64:ff9b::a02:203", "::ffff:127.0.0.1"} {
		if err := egress.Judge(netip.MustParseAddr(text), office); err != nil {
			fmt.Println("no: ", err)
			continue
		}
		fmt.Println("yes:", text)
	}
	// Output:
	// yes: 93.184.215.14
	// yes: 10.1.2.3
	// no:  address 10.2.2.3 is private
	// no:  address 169.254.169.254 is a metadata service
	// no:  address 64:ff9b::a02:203 leads to another: address 10.2.2.3 is private
	// no:  address 127.0.0.1 is loopback
}

func ExampleParseOrigin() {
	for _, text := range []string{"https://API.example.com:443", "https://api.example.com:8443", "http://api.example.com", "https://2130706433", "https://metadata.google.internal"} {
		origin, err := egress.ParseOrigin(text)
		if err != nil {
			fmt.Println("no: ", err)
			continue
		}
		fmt.Println("yes:", origin, "dials", origin.HostPort())
	}
	// Output:
	// yes: https://api.example.com dials api.example.com:443
	// yes: https://api.example.com:8443 dials api.example.com:8443
	// no:  origin: must begin with "https://"
	// no:  origin: the host must be a name, not an IP address in any spelling
	// no:  origin: the host is a metadata service, which hands out the credentials of the machine
}

// directory is a resolver of one address; in use it would be [egress.NewResolver].
type directory string

func (d directory) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr(string(d))}, nil
}

// A Door attaches a credential to a request, and takes it out of an answer that echoes
// it. Without the policy's range the same name would not be dialled.
func ExampleDoor() {
	upstream := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s came with %s", r.URL, r.Header.Get("Authorization"))
	}))
	defer upstream.Close()
	door := egress.New(egress.Options{Resolver: directory("127.0.0.1")})
	defer door.Close()

	port := upstream.Listener.Addr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Port()
	origin, err := egress.ParseOrigin(fmt.Sprintf("https://example.com:%d", port)) // for which httptest has a certificate
	if err != nil {
		fmt.Println(err)
		return
	}
	credential := egress.NewAttachment()
	_ = credential.SetHeader("Authorization", "Bearer s3cr3t-token")
	_ = credential.Scrub([]byte("s3cr3t-token"))
	request := &egress.Request{Method: http.MethodGet, Origin: origin, Path: "/contacts/42", Query: "deep=true"}
	policy := egress.Policy{
		AllowRanges: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		RootCAs:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: upstream.Certificate().Raw}),
	}

	answer, err := door.Do(context.Background(), egress.PoolKey{Connector: "crm"}, policy, request, credential, egress.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	body, err := answer.Bytes()
	fmt.Println(answer.Status, string(body), err)

	policy.AllowRanges = nil
	_, err = door.Do(context.Background(), egress.PoolKey{Connector: "crm"}, policy, request, credential, egress.Limits{})
	var refused *egress.Error
	fmt.Println(errors.As(err, &refused) && refused.Kind == egress.Denied && !refused.Sent, err)
	// Output:
	// 200 /contacts/42?deep=true came with Bearer [redacted] <nil>
	// true egress denied: its name leads to an address that may not be reached
}
