package email_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/notifier/email"
	"github.com/certvigil/certvigil/notifier/notifiertest"
)

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

// failures are the ways to fail at a stage, in the order of the table's columns.
var failures = []struct{ name, answer string }{
	{"4yz", "451 not now " + password},
	{"5yz", "550 never " + password},
	{"hang", hang},
	{"hang up", hangUp},
	{"nonsense", "HTTP/1.1 400 Bad Request"},
	{"endless", endless},
}

// TestSend_verdicts is the whole of what a server's failure leads to, by stage:
// transient ones are tried again, permanent ones are of this message alone, and
// a failing channel is announced and waits until it is mended.
func TestSend_verdicts(t *testing.T) {
	t.Parallel()
	server, client := certificate(t)
	for _, tc := range []struct {
		stage string
		want  [6]string
	}{
		//             4yz          5yz          hang         hang up      nonsense     endless
		{atGreeting, [6]string{"transient", "failing", "transient", "transient", "transient", "transient"}},
		{"EHLO", [6]string{"transient", "failing", "transient", "transient", "transient", "transient"}},
		{"STARTTLS", [6]string{"transient", "failing", "transient", "transient", "transient", "transient"}},
		{atTLS, [6]string{"failing", "failing", "transient", "transient", "failing", "failing"}}, // an answer in the clear is no TLS
		{atSecure, [6]string{"transient", "failing", "transient", "transient", "transient", "transient"}},
		{"AUTH", [6]string{"transient", "failing", "transient", "transient", "transient", "transient"}},
		{"MAIL", [6]string{"transient", "failing", "transient", "transient", "transient", "transient"}},
		{"RCPT", [6]string{"transient", "permanent", "transient", "transient", "transient", "transient"}},
		{"DATA", [6]string{"transient", "permanent", "transient", "transient", "transient", "transient"}},
		{atDot, [6]string{"transient", "permanent", "transient", "transient", "transient", "transient"}},
		{"QUIT", [6]string{"sent", "sent", "sent", "sent", "sent", "sent"}},
	} {
		for n, failure := range failures {
			t.Run(tc.stage+" "+failure.name, func(t *testing.T) {
				t.Parallel()
				o := email.Options{
					Server: script{tls: server}.with(tc.stage, failure.answer).start(t), TLSConfig: client,
					Username: username, Password: password,
				}
				if failure.answer == hang {
					o.Timeouts = email.Timeouts{Command: 200 * time.Millisecond, Data: 200 * time.Millisecond}
				}
				err := channel(t, o).Send(t.Context(), notifiertest.One())
				if got := verdict(err); got != tc.want[n] {
					t.Errorf("%s, want %s: %v", got, tc.want[n], err)
				}
				if want := tc.stage == atDot && n >= 2; notifier.IsUncertain(err) != want {
					t.Errorf("that it may have arrived is %t, want %t: %v", !want, want, err)
				}
				if err != nil && strings.Contains(err.Error(), password) {
					t.Errorf("the error tells the password: %v", err)
				}
				if failure.answer == hang && err != nil && !strings.Contains(err.Error(), "no answer in time") {
					t.Errorf("the error does not say that it took too long: %v", err)
				}
			})
		}
	}
}

// TestSend_codes: codes that mean something else than their first digit alone.
func TestSend_codes(t *testing.T) {
	t.Parallel()
	const auth = "250-mx\n250 AUTH PLAIN LOGIN"
	for _, tc := range []struct {
		name, stage, answer, want string
	}{
		{"greeting 421", atGreeting, "421 too busy", "transient"},
		{"RCPT 450 (greylisting)", "RCPT", "450 try later", "transient"},
		{"RCPT 421", "RCPT", "421 closing", "transient"},
		{"RCPT 452", "RCPT", "452 mailbox full", "transient"},
		{"RCPT 251", "RCPT", "251 will forward", "sent"},
		{"RCPT 252", "RCPT", "252 cannot verify", "sent"},
		{"MAIL wants a password", "MAIL", "530 5.7.0 authentication required", "failing"},
		{"RCPT wants a password", "RCPT", "530 5.7.0 authentication required", "failing"},
		{"DATA wants a better password", "DATA", "534 5.7.9 mechanism too weak", "failing"},
		{"final dot 552, without an attachment", atDot, "552 mailbox full", "permanent"},
		{"no AUTH", "EHLO", "250 mx", "failing"},
		{"no AUTH that we know", "EHLO", "250-mx\n250 AUTH CRAM-MD5", "failing"},
		{"AUTH asks without an end", "AUTH", "334 ", "failing"},
		{"AUTH asks what is not base64", "AUTH", "334 ?", "failing"},
		{"EHLO unknown, HELO known", "EHLO", "502 what", "failing"}, // HELO brings no AUTH
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			addr := script{}.with("EHLO", auth).with(tc.stage, tc.answer).start(t)
			o := email.Options{Server: addr, TLS: email.NoTLS, Username: username, Password: password}
			err := channel(t, o).Send(t.Context(), notifiertest.One())
			if got := verdict(err); got != tc.want {
				t.Errorf("%s, want %s: %v", got, tc.want, err)
			}
		})
	}
	t.Run("a server that knows HELO alone", func(t *testing.T) {
		t.Parallel()
		addr := script{}.with("EHLO", "500 what").start(t)
		if err := channel(t, email.Options{Server: addr, TLS: email.NoTLS}).Send(t.Context(), notifiertest.One()); err != nil {
			t.Error(err)
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
		{"STARTTLS stripped", email.Options{Server: starttls, TLSConfig: client}},
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

// Somebody on the way may add answers in the clear behind the one to STARTTLS;
// none of them counts as said over TLS.
func TestSend_injectedBeforeTLS(t *testing.T) {
	t.Parallel()
	server, client := certificate(t)
	addr := script{tls: server}.with("STARTTLS", "220 go on\n250-mx\n250 AUTH CRAM-MD5").start(t)
	o := email.Options{Server: addr, TLSConfig: client, Username: username, Password: password}
	// The handshake finds text where TLS should be, or the text is never read.
	err := channel(t, o).Send(t.Context(), notifiertest.One())
	if err != nil && strings.Contains(err.Error(), "CRAM-MD5") {
		t.Errorf("what was injected counted: %v", err)
	}
}

func TestSend_unreachable(t *testing.T) {
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

func TestSend_hangsUntilTheContextEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	c := channel(t, email.Options{Server: script{}.with(atGreeting, hang).start(t), TLS: email.NoTLS})
	if err := c.Send(ctx, notifiertest.One()); verdict(err) != "transient" {
		t.Errorf("%s: %v", verdict(err), err)
	}
}

func TestSend_hangsAtImplicitTLS(t *testing.T) {
	t.Parallel()
	addr := script{implicit: true}.with(atTLS, hang).start(t)
	c := channel(t, email.Options{Server: addr, TLS: email.ImplicitTLS, Timeouts: email.Timeouts{Command: 200 * time.Millisecond}})
	if err := c.Send(t.Context(), notifiertest.One()); verdict(err) != "transient" || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("%s: %v", verdict(err), err)
	}
}
