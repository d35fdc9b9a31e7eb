package email_test

import (
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/notifier/email"
	"github.com/certvigil/certvigil/notifier/notifiertest"
)

// delivered sends a message and returns the one mail that arrived.
func delivered(t *testing.T, m notifier.Message) (received, *mail.Message) {
	t.Helper()
	addr, b := serve(t, nil, false)
	if err := channel(t, email.Options{Server: addr, TLS: email.NoTLS}).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := b.mails()
	if len(got) != 1 {
		t.Fatalf("%d mails", len(got))
	}
	return got[0], read(t, got[0].data)
}

func read(t *testing.T, raw string) *mail.Message {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	return m
}

// Readers put mails together that refer to the same one, which here no mail is.
func TestSend_threads(t *testing.T) {
	t.Parallel()
	item := *notifiertest.One().Entries[0].Item
	about := func(m notifier.Message, recipient string) string {
		m.Recipient = recipient
		_, parsed := delivered(t, m)
		references := parsed.Header.Get("References")
		if parsed.Header.Get("In-Reply-To") != references {
			t.Errorf("In-Reply-To %q, References %q", parsed.Header.Get("In-Reply-To"), references)
		}
		if references != "" && references == parsed.Header.Get("Message-Id") {
			t.Error("the mail refers to itself")
		}
		return references
	}
	const oncall = "oncall@example.com"
	first := about(notifiertest.Message(notifiertest.Entry(item, 30*alert.Day, alert.EventExpiring)), oncall)
	if first == "" {
		t.Fatal("a mail about one item belongs to no thread")
	}
	other := item
	other.ID = "99999999-5f60-4718-93a4-b5c6d7e8f901"
	later := notifiertest.Message(notifiertest.Entry(item, 14*alert.Day, alert.EventExpiring))
	later.ID, later.Rule, later.Now = "another", "another", later.Now.Add(16*alert.Day)
	for _, tc := range []struct {
		name      string
		m         notifier.Message
		recipient string
		want      bool
	}{
		{"the same item, later and by another rule", later, oncall, true},
		{"the same item, renewed", notifiertest.Renewed(), oncall, true},
		{"the same recipient, in capitals", later, "OnCall@Example.com", true},
		{"another recipient", later, "boss@example.com", false},
		{"another item", notifiertest.Message(notifiertest.Entry(other, 30*alert.Day, alert.EventExpiring)), oncall, false},
	} {
		if got := about(tc.m, tc.recipient) == first; got != tc.want {
			t.Errorf("%s: in the thread %t, want %t", tc.name, got, tc.want)
		}
	}
	for name, m := range map[string]notifier.Message{"digest": notifiertest.Digest(3), "failure": notifiertest.Failure(), "test": notifiertest.Test()} {
		if got := about(m, oncall); got != "" {
			t.Errorf("%s: in the thread %s", name, got)
		}
	}
}

func TestSend_listID(t *testing.T) {
	t.Parallel()
	for channel, want := range map[string]string{
		"oncall-mail": "Certvigil <oncall-mail.certvigil.example.com>",
		"On Call / 2": "Certvigil <on-call---2.certvigil.example.com>",
		"当番":          "Certvigil <channel.certvigil.example.com>",
	} {
		m := notifiertest.One()
		m.Channel = channel
		if _, parsed := delivered(t, m); parsed.Header.Get("List-Id") != want {
			t.Errorf("%q: %q, want %q", channel, parsed.Header.Get("List-Id"), want)
		}
	}
}

// What goes over the wire passes every server: lines of at most 998 octets
// (RFC 5321 §4.5.3.1.6), and nothing but ASCII.
func TestSend_lines(t *testing.T) {
	t.Parallel()
	samples := notifiertest.Samples()
	samples["worst"] = notifiertest.Worst()
	long := notifiertest.One()
	long.Recipient = `"` + strings.Repeat("very long ", 6) + `"@example.com`
	long.AdminURL = "https://example.com/" + strings.Repeat("a", 2000)
	samples["long"] = long
	for name, m := range samples {
		got, _ := delivered(t, m)
		for line := range strings.SplitSeq(got.data, "\r\n") {
			if len(line) > 998 {
				t.Errorf("%s: a line of %d octets: %.80s…", name, len(line), line)
			}
			if strings.ContainsFunc(line, func(r rune) bool { return r >= 0x7f || r < ' ' && r != '\t' }) {
				t.Errorf("%s: more than ASCII: %q", name, line)
			}
		}
	}
}

