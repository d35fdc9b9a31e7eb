package templates_test

import (
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/notifier/notifiertest"
	"github.com/certvigil/certvigil/templates"
)

// samples are those that every channel shares, and what mails have beyond them.
func samples() map[string]notifier.Message {
	all := notifiertest.Samples()
	all["worst"] = notifiertest.Worst()
	return all
}

func TestRender_golden(t *testing.T) {
	t.Parallel()
	for name, m := range samples() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mail, err := templates.RenderMail(m.Words())
			if err != nil {
				t.Fatal(err)
			}
			text, err := templates.RenderText(m.Words())
			if err != nil {
				t.Fatal(err)
			}
			notifiertest.Golden(t, name+".mail.txt", []byte("Subject: "+mail.Subject+"\n\n"+mail.Text))
			notifiertest.Golden(t, name+".mail.html", []byte(mail.HTML))
			notifiertest.Golden(t, name+".plain.txt", []byte(text+"\n"))
		})
	}
}

func TestRenderMail_width(t *testing.T) {
	t.Parallel()
	for name, m := range samples() {
		mail, err := templates.RenderMail(m.Words())
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(mail.Text) {
			line = strings.TrimRight(line, "\n")
			if n := terminalColumns(line); n > 72 && !strings.Contains(line, "://") {
				t.Errorf("%s: %d columns: %q", name, n, line)
			}
		}
	}
}

// terminalColumns counts what a terminal shows, of the scripts in the samples.
func terminalColumns(line string) int {
	n := utf8.RuneCountInString(line)
	for _, r := range line {
		if r >= 0x4e00 && r <= 0x9fff || r >= 0x1f300 && r <= 0x1faff {
			n++
		}
	}
	return n
}

func TestRenderMail_worstTable(t *testing.T) {
	t.Parallel()
	var entries []alert.Entry
	for range 21 {
		entries = append(entries, notifiertest.Worst().Entries...)
	}
	mail, err := templates.RenderMail(notifiertest.Message(entries...).Words())
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(mail.CSV))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		for _, c := range r {
			if n := utf8.RuneCountInString(c); n > 1001 || strings.ContainsAny(c, "\r\n\x00\x1b\u202e") || strings.HasPrefix(c, "=") {
				t.Errorf("a cell of %d characters: %.80q", n, c)
			}
		}
	}
}

func TestRenderMail_digest(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		entries  int
		spelled  int
		attached int
	}{
		{"one below the limit", 19, 19, 0},
		{"exactly at the limit", 20, 20, 0},
		{"one above the limit", 21, 20, 21},
		{"ten thousand", 10_000, 20, 10_000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			mail, err := templates.RenderMail(notifiertest.Digest(tc.entries).Words())
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Count(mail.Text, "SHA-256"); got != tc.spelled {
				t.Errorf("%d spelled out, want %d", got, tc.spelled)
			}
			more := fmt.Sprintf("%d more", tc.entries-tc.spelled)
			if got := strings.Contains(mail.Text, more); got != (tc.attached > 0) {
				t.Errorf("counts %q: %v", more, got)
			}
			rows := 0
			if mail.CSV != nil {
				all, err := csv.NewReader(strings.NewReader(string(mail.CSV))).ReadAll()
				if err != nil {
					t.Fatal(err)
				}
				rows = len(all) - 1
			}
			if rows != tc.attached {
				t.Errorf("%d rows attached, want %d", rows, tc.attached)
			}
		})
	}
}

// hostile is what somebody's certificate might be called.
const hostile = "x\r\nBcc: all@example.com\r\n\r\n<script>alert(1)</script>\u202e<!channel>&`*_=cmd()"

func hostileMessage() templates.Message {
	item := notifiertest.Item(alert.KindClient, hostile, time.Hour)
	item.Hostnames, item.Bundles, item.SANs = []string{hostile}, []string{hostile}, []string{"dns:" + hostile}
	item.Issuer, item.Serial = hostile, "=1+1"
	return notifiertest.Message(notifiertest.Entry(item, alert.Day, alert.EventExpiring)).Words()
}

