package demo

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRequest_Curl(t *testing.T) {
	t.Parallel()
	got := request{
		URL: "https://orders.example.com:8443/", Dial: "127.0.0.1:8443", CACert: "ca.pem", Cert: "client.pem", Key: "client-key.pem",
		Headers: map[string]string{"B": "2", "A": "1"}, Body: "new.pem",
	}.curl()
	want := []string{
		"curl", "-si", "--cacert", "ca.pem", "--resolve", "orders.example.com:8443:127.0.0.1", "--cert", "client.pem", "--key", "client-key.pem",
		"-H", "A: 1", "-H", "B: 2", "--data-binary", "@new.pem", "https://orders.example.com:8443/",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("curl (-want +got):\n%s", diff)
	}
}

func TestRequest_Do(t *testing.T) {
	t.Parallel()
	sink, err := startHTTPSink()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sink.stop)
	body := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(body, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	answer, err := request{URL: "http://elsewhere.example.com/x", Dial: sink.addr, Headers: map[string]string{"X-A": "1"}, Body: body}.do(t.Context())
	if err != nil || answer.Status != http.StatusOK || answer.Body != "ok" {
		t.Fatalf("answer %+v, %v", answer, err)
	}
	m, err := sink.await(t.Context(), "the post")
	if err != nil || string(m.Body) != "hello" || m.Header.Get("X-A") != "1" {
		t.Errorf("arrived: %+v, %v", m, err)
	}
	for name, r := range map[string]request{
		"no such body":                   {URL: "http://" + sink.addr, Body: "missing"},
		"no such CA":                     {URL: "http://" + sink.addr, CACert: "missing"},
		"a CA that holds no certificate": {URL: "http://" + sink.addr, CACert: body},
		"no such key":                    {URL: "http://" + sink.addr, Cert: "missing", Key: "missing"},
		"no URL":                         {URL: "http://["},
	} {
		if _, err := r.do(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSink_AwaitTellsWhatDidNotCome(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &sink{addr: "here", messages: make(chan message)}
	if _, err := s.await(ctx, "the mail"); err == nil || !strings.Contains(err.Error(), "waiting for the mail at here") {
		t.Errorf("error %v", err)
	}
}

func TestReadableMail(t *testing.T) {
	t.Parallel()
	const head = "From: a@example.com\r\nTo: b@example.com\r\nMessage-Id: <1@x>\r\nSubject: =?UTF-8?q?in_10=C2=A0d?=\r\n"
	for name, tt := range map[string]struct{ raw, want string }{
		"plain":            {head + "Content-Type: text/plain\r\n\r\nhello\r\n", "hello\n"},
		"quoted printable": {head + "Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nh=C3=A9llo\r\n", "héllo\n"},
		"alternatives": {head + "Content-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n<b>\r\n--x\r\n" +
			"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nh=C3=A9llo\r\n--x--\r\n", "héllo"},
	} {
		got, err := readableMail([]byte(tt.raw))
		if err != nil || !strings.HasSuffix(got, tt.want) || !strings.Contains(got, "Subject: in 10\u00a0d\n") || !strings.Contains(got, "Message-Id: <1@x>\n") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, raw := range map[string]string{
		"no mail": "x", "no type": head + "\r\nhello", "no plain text": head + "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x--\r\n",
		"a bad subject": "Subject: =?latin-99?q?x?=\r\nContent-Type: text/plain\r\n\r\nx",
	} {
		if got, err := readableMail([]byte(raw)); err == nil {
			t.Errorf("%s: read as %q", name, got)
		}
	}
}

func TestSMTPSink(t *testing.T) {
	t.Parallel()
	sink, err := startSMTP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sink.stop)
	if err := smtp.SendMail(sink.addr, nil, "a@example.com", []string{"b@example.com"}, []byte("Subject: x\r\n\r\nhello\r\n")); err != nil {
		t.Fatal(err)
	}
	m, err := sink.await(t.Context(), "the mail")
	if err != nil || !strings.Contains(string(m.Body), "hello") {
		t.Errorf("arrived: %q, %v", m.Body, err)
	}
}

// The PKI is the documented one, with a CA that has 20 days left and a client
// certificate with 10, and no file is for others to read.
func TestWritePKI(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now()
	if err := writePKI(dir, now); err != nil {
		t.Fatal(err)
	}
	load := func(name string) *x509.Certificate {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	root, client := load(accessCA), load(james)
	if root.Subject.CommonName != "Access Testing CA" || client.Subject.CommonName != "James Royal" || client.CheckSignatureFrom(root) != nil {
		t.Errorf("the documented PKI is %s and %s", root.Subject, client.Subject)
	}
	for name, days := range map[string]int{partnerCA: 20, shortClient: 10} {
		if left := load(name).NotAfter.Sub(now); int(left.Hours()/24) != days {
			t.Errorf("%s has %s left, want %d days", name, left, days)
		}
	}
	if load(partnerNew).CheckSignatureFrom(load(renewedCA)) != nil || load(partnerNew).CheckSignatureFrom(load(partnerCA)) == nil {
		t.Error("the partner's new device is not of the new CA alone")
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
}
