// Service is the Go program of docs/assertions.md, built so that it stays one.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/onedoor/onedoor/client/assertion"
)

func main() {
	v, err := assertion.NewVerifier(assertion.Options{
		Issuer:   "https://broker.example",
		Audience: "https://payroll.internal",
		BrokerID: "spiffe://prod.example/onedoor",
	})
	if err != nil {
		log.Fatal(err)
	}
	payslips := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := assertion.FromContext(r.Context())
		fmt.Fprintf(w, "payslips of %s\n", claims.Subject)
	})

	bundle, err := os.ReadFile("bundle.pem") // the trust domain's, by which the broker is known
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	server := &http.Server{
		Addr: ":8443", Handler: v.Middleware(payslips),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots},
	}
	log.Fatal(server.ListenAndServeTLS("payroll.pem", "payroll.key"))
}
