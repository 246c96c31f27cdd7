package authn

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// recheck is how long a certificate is served before its files are looked at again.
const recheck = time.Second

// CertFiles is a server certificate that comes from two PEM files and is read again
// when they change. It is safe for concurrent use.
type CertFiles struct {
	cert, key string
	now       func() time.Time
	log       *slog.Logger

	mu      sync.Mutex
	checked time.Time
	tried   [2][sha256.Size]byte // digests of what was last read, good or bad
	current *tls.Certificate
}

// NewCertFiles reads the chain from cert and the private key from key. Both must be
// there and belong together. A nil log means slog.Default.
func NewCertFiles(cert, key string, now func() time.Time, log *slog.Logger) (*CertFiles, error) {
	if log == nil {
		log = slog.Default()
	}
	f := &CertFiles{cert: cert, key: key, now: now, log: log, checked: now()}
	if err := f.load(); err != nil {
		return nil, err
	}
	return f, nil
}

// GetCertificate is the callback for tls.Config. Files that cannot be read or do not
// belong together, as while they are being replaced, are logged, and the certificate
// before them is served until they can: it is no less ours than it was.
func (f *CertFiles) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.checked) >= recheck {
		f.checked = now
		if err := f.load(); err != nil {
			f.log.Error("certificate files cannot be used; the certificate before them is served", "error", err)
		}
	}
	return f.current, nil
}

// load leaves everything as it is where the files say nothing new. The contents are
// compared, since times of modification are too coarse to be told apart by.
func (f *CertFiles) load() error {
	cert, err := os.ReadFile(f.cert)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	key, err := os.ReadFile(f.key)
	if err != nil {
		return fmt.Errorf("certificate's key: %w", err)
	}
	read := [2][sha256.Size]byte{sha256.Sum256(cert), sha256.Sum256(key)}
	if read == f.tried {
		return nil
	}
	f.tried = read
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("certificate %s and key %s: %w", f.cert, f.key, err)
	}
	f.current = &pair
	return nil
}