func TestRender_hostile(t *testing.T) {
	t.Parallel()
	m := hostileMessage()
	mail, err := templates.RenderMail(m)
	if err != nil {
		t.Fatal(err)
	}
	slack, err := templates.RenderSlack(m)
	if err != nil {
		t.Fatal(err)
	}
	text, err := templates.RenderText(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, got, never string }{
		{"line break in the subject", mail.Subject, "\n"},
		{"carriage return in the subject", mail.Subject, "\r"},
		{"forged line in the text", mail.Text, "\nBcc:"},
		{"forged line in the plain text", text, "\nBcc:"},
		{"text turned round", mail.Text + mail.HTML + text, "\u202e"},
		{"markup in HTML", mail.HTML, "<script"},
		{"Slack command in a section", strings.Join(slack.Sections, ""), "<!channel>"},
		{"Slack command in the fallback", slack.Fallback, "<!channel>"},
		{"code span broken", strings.Join(slack.Sections, ""), "&amp;`*"},
	} {
		if strings.Contains(tc.got, tc.never) {
			t.Errorf("%s: %q in\n%s", tc.name, tc.never, tc.got)
		}
	}
}

func TestRenderMail_csvFormula(t *testing.T) {
	t.Parallel()
	m := notifiertest.Digest(21).Words()
	m.Entries[0].Item.CommonName = "=cmd()"
	mail, err := templates.RenderMail(m)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(mail.CSV), ",'=cmd(),") {
		t.Errorf("a formula is not defused:\n%s", mail.CSV)
	}
}

func TestRenderSlack_limits(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("&<>a,", 5000)
	var entries []alert.Entry
	for range 1000 {
		item := notifiertest.Item(alert.KindCA, long, time.Hour)
		item.Subject, item.Issuer, item.Serial = long, long, long
		item.Hostnames = strings.Split(strings.Repeat("orders.example.com ", 500), " ")
		item.Bundles, item.SANs = item.Hostnames, item.Hostnames
		entries = append(entries, notifiertest.Entry(item, alert.Day, alert.EventExpiring))
	}
	got, err := templates.RenderSlack(notifiertest.Message(entries...).Words())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Sections); n != templates.Spelled+1 {
		t.Errorf("%d sections, want %d", n, templates.Spelled+1)
	}
	if n := utf8.RuneCountInString(got.Header); n > 150 {
		t.Errorf("header of %d characters", n)
	}
	for _, s := range got.Sections {
		if n := utf8.RuneCountInString(s); n > 3000 {
			t.Errorf("section of %d characters", n)
		}
	}
	if !strings.Contains(got.Sections[0], " more`") {
		t.Errorf("a long list of hostnames is cut without a count:\n%s", got.Sections[0])
	}
}

func TestMessage_Headline(t *testing.T) {
	t.Parallel()
	ca := func(left time.Duration) alert.Entry {
		return notifiertest.Entry(notifiertest.Item(alert.KindCA, "Root", left), 14*alert.Day, alert.EventExpiring)
	}
	event := func(e alert.Event) alert.Entry {
		return notifiertest.Entry(notifiertest.Item(alert.KindClient, "James Royal", alert.Day), 0, e)
	}
	unnamed := ca(alert.Day)
	unnamed.Item.CommonName, unnamed.Item.SANs = "", []string{"dns:a.example.com"}
	for _, tc := range []struct {
		name    string
		entries []alert.Entry
		want    string
	}{
		{"days and hours", []alert.Entry{ca(13*alert.Day + 4*time.Hour)}, `CA certificate "Root" expires in 13 d 4 h`},
		{"at the very end", []alert.Entry{ca(0)}, `CA certificate "Root" expires in less than a minute`},
		{"expired", []alert.Entry{ca(-3 * alert.Day)}, `CA certificate "Root" expired 3 d ago`},
		{"renewed", []alert.Entry{event(alert.EventRenewed)}, `Client certificate "James Royal" was renewed`},
		{"revoked", []alert.Entry{event(alert.EventRevoked)}, `Client certificate "James Royal" was revoked`},
		{"no common name", []alert.Entry{unnamed}, `CA certificate "a.example.com" expires in 1 d`},
		{"digest", []alert.Entry{ca(-alert.Day), ca(alert.Day), event(alert.EventRenewed)}, `1 expired, 1 expiring, 1 renewed; CA certificate "Root" expired 1 d ago`},
		{"nothing", nil, "Nothing to tell"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := notifiertest.Message(tc.entries...).Words().Headline(); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestMessage_Headline_later(t *testing.T) {
	t.Parallel()
	m := notifiertest.One().Words()
	m.Now = m.Now.Add(10 * alert.Day)
	if got, want := m.Headline(), `CA certificate "Access Testing CA" expires in 3 d 4 h`; got != want {
		t.Errorf("a message that went late says %q, want %q", got, want)
	}
}
