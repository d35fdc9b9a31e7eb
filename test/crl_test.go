package walkthrough_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestRevocationList makes revocation lists as the reference page tells people
// to, with the serial in hex, and as cfssl reads them, in decimal.
func TestRevocationList(t *testing.T) {
	w := newWorkshop(t, findPrograms(t))
	const config = "ca-config.json"
	w.root(t, "ca", w.csr(t, "Access Testing CA"))
	w.issue(t, "client", "ca", config, "client", w.csr(t, "James Royal", ""))
	w.issue(t, "other", "ca", config, "client", w.csr(t, "Another Device", ""))
	w.root(t, "server-ca", w.csr(t, "Server CA"))
	w.issue(t, "server", "server-ca", config, "server", w.csr(t, "gateway", orders))
	o := newOrigin(t)
	s := newSite(t, w, o.URL, orders)
	for _, args := range [][]string{{"ca", "add", "--hostname", orders, "ca.pem"}, {"cert", "add", "client.pem"}, {"cert", "add", "other.pem"}} {
		mustRun(t, w.dir, w.certvigil, append(args, "-c", s.config)...)
	}
	startDaemon(t, w.certvigil, s.config, s.admin)
	b := browser{w, s.gateway}
	b.admitted(t, o, orders, "client")
	serial := w.serial(t, "client.pem")

	t.Run("in hex, it revokes nobody and says so", func(t *testing.T) {
		misread := w.gencrl(t, "ca.crl", fmt.Sprintf("%X", serial))
		added := mustRun(t, w.dir, w.certvigil, "crl", "add", "--json", "ca.crl", "-c", s.config)
		report := decodeReport(t, added)
		if report.RevokesCount != 0 || report.UnknownCount != 1 || len(report.Revokes) != 0 {
			t.Errorf("the report: %s", added)
		}
		for _, part := range []string{"warning: ", "cfssl gencrl", "serial number " + misread.String() + ",", fmt.Sprintf("%X", serial), "in decimal " + serial.String(), "CN=James Royal"} {
			if !strings.Contains(added.stderr, part) {
				t.Errorf("the warning does not speak of %q: %s", part, added.stderr)
			}
		}
		b.admitted(t, o, orders, "client")
	})
	t.Run("in decimal, it revokes its client and nobody else", func(t *testing.T) {
		if wrote := w.gencrl(t, "ca.crl", serial.String()); wrote.Cmp(serial) != 0 {
			t.Fatalf("cfssl wrote %v, want %v", wrote, serial)
		}
		added := mustRun(t, w.dir, w.certvigil, "crl", "add", "--json", "ca.crl", "-c", s.config)
		report := decodeReport(t, added)
		if report.RevokesCount != 1 || len(report.Revokes) != 1 || !strings.Contains(report.Revokes[0].Subject, "CN=James Royal") || added.stderr != "" {
			t.Errorf("the report: %s", added)
		}
		eventually(t, promptly, "the running server refuses the revoked client", func() error {
			if r := b.get(t, orders, "client"); r.status != http.StatusForbidden {
				return fmt.Errorf("%s", r)
			}
			return nil
		})
		b.denied(t, o, orders, "client")
		if r := b.get(t, orders, "other"); r.status != http.StatusOK {
			t.Errorf("another client of that CA: %s", r)
		}
	})
	t.Run("a watched file is read again when it changes", func(t *testing.T) {
		mustRun(t, w.dir, w.certvigil, "crl", "add", "--watch", "ca.crl", "-c", s.config)
		w.gencrl(t, "ca.crl", w.serial(t, "other.pem").String())
		eventually(t, 20*time.Second, "the running server takes the new list in", func() error {
			if r := b.get(t, orders, "other"); r.status != http.StatusForbidden {
				return fmt.Errorf("%s", r)
			}
			return nil
		})
		b.admitted(t, o, orders, "client")
	})
}

// A crlReport is what crl add --json prints, as far as the test reads it.
type crlReport struct {
	Revokes []struct {
		Subject string `json:"subject"`
	} `json:"revokes"`
	RevokesCount int `json:"revokes_count"`
	UnknownCount int `json:"unknown_count"`
}

func decodeReport(t *testing.T, r result) crlReport {
	t.Helper()
	var report crlReport
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		t.Fatalf("decoding certvigil crl add --json: %v\n%s", err, r)
	}
	return report
}

// gencrl is the page's `cfssl gencrl serials.txt ca.pem ca-key.pem | base64 -D`
// with one serial, and returns the number that cfssl has made of it.
func (w workshop) gencrl(t *testing.T, name, serial string) *big.Int {
	t.Helper()
	if err := os.WriteFile(w.path("serials.txt"), []byte(serial+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	printed := mustRun(t, w.dir, w.cfssl, "gencrl", "serials.txt", "ca.pem", "ca-key.pem").stdout
	der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(printed))
	if err != nil {
		t.Fatalf("decoding what cfssl gencrl prints: %v\n%s", err, printed)
	}
	if err := os.WriteFile(w.path(name), der, 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil || len(list.RevokedCertificateEntries) != 1 {
		t.Fatalf("cfssl's list: %v", err)
	}
	return list.RevokedCertificateEntries[0].SerialNumber
}

func (w workshop) serial(t *testing.T, name string) *big.Int {
	t.Helper()
	data, err := os.ReadFile(w.path(name))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c.SerialNumber
}
