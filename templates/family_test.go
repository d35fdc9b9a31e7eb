package templates_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier/notifiertest"
	"github.com/certvigil/certvigil/templates"
)

// Certificates of one CA that are known from handshakes alone are one entry of
// a digest, where the first of them stands.
func TestRender_family(t *testing.T) {
	t.Parallel()
	var entries []alert.Entry
	for i := range 60 {
		item := notifiertest.Item(alert.KindClient, fmt.Sprintf("device-%02d", i), time.Duration(10+i)*alert.Day)
		item.Sources = []alert.Source{{Kind: alert.SourceObserved, Reference: "orders.example.com"}}
		if i%2 == 1 {
			item.Issuer = "CN=Other CA"
		}
		if i == 59 {
			item.Sources = append(item.Sources, alert.Source{Kind: alert.SourceUpload})
		}
		entries = append(entries, notifiertest.Entry(item, 90*alert.Day, alert.EventExpiring))
	}
	m := notifiertest.Message(entries...).Words()
	mail, err := templates.RenderMail(m)
	if err != nil {
		t.Fatal(err)
	}
	text, err := templates.RenderText(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`30 client certificates of "CN=Access Testing CA,OU=Access,O=Example Corp,L=Austin,ST=Texas,C=US" that were only seen expire, the first in 10 d`,
		`29 client certificates of "CN=Other CA" that were only seen expire, the first in 11 d`,
		`Client certificate "device-59" expires in 69 d`,
	} {
		if !strings.Contains(text, want) || !strings.Contains(strings.Join(strings.Fields(mail.Text), " "), want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Count(text, "\n") != 3 || strings.Contains(text, "more are not") {
		t.Errorf("it is not told in three lines:\n%s", text)
	}
	if len(mail.CSV) == 0 || strings.Count(string(mail.CSV), "\n") != 61 {
		t.Errorf("the table has %d lines", strings.Count(string(mail.CSV), "\n"))
	}
}
