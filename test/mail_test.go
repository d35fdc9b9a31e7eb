package walkthrough_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

// A letter is a mail as a reader shows it.
type letter struct {
	header     mail.Header
	subject    string
	text, html string
	files      map[string]string
}

// read takes a mail apart, and fails the test where a reader would stumble.
func readLetter(t *testing.T, raw string) letter {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	must(t, err)
	l := letter{header: m.Header, files: map[string]string{}}
	l.subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	must(t, err)
	l.parts(t, m.Header.Get("Content-Type"), m.Body)
	return l
}

func (l *letter) parts(t *testing.T, contentType string, body io.Reader) {
	t.Helper()
	_, parameters, err := mime.ParseMediaType(contentType)
	must(t, err)
	parts := multipart.NewReader(body, parameters["boundary"])
	for {
		part, err := parts.NextPart() // which decodes quoted-printable
		if errors.Is(err, io.EOF) {
			return
		}
		must(t, err)
		kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		must(t, err)
		if strings.HasPrefix(kind, "multipart/") {
			l.parts(t, part.Header.Get("Content-Type"), part)
			continue
		}
		var content io.Reader = part
		if part.Header.Get("Content-Transfer-Encoding") == "base64" {
			content = base64.NewDecoder(base64.StdEncoding, part)
		}
		text, err := io.ReadAll(content)
		must(t, err)
		switch {
		case part.FileName() != "":
			l.files[part.FileName()] = string(text)
		case kind == "text/html":
			l.html = string(text)
		default:
			l.text = strings.ReplaceAll(string(text), "\r\n", "\n")
		}
	}
}

// letters are the mails of a mailbox by the beginning of their subject.
func (p postfix) letters(t *testing.T, count int, begins string) []letter {
	t.Helper()
	var found []letter
	for _, raw := range p.await(t, count) {
		if l := readLetter(t, raw); strings.HasPrefix(l.subject, begins) {
			found = append(found, l)
		}
	}
	return found
}

// client writes a certificate that ends after so long.
func client(t *testing.T, dir, name string, left time.Duration) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-300 * day), NotAfter: time.Now().Add(left),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	file := filepath.Join(dir, serial.String()+".pem")
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return file
}

// A postbox is a configuration whose alerts go to a real mail server.
type postbox struct {
	certvigil, config, admin, dir string
}

func newPostbox(t *testing.T) postbox {
	t.Helper()
	dir := t.TempDir()
	return postbox{certvigil: findPrograms(t).certvigil, config: filepath.Join(dir, "config.toml"), admin: freeAddress(t), dir: dir}
}

// write writes the configuration with those thresholds and recipients.
func (b postbox) write(t *testing.T, p postfix, before, to string) {
	t.Helper()
	must(t, os.WriteFile(b.config, fmt.Appendf(nil, `[admin]
listen = %q
public_url = "https://certvigil.example.com"
[enforcer]
listen = ""
[[channel]]
name = "oncall-mail"
type = "email"
smtp = %q
from = "Certvigil <certvigil@example.com>"
to = [%s]
[[alert]]
name = "default"
before = [%s]
channels = ["oncall-mail"]
`, b.admin, p.addr, to, before), 0o600))
}

func (b postbox) do(t *testing.T, args ...string) result {
	t.Helper()
	return mustRun(t, b.dir, b.certvigil, append(args, "-c", b.config)...)
}

// TestMail sends by the real binary through a real Postfix, and reads what lies
// in the mailbox then.
func TestMail(t *testing.T) {
	b, p := newPostbox(t), startPostfix(t)
	t.Setenv("SSL_CERT_FILE", filepath.Join(p.dir, "cert.pem"))
	dir := b.dir
	const oncall = `"oncall@example.com"`
	b.write(t, p, `"30d"`, oncall)

	b.do(t, "channel", "test", "oncall-mail")
	test := p.letters(t, 1, "[TEST]")
	if len(test) != 1 || !strings.Contains(test[0].text, "This is a test message") || test[0].header.Get("References") != "" {
		t.Fatalf("the test mail: %+v", test)
	}

	// Wrapped at 72 columns, the last word of this name begins a line.
	name := strings.Repeat("a", 50) + " .hidden"
	b.do(t, "cert", "add", client(t, dir, name, 20*day))
	d := startDaemon(t, b.certvigil, b.config, b.admin)
	first := p.letters(t, 2, "Client certificate")[0]
	d.terminate(t)
	t.Run("one certificate", func(t *testing.T) { isWhole(t, b, first) })

	b.write(t, p, `"30d", "25d"`, oncall)
	d = startDaemon(t, b.certvigil, b.config, b.admin)
	both := p.letters(t, 3, "Client certificate")
	t.Run("a later threshold", func(t *testing.T) {
		if one, two := both[0].header, both[1].header; one.Get("References") != two.Get("References") || one.Get("Message-Id") == two.Get("Message-Id") {
			t.Errorf("the mails of one certificate do not belong together: %v, %v", one, two)
		}
	})
	d.terminate(t)

	for n := range 25 {
		b.do(t, "cert", "add", client(t, dir, fmt.Sprintf("device-%02d", n), time.Duration(n+1)*12*time.Hour))
	}
	startDaemon(t, b.certvigil, b.config, b.admin)
	t.Run("a digest", func(t *testing.T) { isDigest(t, p.letters(t, 4, "25 expiring")[0]) })
}

