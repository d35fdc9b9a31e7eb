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

// used is a message about a CA and one of its clients, with what is known of
// their use.
func used() templates.Message {
	now, ca := notifiertest.Now, notifiertest.Item(alert.KindCA, "Access Testing CA", 13*alert.Day)
	client := notifiertest.Item(alert.KindClient, "device-07", 20*alert.Day)
	client.Sources = []alert.Source{
		{Kind: alert.SourceObserved, Reference: "orders.example.com", LastSeen: now.Add(-time.Hour)},
		{Kind: alert.SourceUpload, Reference: "client.pem", LastSeen: now},
		{Kind: alert.SourceObserved, Reference: "*.wild.example.com", LastSeen: now.Add(-time.Minute)},
	}
	next := notifiertest.Item(alert.KindClient, "device-07 again", 300*alert.Day)
	m := notifiertest.Message(notifiertest.Entry(ca, 14*alert.Day, alert.EventExpiring), notifiertest.Entry(client, 30*alert.Day, alert.EventExpiring)).Words()
	m.Facts = map[string]alert.Facts{
		ca.ID: {Dependents: 1204, Recent: []alert.Dependent{
			{Name: "device-07", Hostname: "orders.example.com", LastSeen: now.Add(-time.Minute)},
			{Name: "device-08", Hostname: "orders.example.com", LastSeen: now.Add(-time.Hour)},
		}},
		client.ID: {Successors: []alert.Item{next}},
	}
	return m
}

// stillUsed is used, of two that were renewed.
func stillUsed() templates.Message {
	m := used()
	for _, e := range m.Entries {
		next := notifiertest.Item(e.Item.Kind, e.Item.CommonName+" again", 300*alert.Day)
		facts := m.Facts[e.Item.ID]
		facts.Replacement, facts.Successors, e.Item.Watch = &next, nil, alert.Superseded
		m.Facts[e.Item.ID] = facts
	}
	return m
}

func TestRender_facts(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]templates.Message{"facts": used(), "still-used": stillUsed()} {
		mail, err := templates.RenderMail(m)
		if err != nil {
			t.Fatal(err)
		}
		notifiertest.Golden(t, name+".mail.txt", []byte(mail.Text))
	}
}

// TestRender_dependents counts them in words that fit the number.
func TestRender_dependents(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "no client certificate that was seen", 1: "1 client certificate seen", 2: "2 client certificates seen"} {
		m := used()
		m.Facts[m.Entries[0].Item.ID] = alert.Facts{Dependents: n}
		mail, err := templates.RenderMail(m)
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(strings.Fields(mail.Text), " "); !strings.Contains(text, want) {
			t.Errorf("%d: no %q in\n%s", n, want, mail.Text)
		}
	}
}

// TestRender_hostileFacts keeps names that clients chose from more than being
// read.
func TestRender_hostileFacts(t *testing.T) {
	t.Parallel()
	m := used()
	for id, f := range m.Facts {
		for i := range f.Recent {
			f.Recent[i].Name = fmt.Sprintf("<b>%s\r\nSubject: x\x1b[31m", strings.Repeat("x", 10_000))
		}
		m.Facts[id] = f
	}
	mail, err := templates.RenderMail(m)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(mail.HTML, "<b>x") || strings.ContainsAny(mail.Text, "\r\x1b") || strings.Contains(mail.Text, "\nSubject: x") || len(mail.Text) > 20_000 {
		t.Errorf("%d bytes:\n%.2000s", len(mail.Text), mail.Text)
	}
}

// TestRender_factsEverywhere has programs and Slack told what mails tell.
func TestRender_factsEverywhere(t *testing.T) {
	t.Parallel()
	m := used()
	slack, err := templates.RenderSlack(m)
	if err != nil {
		t.Fatal(err)
	}
	notifiertest.Golden(t, "facts.slack.txt", []byte(strings.Join(slack.Sections, "\n\n")+"\n"))
	ca, client := m.Describe(m.Entries[0]), m.Describe(m.Entries[1])
	if len(ca.Dependents) != 2 || !strings.HasPrefix(ca.UsedBy, "1204 ") || len(client.Seen) != 2 || len(client.Successors) != 1 {
		t.Errorf("%+v\n%+v", ca, client)
	}
}