func TestSend_dotStuffing(t *testing.T) {
	t.Parallel()
	m := notifiertest.Failure()
	m.Entries[0].Alert.Detail = "A failure\n.\n..two\n.one\nQUIT"
	got, _ := delivered(t, m)
	if text := parts(t, got.data); !strings.Contains(text, "\n.\n..two\n.one\nQUIT\n") {
		t.Errorf("lines with dots did not arrive as they were:\n%s", text)
	}
}

func TestSend_addresses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, from, to string
		utf8           bool // the server offers SMTPUTF8
		want           string
		rcpt, header   string
		asked          bool // for SMTPUTF8
	}{
		{"plain", from, "oncall@example.com", true, "sent", "oncall@example.com", "oncall@example.com", false},
		{"quoted", from, `"on call"@example.com`, false, "sent", `on call@example.com`, `"on call"@example.com`, false},
		{"domain beyond ASCII", from, "oncall@münchen.example", false, "sent", "oncall@xn--mnchen-3ya.example", "oncall@xn--mnchen-3ya.example", false},
		{"sender's domain beyond ASCII", "certvigil@münchen.example", "oncall@example.com", false, "sent", "oncall@example.com", "oncall@example.com", false},
		{"recipient beyond ASCII", from, "müller@münchen.example", true, "sent", "müller@münchen.example", "müller@münchen.example", true},
		{"recipient beyond ASCII, server not", from, "müller@example.com", false, "permanent", "", "", false},
		{"sender beyond ASCII, server not", "müller@example.com", "oncall@example.com", false, "failing", "", "", false},
		{"a domain that is none", from, "oncall@mün--.-chen.example", false, "permanent", "", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := &backend{}
			addr := b.serve(t, nil, false, func(s *smtp.Server) { s.EnableSMTPUTF8 = tc.utf8 })
			c, err := email.New(email.Options{Server: addr, TLS: email.NoTLS, From: tc.from})
			if err != nil {
				t.Fatal(err)
			}
			m := notifiertest.One()
			m.Recipient = tc.to
			if err := c.Send(t.Context(), m); verdict(err) != tc.want {
				t.Fatalf("%s, want %s: %v", verdict(err), tc.want, err)
			}
			if tc.want != "sent" {
				return
			}
			got := b.mails()[0]
			if header := read(t, got.data).Header.Get("To"); got.to != tc.rcpt || got.utf8 != tc.asked || strings.Trim(header, "<>") != tc.header {
				t.Errorf("RCPT %q, To %q, SMTPUTF8 %t", got.to, header, got.utf8)
			}
		})
	}
}

// An alert without its table is better than none.
func TestSend_tooLarge(t *testing.T) {
	t.Parallel()
	digest := notifiertest.Digest(500)
	t.Run("by the size that the server announces", func(t *testing.T) {
		t.Parallel()
		b := &backend{}
		addr := b.serve(t, nil, false, func(s *smtp.Server) { s.MaxMessageBytes = 150_000 })
		if err := channel(t, email.Options{Server: addr, TLS: email.NoTLS}).Send(t.Context(), digest); err != nil {
			t.Fatal(err)
		}
		isBare(t, b.mails()[0].data)
	})
	for _, stage := range []string{"MAIL", atDot} {
		t.Run("by 552 at "+stage, func(t *testing.T) {
			t.Parallel()
			// Once refused, always refused: the second transaction of the same
			// session ends with the server's words too, as the verdict.
			addr := script{}.with(stage, "552 5.3.4 too big").start(t)
			err := channel(t, email.Options{Server: addr, TLS: email.NoTLS}).Send(t.Context(), digest)
			if want := map[string]string{"MAIL": "failing", atDot: "permanent"}[stage]; verdict(err) != want {
				t.Errorf("%s, want %s: %v", verdict(err), want, err)
			}
		})
	}
	t.Run("within the size", func(t *testing.T) {
		t.Parallel()
		got, _ := delivered(t, digest)
		if !strings.Contains(parts(t, got.data), "certvigil-alerts.csv") {
			t.Error("no file is attached")
		}
	})
}

func isBare(t *testing.T, raw string) {
	t.Helper()
	text := parts(t, raw)
	if strings.Contains(text, "certvigil-alerts.csv") || !strings.Contains(text, "480 more are not listed here. The table of all 500 is larger") {
		t.Errorf("the mail does not say that its table was left out:\n%.3000s", text)
	}
}

// Ten thousand items make a mail that common servers take.
func TestSend_tenThousand(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	got, _ := delivered(t, notifiertest.Digest(10_000))
	t.Logf("%d bytes after %s", len(got.data), time.Since(begun))
	if len(got.data) > 10_000_000 {
		t.Errorf("a mail of %d bytes", len(got.data))
	}
}
