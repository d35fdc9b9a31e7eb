package templates

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// maxBody is how much a template of one's own may write.
const maxBody = 1 << 20

// A Body is a template of somebody's own for the body of a webhook. It may be
// used concurrently.
type Body struct {
	template *template.Template
	json     bool // what it writes must be JSON
}

// A BodyData is what such a template reads. Fields may be added, never renamed;
// docs/webhooks.md lists them.
type BodyData struct {
	ID       string   // the delivery's, the same in every attempt
	Channel  string   // the channel's name
	Rule     string   // the alert rule's name
	Title    string   // the message in one line
	Text     string   // the message in plain text, a line for each entry
	Severity string   // of its most urgent entry
	Resolved bool     // all that it tells of is over
	Test     bool     // made by `channel test`; there are no entries
	Entries  []Entry  // at most Spelled, most urgent first
	More     int      // how many there are beyond them
	Lines    []string // a line for each of them; one that counts those beyond
	AdminURL string
	Now      time.Time
}

// bodyFuncs are the functions of such a template, besides those of text/template.
var bodyFuncs = template.FuncMap{
	"json": func(v any) (string, error) {
		b, err := EncodeJSON(v)
		return string(b), err
	},
	"cut":      func(n int, s string) string { return Cut(s, max(n, 1)) },
	"cutbytes": func(n int, s string) string { return CutBytes(s, max(n, len("…"))) },
	"join":     func(separator string, values []string) string { return strings.Join(values, separator) },
	"lower":    strings.ToLower,
	"upper":    strings.ToUpper,
	"markdown": escapeMarkdown,
}

// ParseBody parses a template and tries it on examples of every kind of
// message, whose texts hold quotes and backslashes: a field that is not there,
// or a text that was not encoded, is found now and not when a certificate ends.
// So is a loop that comes to no end. The error names the line.
func ParseBody(name, text, contentType string) (*Body, error) {
	t, err := template.New(name).Funcs(bodyFuncs).Parse(text)
	if err != nil {
		return nil, err
	}
	countSteps(t)
	b := &Body{template: t, json: isJSON(contentType)}
	for _, m := range bodyExamples() {
		if _, err := b.Render(m); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// isJSON reports whether a media type is JSON (RFC 6839 §3.1).
func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	media = strings.TrimSpace(media)
	return media == "application/json" || strings.HasSuffix(media, "+json")
}

// Render returns, within bounded time, what the template makes of a message:
// valid UTF-8, not empty, at most 1 MiB, and JSON when that is what its content type promises.
func (b *Body) Render(m Message) ([]byte, error) {
	data, err := m.bodyData()
	if err != nil {
		return nil, err
	}
	t, err := b.template.Clone()
	if err != nil {
		return nil, err
	}
	out := bounded{name: b.template.Name()}
	if err := t.Funcs(stepper()).Execute(&out, data); err != nil {
		return nil, err
	}
	body := bytes.ToValidUTF8(out.Bytes(), []byte("?"))
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return nil, fmt.Errorf("template: %s: it writes nothing", b.template.Name())
	case b.json:
		return body, b.checkJSON(body)
	}
	return body, nil
}

// checkJSON names the place in the output that is not JSON.
func (b *Body) checkJSON(body []byte) error {
	var v json.RawMessage
	err := json.Unmarshal(body, &v)
	if err == nil {
		return nil
	}
	line := 1
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		line += bytes.Count(body[:min(int(syntax.Offset), len(body))], []byte("\n"))
	}
	return fmt.Errorf("template: %s: line %d of what it writes is not JSON: %w", b.template.Name(), line, err)
}

// bounded is a buffer that refuses what is too much.
type bounded struct {
	bytes.Buffer
	name string
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxBody {
		return 0, fmt.Errorf("template: %s: it writes more than %d MiB", b.name, maxBody>>20)
	}
	return b.Buffer.Write(p)
}

