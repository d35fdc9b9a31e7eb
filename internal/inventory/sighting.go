package inventory

import (
	"crypto/x509"
	"time"
)

// A Sighting is a client certificate that the listener verified, gathered over
// a while.
type Sighting struct {
	Certificate *x509.Certificate
	Authorities []string // fingerprints of the CA certificates of a chain that held
	Hostname    string   // as it is configured; exact or wildcard
	FirstSeen   time.Time
	LastSeen    time.Time
	Count       int // connections that presented it there
}
