package webhook_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/notifier/notifiertest"
	"github.com/certvigil/certvigil/notifier/webhook"
	"github.com/certvigil/certvigil/templates"
)

// vendors hold what the documented templates write to what their receivers take.
var vendors = map[string]func(t *testing.T, body []byte){
	"own": func(*testing.T, []byte) {},
	"discord": func(t *testing.T, body []byte) {
		m := decode[struct {
			Mentions struct{ Parse []string } `json:"allowed_mentions"`
			Embeds   []struct {
				Title, Description string
				Color              int
			}
		}](t, body)
		if len(m.Embeds) != 1 || m.Mentions.Parse == nil || m.Embeds[0].Title == "" || m.Embeds[0].Description == "" {
			t.Fatalf("%.300s", body)
		}
		e := m.Embeds[0]
		atMost(t, "title", units(e.Title), 256)
		atMost(t, "description", units(e.Description), 4096)
		atMost(t, "embed", units(e.Title+e.Description), 6000)
		for _, s := range []string{e.Title, e.Description} {
			if open := regexp.MustCompile(`(^|[^\\])[*_~<\[\]` + "`" + `|#]`).FindString(s); open != "" {
				t.Errorf("%q would be read as Markdown in %.300q", open, s)
			}
		}
	},
	"google-chat": func(t *testing.T, body []byte) {
		atMost(t, "message", len(body), 32_000)
		m := decode[struct {
			Text  string
			Cards []struct {
				Card struct {
					Sections []struct{ Widgets []map[string]json.RawMessage }
				}
			} `json:"cardsV2"`
		}](t, body)
		if len(m.Cards) != 1 || m.Text != "" {
			t.Fatalf("%.300s", body)
		}
		if text := string(m.Cards[0].Card.Sections[0].Widgets[0]["textParagraph"]); strings.ContainsAny(text, "<>") {
			t.Errorf("mark-up in %.300s", text)
		}
	},
	"opsgenie": func(t *testing.T, body []byte) {
		m := decode[struct {
			Message, Alias, Description, Priority string
			Tags                                  []string
		}](t, body)
		atMost(t, "message", units(m.Message), 130)
		atMost(t, "alias", units(m.Alias), 512)
		atMost(t, "description", units(m.Description), 15_000)
		if m.Message == "" || m.Alias == "" || !regexp.MustCompile(`^P[1-5]$`).MatchString(m.Priority) || len(m.Tags) != 2 {
			t.Errorf("%.300s", body)
		}
	},
	"ntfy": func(t *testing.T, body []byte) {
		m := decode[struct {
			Topic, Title, Message string
			Priority              int
			Tags                  []string
		}](t, body)
		atMost(t, "message", len(m.Message), 4096)
		atMost(t, "body", len(body), 8192)
		if m.Topic == "" || m.Message == "" || m.Priority < 1 || m.Priority > 5 || len(m.Tags) != 1 {
			t.Errorf("%.300s", body)
		}
	},
}

// documented matches a template of the documents with the file that it is in.
var documented = regexp.MustCompile("(?s)template_file = \"([a-z-]+)\\.tmpl\".*?```gotemplate\n(.*?)```")

// TestDocs_Templates: the templates that people copy work, on every sample and
// on the worst.
func TestDocs_Templates(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	found := documented.FindAllStringSubmatch(string(text), -1)
	if len(found) != len(vendors) {
		t.Fatalf("%d templates in the document, want %d", len(found), len(vendors))
	}
	messages := notifiertest.WorstCases()
	for name, m := range notifiertest.Samples() {
		messages["plain-"+name] = m
	}
	for _, example := range found {
		vendor, source := example[1], example[2]
		body, err := templates.ParseBody(vendor+".tmpl", source, "application/json")
		if err != nil {
			t.Fatal(err)
		}
		for name, m := range messages {
			t.Run(vendor+"/"+name, func(t *testing.T) {
				t.Parallel()
				server, got := receive(t, nil)
				c := channel(t, webhook.Options{URL: server.URL, Format: webhook.FormatTemplate, Template: body})
				if err := c.Send(t.Context(), m); err != nil {
					t.Fatal(err)
				}
				r := <-got
				vendors[vendor](t, r.body)
				wantHarmless(t, string(r.body))
				if plain, ok := strings.CutPrefix(name, "plain-"); ok && slices.Contains([]string{"one", "renewed", "long-digest"}, plain) {
					notifiertest.Golden(t, "docs-"+vendor+"-"+plain, indent(t, r.body))
				}
			})
		}
	}
}
