package templates

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of Slack's Block Kit and of its text, in characters.
const (
	slackHeader  = 150
	slackSection = 3000
	slackPlain   = 3800 // Slack advises 4,000 and cuts without a word far beyond
)

// A Slack is a message in the parts of Slack's Block Kit. Sections, Footer and
// Plain are mrkdwn with &, < and > escaped; Header and Fallback are plain text.
type Slack struct {
	Header   string   // at most 150 characters
	Sections []string // each at most 3000 characters; at most Spelled + 1 of them
	Footer   string
	Fallback string // for notifications; escaped as Slack wants it in text
	Plain    string // all of it without blocks; at most 3800 characters
}

// RenderSlack returns a message for Slack.
func RenderSlack(m Message) (Slack, error) {
	v := m.view()
	out := Slack{Header: Cut(v.Title, slackHeader)}
	entry := "slack-entry.txt"
	if !v.Single {
		entry = "slack-line.txt"
	}
	if err := out.section("slack-intro.txt", v); err != nil {
		return Slack{}, err
	}
	for _, e := range v.Entries {
		if err := out.section(entry, e); err != nil {
			return Slack{}, err
		}
	}
	if err := out.section("slack-more.txt", v); err != nil {
		return Slack{}, err
	}
	footer, err := slackText("slack-footer.txt", v)
	out.Footer, out.Fallback = footer, escape(v.Title)
	all := append([]string{"*" + mrkdwn(v.Title) + "*"}, out.Sections...)
	out.Plain = fitLines(strings.Join(all, "\n"), slackPlain-utf8.RuneCountInString(footer)-1) + "\n" + footer
	return out, err
}

// section appends a rendered part unless it is empty.
func (s *Slack) section(name string, data any) error {
	text, err := slackText(name, data)
	if text != "" {
		s.Sections = append(s.Sections, fitLines(text, slackSection))
	}
	return err
}

func slackText(name string, data any) (string, error) {
	var b strings.Builder
	err := textTemplates.ExecuteTemplate(&b, name, data)
	return strings.TrimSpace(b.String()), err
}

// fitLines drops lines from the end until s has at most n characters, and counts
// them. Nothing is cut within a line: half an entity or half a code span would
// turn what follows into something else.
func fitLines(s string, n int) string {
	lines := strings.Split(s, "\n")
	for kept := len(lines); ; kept-- {
		text := strings.Join(lines[:kept], "\n")
		if cut := len(lines) - kept; cut > 0 {
			text += fmt.Sprintf("\n_… and %d more lines_", cut)
		}
		if utf8.RuneCountInString(text) <= n || kept == 0 {
			return text
		}
	}
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func escape(s string) string { return escaper.Replace(s) }

// mrkdwn escapes a value and takes away the backtick, the one mark that could
// end the code span it is put into.
func mrkdwn(s string) string { return escape(strings.ReplaceAll(s, "`", "'")) }

// brief is mrkdwn of one line, cut until it is brief also when escaped.
func brief(s string) string {
	s = OneLine(s)
	whole := s
	for n := maxBrief; len(mrkdwn(s)) > 2*maxBrief && n > 20; n -= 20 {
		s = Cut(whole, n)
	}
	return mrkdwn(s)
}
