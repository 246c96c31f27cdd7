package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// floor forwards and does nothing else.
type floor struct {
	onedoorv1.UnimplementedBrokerServer
	client *http.Client
	url    string
}

func (f *floor) Invoke(ctx context.Context, _ *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	res, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	return &onedoorv1.InvokeResponse{Status: int32(res.StatusCode), ContentType: res.Header.Get("Content-Type"), Body: body}, nil
}

// serveFloor takes the Workload API's address, the upstream's URL and its CA file.
func serveFloor(args []string) error {
	if len(args) != 3 {
		return errors.New("floor wants SOCKET URL CA")
	}
	source, err := workloadapi.NewX509Source(context.Background(), workloadapi.WithClientOptions(workloadapi.WithAddr(args[0])))
	if err != nil {
		return err
	}
	client, err := httpsClient(args[2])
	if err != nil {
		return err
	}
	conf := tlsconfig.MTLSServerConfig(source, source, tlsconfig.AuthorizeAny())
	conf.MinVersion = tls.VersionTLS13
	conf.NextProtos = []string{"h2"}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(conf)))
	onedoorv1.RegisterBrokerServer(server, &floor{client: client, url: args[1]})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	fmt.Println("ready")
	return server.Serve(listener)
}

// httpsClient pools connections for all callers.
func httpsClient(caFile string) (*http.Client, error) {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("no certificate in " + caFile)
	}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, MaxIdleConnsPerHost: 256, DisableCompression: true,
	}}, nil
}
