package templates

import "strings"

// RenderText returns a message as plain text, a line for each entry that is
// spelled out: the text of webhooks and the fallback of rich messages.
func RenderText(m Message) (string, error) {
	var b strings.Builder
	if err := textTemplates.ExecuteTemplate(&b, "plain.txt", m.view()); err != nil {
		return "", err
	}
	return strings.TrimSpace(b.String()), nil
}

// Fact returns the value of the row of that label, or "".
func (e entryView) Fact(label string) string {
	for _, r := range e.Rows {
		if r.Label == label {
			return r.Value
		}
	}
	return ""
}
