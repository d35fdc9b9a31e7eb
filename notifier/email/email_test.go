package email_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net"
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
	for name, m := range notifiertest.Samples() {
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
	want := []string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Received", "Subject", "To", "X-Certvigil-Delivery"}
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

func verdict(err error) string {
	switch {
	case err == nil:
		return "sent"
	case notifier.IsPermanent(err):
		return "permanent"
	case notifier.IsChannelFailing(err):
		return "failing"
	}
	return "transient"
}

func TestSend_answers(t *testing.T) {
	t.Parallel()
	const ehlo = "250-mx\n250 AUTH PLAIN LOGIN"
	for _, tc := range []struct {
		name, at, answer, want string
	}{
		{"all yes", "NOOP", "250 ok", "sent"},
		{"greeting 421", "", "421 too busy", "transient"},
		{"greeting 554", "", "554 no service for you", "failing"},
		{"AUTH 454", "AUTH", "454 temporary failure", "transient"},
		{"AUTH 535", "AUTH", "535 bad credentials " + password, "failing"},
		{"MAIL 451", "MAIL", "451 local error", "transient"},
		{"MAIL 550", "MAIL", "550 sender not allowed", "failing"},
		{"RCPT 450 (greylisting)", "RCPT", "450 try later", "transient"},
		{"RCPT 421", "RCPT", "421 closing", "transient"},
		{"RCPT 452", "RCPT", "452 mailbox full", "transient"},
		{"RCPT 550", "RCPT", "550 no such user", "permanent"},
		{"DATA 451", "DATA", "451 not now", "transient"},
		{"DATA 554", "DATA", "554 no valid recipients", "permanent"},
		{"final dot 452", ".", "452 no space", "transient"},
		{"final dot 552", ".", "552 too big", "permanent"},
		{"QUIT 500", "QUIT", "500 what", "sent"},
		{"QUIT hangs up", "QUIT", drop, "sent"},
		{"greeting hangs up", "", drop, "transient"},
		{"EHLO hangs up", "EHLO", drop, "transient"},
		{"AUTH hangs up", "AUTH", drop, "transient"},
		{"MAIL hangs up", "MAIL", drop, "transient"},
		{"DATA hangs up", "DATA", drop, "transient"},
		{"final dot hangs up", ".", drop, "transient"},
		{"nonsense for a greeting", "", "HTTP/1.1 400 Bad Request", "transient"},
		{"no AUTH", "EHLO", "250 mx", "failing"},
		{"no AUTH that we know", "EHLO", "250-mx\n250 AUTH CRAM-MD5", "failing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			rules := map[string]string{"EHLO": ehlo, "AUTH": "235 welcome"}
			rules[tc.at] = tc.answer
			addr := script(t, rules)
			c := channel(t, email.Options{Server: addr, TLS: email.NoTLS, Username: username, Password: password})
			err := c.Send(t.Context(), notifiertest.One())
			if got := verdict(err); got != tc.want {
				t.Errorf("%s, want %s: %v", got, tc.want, err)
			}
			if err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

// Every stage has a deadline of its own; one that hangs is transient.
func TestSend_hangs(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "."} {
		t.Run("at "+at, func(t *testing.T) {
			t.Parallel()
			rules := map[string]string{"EHLO": "250-mx\n250 AUTH PLAIN", "AUTH": "235 welcome"}
			mode := email.NoTLS
			if at == "STARTTLS" {
				rules["EHLO"] = "250-mx\n250 STARTTLS"
				mode = email.StartTLS
			}
			rules[at] = hang
			c := channel(t, email.Options{
				Server: script(t, rules), TLS: mode, Username: username, Password: password,
				Timeouts: email.Timeouts{Connect: 5 * time.Second, Command: 50 * time.Millisecond, Data: 50 * time.Millisecond},
			})
			if err := c.Send(t.Context(), notifiertest.One()); verdict(err) != "transient" || !strings.Contains(err.Error(), "no answer in time") {
				t.Errorf("%s: %v", verdict(err), err)
			}
		})
	}
	t.Run("at the TLS handshake", func(t *testing.T) {
		t.Parallel()
		c := channel(t, email.Options{Server: script(t, map[string]string{"": hang}), TLS: email.ImplicitTLS, Timeouts: email.Timeouts{Command: 50 * time.Millisecond}})
		if err := c.Send(t.Context(), notifiertest.One()); verdict(err) != "transient" {
			t.Errorf("%s: %v", verdict(err), err)
		}
	})
	t.Run("at the TLS handshake after STARTTLS", func(t *testing.T) {
		t.Parallel()
		addr := script(t, map[string]string{"EHLO": "250-mx\n250 STARTTLS", "STARTTLS": "220 go"})
		c := channel(t, email.Options{Server: addr, Timeouts: email.Timeouts{Command: 50 * time.Millisecond}})
		if err := c.Send(t.Context(), notifiertest.One()); verdict(err) != "transient" {
			t.Errorf("%s: %v", verdict(err), err)
		}
	})
	t.Run("until the context ends", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		c := channel(t, email.Options{Server: script(t, map[string]string{"": hang}), TLS: email.NoTLS})
		if err := c.Send(ctx, notifiertest.One()); verdict(err) != "transient" {
			t.Errorf("%s: %v", verdict(err), err)
		}
	})
}

func TestSend_tlsTrouble(t *testing.T) {
	t.Parallel()
	server, client := certificate(t)
	starttls, plainBackend := serve(t, nil, false)
	untrusted, untrustedBackend := serve(t, server, false)
	implicit, _ := serve(t, server, true)
	otherName := client.Clone()
	otherName.ServerName = "mx.example.org"
	for _, tc := range []struct {
		name string
		o    email.Options
	}{
		{"STARTTLS not offered", email.Options{Server: starttls, TLSConfig: client}},
		{"untrusted after STARTTLS", email.Options{Server: untrusted, TLSConfig: &tls.Config{}}},
		{"untrusted from the start", email.Options{Server: implicit, TLS: email.ImplicitTLS, TLSConfig: &tls.Config{}}},
		{"another name", email.Options{Server: untrusted, TLSConfig: otherName}},
		{"implicit TLS to a server that speaks none", email.Options{Server: starttls, TLS: email.ImplicitTLS, TLSConfig: client}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// Without AUTH nothing but TLS can stand in the mail's way.
			if err := channel(t, tc.o).Send(t.Context(), notifiertest.One()); verdict(err) != "failing" {
				t.Errorf("%s: %v", verdict(err), err)
			}
		})
	}
	if n := len(plainBackend.mails()) + len(untrustedBackend.mails()); n > 0 {
		t.Errorf("%d mails went without a trusted connection", n)
	}
}

func TestSend_refused(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := channel(t, email.Options{Server: l.Addr().String()}).Send(t.Context(), notifiertest.One()); verdict(err) != "transient" {
		t.Errorf("%s: %v", verdict(err), err)
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
