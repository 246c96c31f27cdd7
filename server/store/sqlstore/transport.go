package sqlstore

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"strings"

	"github.com/jackc/pgx/v5"
)

var errUnverified = errors.New("store URL: the way to the database is not verified: want sslmode=verify-full, or verify-ca, for every host that is not this one")

// verified demands TLS with a verified certificate on every way to the database that the
// URL and the environment leave open. What sslmode is by default, prefer, falls back to
// clear text, and require verifies nobody.
func verified(config *pgx.ConnConfig) error {
	fine := isVerified(config.Host, config.TLSConfig)
	for _, way := range config.Fallbacks {
		fine = fine && isVerified(way.Host, way.TLSConfig)
	}
	if !fine {
		return errUnverified
	}
	return nil
}

func isVerified(host string, conf *tls.Config) bool {
	if strings.HasPrefix(host, "/") || host == "localhost" { // a socket of this machine
		return true
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.IsLoopback() {
		return true
	}
	return conf != nil && (!conf.InsecureSkipVerify || conf.VerifyPeerCertificate != nil)
}
