package main

import (
	"bytes"
	"html"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
)

// textOf returns the plain text of a mail.
func textOf(t *testing.T, raw string) string {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	part, err := multipart.NewReader(m.Body, params["boundary"]).NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	body := io.Reader(part)
	if part.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		body = quotedprintable.NewReader(part)
	}
	return read(t, body)
}

// follow opens a path of the admin listener as a browser does: with a form
// when there is one.
func (p *process) follow(path string, form map[string]string) (status int, page string) {
	p.t.Helper()
	method, contentType, body := http.MethodGet, "", &bytes.Buffer{}
	if form != nil {
		method = http.MethodPost
		w := multipart.NewWriter(body)
		for name, value := range form {
			if err := w.WriteField(name, value); err != nil {
				p.t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			p.t.Fatal(err)
		}
		contentType = w.FormDataContentType()
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+p.admin+path, body)
	if err != nil {
		p.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	return answer.StatusCode, read(p.t, answer.Body)
}

// From the link in a mail over the page to a new CA that admits at once; after
// a restart the link is still what it was, and after its use it is nothing.
func TestLive_LinkOfAMail(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	r := started(t, startMail)
	s.configure(s.application("orders", guarded), mailChannel("mail", r.addr), alerting("mail"))
	now := time.Now()
	old := certtest.NewCA(certtest.CommonName("Partner CA"), certtest.Validity(now.Add(-alert.Day), now.Add(10*alert.Day)))
	fresh := certtest.NewCA(certtest.CommonName("Partner CA")).CrossSigned(old)
	stranger := certtest.NewCA(certtest.CommonName("Partner CA"))
	s.command("ca", "add", "--name", "partner", "--hostname", guarded, s.write("old.pem", old.PEM()))
	p := s.start()
	found := regexp.MustCompile(`http://127\.0\.0\.1:8080(/renew/[A-Za-z0-9_-]+)\s`).FindStringSubmatch(textOf(t, r.next(t).body))
	if found == nil {
		t.Fatal("the mail has no link")
	}
	path := found[1]
	p.terminate()
	p = s.start()

	if status, page := p.follow(path, nil); status != http.StatusOK || !strings.Contains(page, "Partner CA") {
		t.Fatalf("the page: %d\n%s", status, page)
	}
	if status, _ := p.follow(path, map[string]string{"certificate": string(stranger.PEM()), "step": "confirm"}); status != http.StatusAccepted {
		t.Errorf("a self-made CA of the same name: %d, want 202", status)
	}
	if got := s.client(p, stranger.Issue(certtest.Client()), true, nil).status(t, guarded); got != http.StatusForbidden {
		t.Errorf("its client: %d, want 403", got)
	}
	status, page := p.follow(path, map[string]string{"certificate": string(fresh.PEM()), "step": "preview"})
	carried := regexp.MustCompile(`name="certificate" value="([^"]+)"`).FindStringSubmatch(page)
	if status != http.StatusOK || carried == nil {
		t.Fatalf("the preview: %d\n%s", status, page)
	}
	c := s.client(p, fresh.Issue(certtest.Client()), true, nil)
	if got := c.status(t, guarded); got != http.StatusForbidden {
		t.Errorf("a client of the new CA after the preview: %d, want 403", got)
	}
	if status, page := p.follow(path, map[string]string{"certificate": html.UnescapeString(carried[1]), "step": "confirm"}); status != http.StatusCreated {
		t.Fatalf("the confirmation: %d\n%s", status, page)
	}
	eventually(t, "the new CA's client is admitted", func() bool { return c.status(t, guarded) == http.StatusOK })
	if got := s.client(p, old.Issue(certtest.Client()), true, nil).status(t, guarded); got != http.StatusOK {
		t.Errorf("a client of the old CA: %d, want 200", got)
	}
	if status, _ := p.follow(path, nil); status != http.StatusGone {
		t.Errorf("the link after its use: %d, want 410", status)
	}
	p.terminate()
	if token := strings.TrimPrefix(path, "/renew/"); strings.Contains(p.log.text(), token) {
		t.Error("the log tells the link")
	}
}

// A client renews itself by its certificate, and is then known by the new one.
func TestLive_ClientRenewsItself(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.configure(s.application("orders", guarded))
	now := time.Now()
	ca := certtest.NewCA(certtest.CommonName("Partner CA"))
	who := certtest.CommonName("scanner 7")
	old := ca.Issue(who, certtest.Client(), certtest.Validity(now.Add(-alert.Day), now.Add(10*alert.Day)))
	fresh := ca.Issue(who, certtest.Client(), certtest.Validity(now.Add(-time.Hour), now.Add(90*alert.Day)))
	admin := ca.Issue(certtest.CommonName("admin"), certtest.Client(), certtest.Validity(now.Add(-time.Hour), now.Add(90*alert.Day)))
	s.command("ca", "add", "--name", "partner", "--hostname", guarded, s.write("ca.pem", ca.PEM()))
	p := s.start()
	renew := func(by, next *certtest.Certificate) (int, string) {
		t.Helper()
		answer, err := s.client(p, by, true, nil).Post("https://"+guarded+"/.well-known/certvigil/renew", "application/x-pem-file", bytes.NewReader(next.PEM()))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		return answer.StatusCode, read(t, answer.Body)
	}
	if status, body := renew(old, admin); status != http.StatusUnprocessableEntity || !strings.Contains(body, "subject_differs") {
		t.Errorf("another's certificate: %d %s", status, body)
	}
	if status, body := renew(nil, fresh); status != http.StatusForbidden || !strings.Contains(body, `"rule": "certificate"`) {
		t.Errorf("without a certificate: %d %s", status, body)
	}
	if status, body := renew(old, fresh); status != http.StatusCreated || !strings.Contains(body, `"status": "renewed"`) || !strings.Contains(body, `"difference"`) {
		t.Fatalf("its own: %d %s", status, body)
	}
	if status, _ := renew(old, fresh); status != http.StatusOK {
		t.Errorf("the same again: %d, want 200", status)
	}
	if out := s.command("cert", "show", s.write("old.pem", old.PEM())); !strings.Contains(out, "trusted, superseded") || !strings.Contains(out, "observed "+guarded) {
		t.Errorf("the old one:\n%s", out)
	}
	if out := s.command("audit", "list"); !strings.Contains(out, "item.renew") {
		t.Errorf("audit:\n%s", out)
	}
	p.terminate()
}
