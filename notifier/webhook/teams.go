package webhook

import (
	"fmt"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/templates"
)

// maxTeams is how large a message to a webhook of Teams may be: 28 KB, which
// are taken for thousands.
const maxTeams = 28_000

// maxNamed is how long a list of names for people is, in characters.
const maxNamed = 500

// A teamsMessage is what the workflow "when a webhook request is received" of
// Teams takes: one Adaptive Card.
type teamsMessage struct {
	Type        string            `json:"type"`
	Attachments []teamsAttachment `json:"attachments"`
}

type teamsAttachment struct {
	ContentType string    `json:"contentType"`
	ContentURL  *string   `json:"contentUrl"`
	Content     teamsCard `json:"content"`
}

type teamsCard struct {
	Schema       string         `json:"$schema"`
	Type         string         `json:"type"`
	Version      string         `json:"version"`
	FallbackText string         `json:"fallbackText"`
	MSTeams      map[string]any `json:"msteams"`
	Body         []teamsElement `json:"body"`
}

// A teamsElement is an element of the card, or a run of text in one. Texts from
// outside are in runs alone: those are shown as they are, where a text block or
// a fact would be read as Markdown, with its links.
type teamsElement struct {
	Type      string         `json:"type"`
	Style     string         `json:"style,omitempty"`
	Separator bool           `json:"separator,omitempty"`
	Spacing   string         `json:"spacing,omitempty"`
	Items     []teamsElement `json:"items,omitempty"`   // of a container
	Inlines   []teamsElement `json:"inlines,omitempty"` // of a rich text block
	Actions   []teamsAction  `json:"actions,omitempty"` // of an action set
	Text      string         `json:"text,omitempty"`    // of a run
	Size      string         `json:"size,omitempty"`
	Weight    string         `json:"weight,omitempty"`
	Color     string         `json:"color,omitempty"`
	Subtle    bool           `json:"isSubtle,omitempty"`
}

type teamsAction struct {
	Type  string `json:"type"`
	Title string `json:"title"`
	URL   string `json:"url"`
}

func teams(m notifier.Message) ([]byte, error) {
	words := m.Words()
	var entries []teamsElement
	if !m.Test {
		for _, e := range m.Entries[:min(len(m.Entries), templates.Spelled)] {
			entries = append(entries, teamsEntry(words, e))
		}
	}
	for shown := len(entries); ; shown-- {
		body, err := templates.EncodeJSON(newTeamsMessage(m, entries[:shown]))
		if err != nil || len(body) <= maxTeams || shown == 0 {
			return body, err
		}
	}
}

// newTeamsMessage shows these entries, and counts the others of the message.
func newTeamsMessage(m notifier.Message, entries []teamsElement) teamsMessage {
	words := m.Words()
	color := "Default"
	switch words.Severity() {
	case templates.SeverityCritical, templates.SeverityError:
		color = "Attention"
	case templates.SeverityWarning:
		color = "Warning"
	}
	if words.Resolved() {
		color = "Good"
	}
	body := []teamsElement{rich(teamsElement{Text: words.Headline(), Size: "Large", Weight: "Bolder", Color: color})}
	if m.Test {
		body = append(body, rich(teamsElement{Text: "This is a test message from Certvigil at " + m.AdminURL + ". Nothing is wrong and nothing is to be done."}))
	}
	body = append(body, entries...)
	if more := len(m.Entries) - len(entries); more > 0 && !m.Test {
		body = append(body, rich(teamsElement{Text: fmt.Sprintf("and %d more that are not spelled out here: certvigil cert list --expiring 30d", more), Weight: "Bolder"}))
	}
	footer := "Certvigil"
	if m.Rule != "" {
		footer += " · rule " + templates.Cut(templates.OneLine(m.Rule), 100)
	}
	body = append(body, rich(teamsElement{Text: footer + " · delivery " + m.ID, Size: "Small", Subtle: true}))
	return teamsMessage{Type: "message", Attachments: []teamsAttachment{{
		ContentType: "application/vnd.microsoft.card.adaptive",
		Content: teamsCard{
			Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4",
			FallbackText: words.Headline(), MSTeams: map[string]any{"width": "Full"}, Body: body,
		},
	}}}
}

// teamsEntry is one entry with its facts, and buttons for what a person can do.
func teamsEntry(words templates.Message, e alert.Entry) teamsElement {
	f := words.Describe(e)
	c := teamsElement{Type: "Container", Separator: true}
	if len(words.Entries) > 1 { // else it is the headline
		c.Items = append(c.Items, rich(teamsElement{Text: f.Title, Weight: "Bolder"}))
	}
	for line := range strings.SplitSeq(f.Detail, "\n") {
		if line != "" {
			c.Items = append(c.Items, rich(teamsElement{Text: line}))
		}
	}
	for _, fact := range teamsFacts(f, e) {
		if fact[1] != "" {
			block := rich(teamsElement{Text: fact[0] + ": ", Subtle: true}, teamsElement{Text: fact[1]})
			block.Spacing = "None"
			c.Items = append(c.Items, block)
		}
	}
	if f.Advice != "" {
		c.Items = append(c.Items, rich(teamsElement{Text: f.Advice}))
	}
	if len(f.Links) > 0 {
		set := teamsElement{Type: "ActionSet"}
		for _, l := range f.Links {
			set.Actions = append(set.Actions, teamsAction{Type: "Action.OpenUrl", Title: l.Words(), URL: l.URL})
		}
		c.Items = append(c.Items, set)
	}
	return c
}

func teamsFacts(f templates.Entry, e alert.Entry) [][2]string {
	ends := ""
	if !f.NotAfter.IsZero() {
		ends = f.NotAfter.Format(time.RFC3339) + " (" + f.TimeLeft + ")"
	}
	return [][2]string{
		{"Ends", ends},
		{"Subject", f.Subject},
		{"Issuer", f.Issuer},
		{"Serial", f.Serial},
		{"SHA-256", f.Fingerprint},
		{"Hostnames", hostnames(e)},
		{"Bundles", bundles(e)},
		{"In use by", f.UsedBy},
		{"Renewed by", f.RenewedBy},
	}
}

// hostnames names an item's first host names for people, and counts the rest.
func hostnames(e alert.Entry) string {
	if e.Item == nil {
		return ""
	}
	return templates.Few(e.Item.Hostnames, maxNamed)
}

// bundles is hostnames for bundles.
func bundles(e alert.Entry) string {
	if e.Item == nil {
		return ""
	}
	return templates.Few(e.Item.Bundles, maxNamed)
}

// rich is a block of text that is shown as it is.
func rich(runs ...teamsElement) teamsElement {
	for i := range runs {
		runs[i].Type = "TextRun"
	}
	return teamsElement{Type: "RichTextBlock", Inlines: runs}
}
