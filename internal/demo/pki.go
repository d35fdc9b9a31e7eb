package demo

import (
	"crypto/x509/pkix"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
)

// hostname is the application that the demo guards.
const hostname = "orders.example.com"

// The files of the PKI, relative to the demo's folder.
const (
	serverCA    = "server-ca.pem"
	serverCert  = "server.pem"
	accessCA    = "ca.pem"
	james       = "client.pem"
	partnerCA   = "partner-ca.pem"
	renewedCA   = "partner-ca-renewed.pem"
	partnerNew  = "partner-device.pem"
	shortClient = "scanner-7.pem"
)

// keyFile returns the name of a certificate's key file: "client-key.pem".
func keyFile(cert string) string { return cert[:len(cert)-len(".pem")] + "-key.pem" }

// writePKI makes the documented PKI and the certificates that are near their
// end, and writes them into dir.
func writePKI(dir string, now time.Time) error {
	files := map[string]*certtest.Certificate{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	keep := func(name string, c *certtest.Certificate) {
		mu.Lock()
		defer mu.Unlock()
		files[name] = c
	}
	wg.Go(func() { accessPKI(keep, now) })
	wg.Go(func() { partnerPKI(keep, now) })
	wg.Wait()
	for name, c := range files {
		if err := os.WriteFile(filepath.Join(dir, name), c.PEM(), 0o600); err != nil {
			return fmt.Errorf("writing the PKI: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, keyFile(name)), c.KeyPEM(), 0o600); err != nil {
			return fmt.Errorf("writing the PKI: %w", err)
		}
	}
	return nil
}

// accessPKI is the PKI of the reference product's documentation, and a client
// of it with 10 days left.
func accessPKI(keep func(string, *certtest.Certificate), now time.Time) {
	ca := certtest.NewCA(certtest.Subject(texas("Access Testing CA", "Access Testing", "TX")), certtest.RSA(4096), validFor(now, 5*365*alert.Day))
	keep(accessCA, ca)
	keep(james, ca.Issue(certtest.Subject(texas("James Royal", "Access", "Access Admins")), certtest.RSA(4096), certtest.Client(), validFor(now, 365*alert.Day)))
	keep(shortClient, ca.Issue(certtest.CommonName("warehouse scanner 7"), certtest.Client(), validFor(now, 10*alert.Day)))
}

// partnerPKI is a CA with 20 days left, what renews it, and the server's
// certificate.
func partnerPKI(keep func(string, *certtest.Certificate), now time.Time) {
	subject := certtest.Subject(pkix.Name{Country: []string{"DE"}, Organization: []string{"Partner GmbH"}, CommonName: "Partner CA"})
	keep(partnerCA, certtest.NewCA(subject, validFor(now, 20*alert.Day)))
	renewed := certtest.NewCA(subject, validFor(now, 730*alert.Day))
	keep(renewedCA, renewed)
	keep(partnerNew, renewed.Issue(certtest.CommonName("partner device 12"), certtest.Client(), validFor(now, 90*alert.Day)))
	servers := certtest.NewCA(certtest.CommonName("Demo Server CA"), validFor(now, 365*alert.Day))
	keep(serverCA, servers)
	keep(serverCert, servers.Issue(certtest.CommonName(hostname), certtest.Server(hostname), validFor(now, 90*alert.Day)))
}

func texas(cn, o, ou string) pkix.Name {
	return pkix.Name{Country: []string{"US"}, Province: []string{"Texas"}, Locality: []string{"Austin"}, Organization: []string{o}, OrganizationalUnit: []string{ou}, CommonName: cn}
}

// validFor leaves what was asked for, and a minute more, so that the messages
// say "in 20 d" rather than "in 19 d 23 h".
func validFor(now time.Time, left time.Duration) certtest.Option {
	return certtest.Validity(now.Add(-70*alert.Day), now.Add(left+time.Minute))
}
