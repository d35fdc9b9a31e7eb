package email_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/notifier/email"
	"github.com/certvigil/certvigil/notifier/notifiertest"
)

const from = "Certvigil <certvigil@example.com>"

func channel(t *testing.T, o email.Options) *email.Channel {
	t.Helper()
	o.From = from
	c, err := email.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSend_modes(t *testing.T) {
	t.Parallel()
	server, client := certificate(t)
	for _, tc := range []struct {
		name       string
		mode       email.TLSMode
		mechanisms []string
		wantTLS    bool
		wantAuth   string
	}{
		{"starttls without AUTH", email.StartTLS, nil, true, ""},
		{"starttls with PLAIN", email.StartTLS, []string{"PLAIN", "LOGIN"}, true, "PLAIN"},
		{"starttls with LOGIN alone", email.StartTLS, []string{"LOGIN"}, true, "LOGIN"},
		{"implicit TLS with PLAIN", email.ImplicitTLS, []string{"PLAIN"}, true, "PLAIN"},
		{"implicit TLS with LOGIN", email.ImplicitTLS, []string{"LOGIN"}, true, "LOGIN"},
		{"none without AUTH", email.NoTLS, nil, false, ""},
		{"none with PLAIN to loopback", email.NoTLS, []string{"PLAIN"}, false, "PLAIN"},
		{"none with LOGIN to loopback", email.NoTLS, []string{"LOGIN"}, false, "LOGIN"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			addr, b := serve(t, server, tc.mode == email.ImplicitTLS, tc.mechanisms...)
			o := email.Options{Server: addr, TLS: tc.mode, TLSConfig: client}
			if tc.mechanisms != nil {
				o.Username, o.Password = username, password
			}
			if err := channel(t, o).Send(t.Context(), notifiertest.One()); err != nil {
				t.Fatal(err)
			}
			got := b.mails()
			if len(got) != 1 {
				t.Fatalf("%d mails", len(got))
			}
			m := got[0]
			if m.tls != tc.wantTLS || m.auth != tc.wantAuth || m.from != "certvigil@example.com" || m.to != "oncall@example.com" {
				t.Errorf("accepted %s → %s, TLS %v, AUTH %q", m.from, m.to, m.tls, m.auth)
			}
		})
	}
}

// parts prints a mail with its headers sorted and its parts decoded.
func parts(t *testing.T, raw string) string {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	var b strings.Builder
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	m.Header["Content-Type"] = []string{kind}
	for _, k := range slices.Sorted(maps.Keys(m.Header)) {
		for _, v := range m.Header[k] {
			text, err := new(mime.WordDecoder).DecodeHeader(v)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s: %s\n", k, text)
		}
	}
	multi(t, &b, m.Body, params["boundary"])
	return b.String()
}

func multi(t *testing.T, b *strings.Builder, body io.Reader, boundary string) {
	t.Helper()
	r := multipart.NewReader(body, boundary)
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, params, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(b, "\n--- %s %s\n", kind, p.FileName())
		if params["boundary"] != "" {
			multi(t, b, p, params["boundary"])
			continue
		}
		var content io.Reader = p
		if p.Header.Get("Content-Transfer-Encoding") == "base64" {
			content = base64.NewDecoder(base64.StdEncoding, p)
		}
		text, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
	}
}

func TestSend_golden(t *testing.T) {
	t.Parallel()
	samples := notifiertest.Samples()
	samples["worst"] = notifiertest.Worst()
	for name, m := range samples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, b := serve(t, nil, false)
			if err := channel(t, email.Options{Server: addr, TLS: email.NoTLS}).Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			notifiertest.Golden(t, name, []byte(parts(t, b.mails()[0].data)))
		})
	}
}

func TestSend_sameMessageID(t *testing.T) {
	t.Parallel()
	addr, b := serve(t, nil, false)
	c := channel(t, email.Options{Server: addr, TLS: email.NoTLS})
	m := notifiertest.One()
	for range 2 {
		if err := c.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		m.Attempt++
		m.Now = m.Now.Add(time.Hour)
	}
	want := "<" + m.ID + "@example.com>"
	for i, got := range b.mails() {
		parsed, err := mail.ReadMessage(strings.NewReader(got.data))
		if err != nil {
			t.Fatal(err)
		}
		if id := parsed.Header.Get("Message-Id"); id != want {
			t.Errorf("attempt %d has Message-ID %q, want %q", i+1, id, want)
		}
	}
}

func TestSend_headerInjection(t *testing.T) {
	t.Parallel()
	addr, b := serve(t, nil, false)
	item := notifiertest.Item(alert.KindClient, "x\r\nBcc: evil@example.com\r\n\r\n.\r\nQUIT\r\n", alert.Day)
	m := notifiertest.Message(notifiertest.Entry(item, alert.Day, alert.EventExpiring))
	m.Rule = "r\r\nX-Evil: 1"
	if err := channel(t, email.Options{Server: addr, TLS: email.NoTLS}).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := b.mails()
	if len(got) != 1 {
		t.Fatalf("%d mails", len(got))
	}
	parsed, err := mail.ReadMessage(strings.NewReader(got[0].data))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Auto-Submitted", "Content-Type", "Date", "From", "In-Reply-To", "List-Id", "Message-Id", "Mime-Version", "Received", "References",
		"Subject", "To", "X-Auto-Response-Suppress", "X-Certvigil-Delivery",
	}
	for k := range parsed.Header {
		if !slices.Contains(want, k) {
			t.Errorf("header %s: %q was smuggled in", k, parsed.Header[k])
		}
	}
	for _, recipient := range []string{"a@example.com\r\nRCPT TO:<evil@example.com>", "a@example.com>\r\nDATA", "no address"} {
		m.Recipient = recipient
		if err := channel(t, email.Options{Server: addr, TLS: email.NoTLS}).Send(t.Context(), m); !notifier.IsPermanent(err) {
			t.Errorf("recipient %q: %v", recipient, err)
		}
	}
}

func TestNew_refuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		o     email.Options
		field string
	}{
		{"no port", email.Options{Server: "smtp.example.com", From: from}, "smtp"},
		{"no host", email.Options{Server: ":587", From: from}, "smtp"},
		{"no sender", email.Options{Server: "smtp.example.com:587"}, "from"},
		{"sender with a line break", email.Options{Server: "smtp.example.com:587", From: "a@example.com\r\nBcc: b@example.com"}, "from"},
		{"unknown mode", email.Options{Server: "smtp.example.com:587", From: from, TLS: "maybe"}, "tls"},
		{"a password in clear text", email.Options{Server: "smtp.example.com:25", From: from, TLS: email.NoTLS, Username: username, Password: password}, "tls"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := email.New(tc.o)
			if !fault.Is(err, fault.Invalid) || fault.Field(err) != tc.field {
				t.Errorf("got %v, field %q", err, fault.Field(err))
			}
		})
	}
}
