package templates_test

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier/notifiertest"
	"github.com/certvigil/certvigil/templates"
)

// FuzzRender: whatever a certificate is called, a message is bounded, and holds
// no control character and no markup but its own.
func FuzzRender(f *testing.F) {
	worst := notifiertest.Worst().Entries[0].Item
	for _, seed := range []string{"", "device-01", worst.CommonName, worst.Subject, strings.Repeat("`", 500), "\xff\xfe", strings.Repeat("&", 700), "a\u0301\u200d👍🏽", ",,,, ,"} {
		f.Add(seed, seed, 2)
	}
	f.Fuzz(func(t *testing.T, name, other string, count int) {
		item := notifiertest.Item(alert.KindClient, name, time.Hour)
		item.Subject, item.Issuer, item.Serial = name, other, other
		item.Hostnames, item.SANs, item.Labels = []string{name, other}, []string{"dns:" + other}, map[string]string{name: other}
		var entries []alert.Entry
		for range 1 + max(count, 0)%30 {
			entries = append(entries, notifiertest.Entry(item, alert.Day, alert.EventExpiring))
		}
		m := notifiertest.Message(entries...).Words()
		mail, err := templates.RenderMail(m)
		if err != nil {
			t.Fatal(err)
		}
		if n := utf8.RuneCountInString(mail.Subject); n > 250 || strings.ContainsFunc(mail.Subject, unicode.IsControl) {
			t.Errorf("a subject of %d characters: %q", n, mail.Subject)
		}
		for line := range strings.SplitSeq(mail.Text, "\n") {
			if n := utf8.RuneCountInString(line); n > 200 || strings.ContainsFunc(line, unicode.IsControl) {
				t.Errorf("a line of %d characters: %q", n, line)
			}
		}
		slack, err := templates.RenderSlack(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range append(slack.Sections, slack.Plain) {
			if n := utf8.RuneCountInString(s); n > 3800 || strings.ContainsAny(strings.ReplaceAll(s, "<https://certvigil.example.com>", ""), "<>") {
				t.Errorf("%d characters: %q", n, s)
			}
		}
	})
}
