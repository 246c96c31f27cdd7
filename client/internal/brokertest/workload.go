package brokertest

import (
	"net"
	"path/filepath"
	"sync"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// WorkloadAPI serves one workload's SVID on a socket, as a SPIFFE agent does.
type WorkloadAPI struct {
	workload.UnimplementedSpiffeWorkloadAPIServer

	// Addr is the value for SPIFFE_ENDPOINT_SOCKET.
	Addr string

	source *Source
	server *grpc.Server

	mu      sync.Mutex
	refuse  int // questions yet to be answered with "no identity issued"
	changed chan struct{}
}

// ServeWorkloadAPI serves source on a socket in dir. The first refusals questions are
// answered with "no identity issued".
func ServeWorkloadAPI(dir string, source *Source, refusals int) (*WorkloadAPI, error) {
	path := filepath.Join(dir, "workload.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	w := &WorkloadAPI{Addr: "unix://" + path, source: source, server: grpc.NewServer(), refuse: refusals, changed: make(chan struct{})}
	workload.RegisterSpiffeWorkloadAPIServer(w.server, w)
	go func() { _ = w.server.Serve(listener) }()
	return w, nil
}

// Close stops serving.
func (w *WorkloadAPI) Close() { w.server.Stop() }

// Rotate makes a new SVID and pushes it to all who watch.
func (w *WorkloadAPI) Rotate() error {
	if err := w.source.Rotate(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.changed)
	w.changed = make(chan struct{})
	return nil
}

// FetchX509SVID implements the Workload API.
func (w *WorkloadAPI) FetchX509SVID(_ *workload.X509SVIDRequest, stream workload.SpiffeWorkloadAPI_FetchX509SVIDServer) error {
	for {
		changed, refused := w.next()
		if refused {
			return status.Error(codes.PermissionDenied, "no identity issued")
		}
		response, err := w.response()
		if err != nil {
			return err
		}
		if err := stream.Send(response); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		}
	}
}

func (w *WorkloadAPI) next() (changed chan struct{}, refused bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse > 0 {
		w.refuse--
		return nil, true
	}
	return w.changed, false
}

func (w *WorkloadAPI) response() (*workload.X509SVIDResponse, error) {
	svid, err := w.source.GetX509SVID()
	if err != nil {
		return nil, err
	}
	certs, key, err := svid.MarshalRaw()
	if err != nil {
		return nil, err
	}
	return &workload.X509SVIDResponse{Svids: []*workload.X509SVID{{
		SpiffeId: svid.ID.String(), X509Svid: certs, X509SvidKey: key, Bundle: w.source.authority.cert.Raw,
	}}}, nil
}