// isWhole holds a mail about one certificate to what was sent.
func isWhole(t *testing.T, b postbox, l letter) {
	t.Helper()
	var deliveries []struct {
		ID string `json:"id"`
	}
	must(t, json.Unmarshal([]byte(b.do(t, "delivery", "list", "--json").stdout), &deliveries))
	if len(deliveries) != 1 {
		t.Fatalf("%d deliveries", len(deliveries))
	}
	for header, want := range map[string]string{
		"From": `"Certvigil" <certvigil@example.com>`, "To": "oncall@example.com", "Return-Path": "<certvigil@example.com>",
		"Message-Id": "<" + deliveries[0].ID + "@example.com>", "List-Id": "Certvigil <oncall-mail.certvigil.example.com>",
		"Auto-Submitted": "auto-generated", "In-Reply-To": l.header.Get("References"),
	} {
		if got := strings.Trim(l.header.Get(header), " "); got != want && got != "<"+want+">" {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if !strings.Contains(l.header.Get("References"), "@example.com>") {
		t.Errorf("References: %q", l.header.Get("References"))
	}
	if !strings.Contains(l.text, "\n.hidden\" expires in 19 d 23 h.\n") {
		t.Errorf("the line that begins with a dot did not arrive:\n%s", l.text)
	}
	if !strings.Contains(l.html, ".hidden&#34; expires in 19 d 23 h</h2>") || strings.Contains(l.html, "<img") {
		t.Errorf("the HTML part:\n%s", l.html)
	}
}

// isDigest holds a mail about many certificates to what was sent.
func isDigest(t *testing.T, l letter) {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewBufferString(l.files["certvigil-alerts.csv"])).ReadAll()
	must(t, err)
	if len(rows) != 26 || rows[1][4] != "device-00" || rows[25][4] != "device-24" {
		t.Errorf("the table:\n%v", rows)
	}
	if !strings.Contains(l.text, "\n  20 ") || !strings.Contains(l.text, "5 more are not listed here; all 25 are in the attached CSV file.") {
		t.Errorf("the text:\n%s", l.text)
	}
	if l.header.Get("References") != "" {
		t.Error("a digest belongs to no thread")
	}
}

// TestMail_refused: each recipient is a transaction of its own, whatever the
// server says of the others.
func TestMail_refused(t *testing.T) {
	b, p := newPostbox(t), startPostfix(t)
	t.Setenv("SSL_CERT_FILE", filepath.Join(p.dir, "cert.pem"))
	dir := b.dir
	b.write(t, p, `"30d"`, `"nobody@example.com", "busy@example.com", "oncall@example.com"`)
	b.do(t, "cert", "add", client(t, dir, "device", 20*day))
	startDaemon(t, b.certvigil, b.config, b.admin)
	p.await(t, 1)
	want := map[string]string{"nobody@example.com": "dead", "busy@example.com": "retrying", "oncall@example.com": "sent"}
	eventually(t, 20*time.Second, "every recipient has an answer", func() error {
		var deliveries []struct {
			Recipient string `json:"recipient"`
			State     string `json:"state"`
		}
		must(t, json.Unmarshal([]byte(b.do(t, "delivery", "list", "--json").stdout), &deliveries))
		for _, d := range deliveries {
			if d.State != want[d.Recipient] {
				return fmt.Errorf("%s: %s, want %s", d.Recipient, d.State, want[d.Recipient])
			}
		}
		return nil
	})
}
