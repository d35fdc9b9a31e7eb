package templates

import "strings"

// Limits of Slack's Block Kit, in characters.
const (
	slackHeader  = 150
	slackSection = 3000
)

// A Slack is a message in the parts of Slack's Block Kit. Sections and Footer
// are mrkdwn with &, < and > escaped; Header and Fallback are plain text.
type Slack struct {
	Header   string   // at most 150 characters
	Sections []string // each at most 3000 characters; at most Spelled + 1 of them
	Footer   string
	Fallback string // for notifications; escaped as Slack wants it in text
}

// RenderSlack returns a message for Slack.
func RenderSlack(m Message) (Slack, error) {
	v := m.view()
	out := Slack{Header: shorten(v.Title, slackHeader)}
	for _, part := range []struct {
		name string
		data any
	}{{"slack-intro.txt", v}, {"slack-entry.txt", nil}, {"slack-more.txt", v}} {
		if part.data != nil {
			if err := out.section(part.name, part.data); err != nil {
				return Slack{}, err
			}
			continue
		}
		for _, e := range v.Entries {
			if err := out.section(part.name, e); err != nil {
				return Slack{}, err
			}
		}
	}
	var footer strings.Builder
	if err := textTemplates.ExecuteTemplate(&footer, "slack-footer.txt", v); err != nil {
		return Slack{}, err
	}
	out.Footer = strings.TrimSpace(footer.String())
	out.Fallback = escape(v.Title)
	return out, nil
}

// section appends a rendered part unless it is empty.
func (s *Slack) section(name string, data any) error {
	var b strings.Builder
	if err := textTemplates.ExecuteTemplate(&b, name, data); err != nil {
		return err
	}
	if text := strings.TrimSpace(b.String()); text != "" {
		s.Sections = append(s.Sections, shorten(text, slackSection))
	}
	return nil
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func escape(s string) string { return escaper.Replace(s) }

// mrkdwn escapes a value and takes away the backtick, the one mark that could
// end the code span it is put into.
func mrkdwn(s string) string { return escape(strings.ReplaceAll(s, "`", "'")) }

// brief is mrkdwn, shortened until it is brief also when escaped.
func brief(s string) string {
	for n := maxBrief; len(mrkdwn(s)) > 2*maxBrief && n > 0; n -= 20 {
		s = shorten(s, n)
	}
	return mrkdwn(s)
}
