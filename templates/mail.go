package templates

import (
	"embed"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
)

//go:embed messages
var messageFiles embed.FS

var (
	textTemplates = texttemplate.Must(texttemplate.New("").Funcs(texttemplate.FuncMap{
		"field": field, "paragraph": paragraph, "command": command, "line": line, "mrkdwn": mrkdwn, "brief": brief,
	}).ParseFS(messageFiles, "messages/*.txt"))
	htmlTemplates = htmltemplate.Must(htmltemplate.ParseFS(messageFiles, "messages/*.html"))
)

// A Mail is the content of one mail.
type Mail struct {
	Subject string // one line, unencoded
	Text    string // at most 72 columns wide, but for what cannot be broken
	HTML    string // inline styles, no remote content
	CSV     []byte // every entry of a digest with more than Spelled; nil when it is too large
}

// RenderMail returns a message as a mail.
func RenderMail(m Message) (Mail, error) {
	v := m.view()
	mail := Mail{Subject: v.Title}
	var text, html strings.Builder
	if err := textTemplates.ExecuteTemplate(&text, "mail.txt", v); err != nil {
		return Mail{}, err
	}
	if err := htmlTemplates.ExecuteTemplate(&html, "mail.html", v); err != nil {
		return Mail{}, err
	}
	mail.Text, mail.HTML = text.String(), html.String()
	if v.Many && !m.FileTooLarge {
		mail.CSV = table(m)
	}
	return mail, nil
}

// field writes one fact, its value beside the label or, when it is to stay
// whole and would be too wide there, below it.
func field(r row) string {
	const indent = 14
	label := "  " + r.Label + strings.Repeat(" ", max(1, indent-2-len(r.Label)))
	if r.Whole {
		if len(label)+len(r.Value) > columns {
			return "  " + r.Label + "\n    " + r.Value
		}
		return label + r.Value
	}
	return label + strings.Join(wrap(r.Value, columns-indent), "\n"+strings.Repeat(" ", indent))
}

// paragraph breaks each line of a text by itself.
func paragraph(s string) string {
	var lines []string
	for line := range strings.SplitSeq(s, "\n") {
		lines = append(lines, wrap(line, columns)...)
	}
	return strings.Join(lines, "\n")
}

// command indents a command and breaks a long one with backslashes, so that
// it can still be copied as a whole.
func command(s string) string {
	if len(s)+4 > columns {
		s = strings.ReplaceAll(s, " -H ", " \\\n      -H ")
		s = strings.ReplaceAll(s, " 'http", " \\\n      'http")
	}
	return "    " + s
}

// line writes one line of the overview at the head of a digest.
func line(r overviewRow) string {
	head := "  " + padded(r.Number, 3) + padded(r.Left, 12) + padded(r.Day+" "+r.Clock, 18)
	return strings.TrimRight(head+narrow(r.What, columns-textColumns(head)), " ")
}