func (m Message) bodyData() (BodyData, error) {
	text, err := RenderText(m)
	if err != nil {
		return BodyData{}, err
	}
	d := BodyData{
		ID: m.ID, Channel: OneLine(m.Channel), Rule: OneLine(m.Rule), Title: m.Headline(), Text: text, Severity: m.Severity(),
		Resolved: m.Resolved(), Test: m.Test, Lines: m.Lines(), AdminURL: m.AdminURL, Now: m.Now.UTC(),
	}
	if m.Test {
		return d, nil
	}
	for _, e := range m.Entries[:min(len(m.Entries), Spelled)] {
		d.Entries = append(d.Entries, m.Describe(e))
	}
	d.More = len(m.Entries) - len(d.Entries)
	return d, nil
}

// Lines tells each entry that is spelled out in one line, and counts the rest
// in a last one.
func (m Message) Lines() []string {
	if m.Test {
		return []string{m.Headline()}
	}
	var lines []string
	for n, e := range m.Entries {
		if n == Spelled {
			return append(lines, more(len(m.Entries)-n))
		}
		line := m.title(e)
		if e.Item != nil {
			line += " (" + e.Item.NotAfter.UTC().Format(time.RFC3339) + ")"
		}
		lines = append(lines, line)
	}
	return lines
}

// Severity is that of the most urgent entry.
func (m Message) Severity() string {
	order := []string{SeverityCritical, SeverityError, SeverityWarning}
	found := map[string]bool{}
	for _, e := range m.Entries {
		found[m.severity(e)] = true
	}
	for _, s := range order {
		if found[s] && !m.Test {
			return s
		}
	}
	return SeverityInfo
}

// Resolved reports whether everything that the message tells of is over.
func (m Message) Resolved() bool {
	for _, e := range m.Entries {
		if !e.Alert.Resolves() {
			return false
		}
	}
	return len(m.Entries) > 0 && !m.Test
}

// EncodeJSON is json.Marshal without HTML escaping, which receivers that show
// the text would have to undo.
func EncodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

var markdownEscaper = func() *strings.Replacer {
	var pairs []string
	for _, mark := range "\\`*_~|[]()<>#" {
		pairs = append(pairs, string(mark), `\`+string(mark))
	}
	return strings.NewReplacer(pairs...)
}()

// escapeMarkdown makes a text mean itself where Markdown is read.
func escapeMarkdown(s string) string { return markdownEscaper.Replace(s) }

// bodyExamples are messages of every kind.
func bodyExamples() []Message {
	now := time.Date(2026, 9, 30, 8, 0, 0, 0, time.UTC)
	sample := alert.Item{
		ID: "6f1c2f0e-3f1b-4c1e-9d64-0f6b4f6d2a11", Kind: alert.KindClient, CommonName: `Ann "\" O'Hara <a&b> 👩`,
		Subject: `CN=Ann \"\\\" O'Hara,O=Example`, Issuer: "CN=Example CA", Serial: "0A", Epoch: 1,
		NotBefore: now.Add(-300 * alert.Day), NotAfter: now.Add(10 * alert.Day), Labels: map[string]string{`te"am`: `a\b`},
	}
	entry := func(event alert.Event) alert.Entry {
		item := sample
		item.Trust, item.Watch = alert.StateAfter(event)
		a := alert.Alert{ID: alert.ID(item.ID, 1, "default", 14*alert.Day, event), Subject: item.ID, ItemID: item.ID, Epoch: 1, Rule: "default", Event: event, CreatedAt: now}
		return alert.Entry{Alert: a, Item: &item}
	}
	failure := alert.Entry{Alert: alert.NewFailure("channel:x@2026-09-30T08:00:00Z", "default", "A channel \"x\" fails\nIt says: \\", now)}
	var out []Message
	for _, entries := range [][]alert.Entry{
		{entry(alert.EventExpiring)},
		{entry(alert.EventRenewed)},
		{entry(alert.EventRevoked)},
		{entry(alert.EventIgnored)},
		{failure},
		{entry(alert.EventExpiring), entry(alert.EventRenewed), failure},
		nil,
	} {
		out = append(out, Message{
			ID: "0123456789abcdef0123456789abcdef", Channel: "example", Rule: "default", Entries: entries,
			Now: now, AdminURL: "https://certvigil.example.com", Test: len(entries) == 0,
		})
	}
	return out
}
