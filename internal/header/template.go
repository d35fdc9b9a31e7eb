package header

import (
	"slices"
	"strings"

	"github.com/certvigil/certvigil/internal/fault"
)

// A Placeholder names something of the client's certificate.
type Placeholder string

// The placeholders.
const (
	CN          Placeholder = "cn"
	Subject     Placeholder = "subject"
	Issuer      Placeholder = "issuer"
	Serial      Placeholder = "serial"
	Fingerprint Placeholder = "fingerprint"
	NotBefore   Placeholder = "not_before"
	NotAfter    Placeholder = "not_after"
	SANDNS      Placeholder = "san_dns"
	SANEmail    Placeholder = "san_email"
	SANURI      Placeholder = "san_uri"
	SANIP       Placeholder = "san_ip"
)

var placeholders = []Placeholder{CN, Subject, Issuer, Serial, Fingerprint, NotBefore, NotAfter, SANDNS, SANEmail, SANURI, SANIP}

// A Template is the value of a header with placeholders. It is read-only.
type Template struct{ parts []part }

// A part is a literal, or a placeholder.
type part struct {
	literal     string
	placeholder Placeholder
}

// Parse reads a template: printable ASCII in which {name} stands for a
// [Placeholder], and {{ and }} for the braces themselves. The error is a
// fault.Invalid of rule "header_template" with a hint. It repeats nothing of
// the template but a placeholder's name.
func Parse(s string) (Template, error) {
	switch {
	case s == "":
		return Template{}, bad("the template is empty")
	case strings.Trim(s, " ") != s, strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }):
		return Template{}, bad("the template has spaces around it, or holds more than printable ASCII")
	}
	var t Template
	for s != "" {
		literal, placeholder, rest, err := next(s)
		if err != nil {
			return Template{}, err
		}
		t.parts = append(t.parts, part{literal, placeholder})
		s = rest
	}
	return t, nil
}

// next splits off what s, which is not empty, begins with.
func next(s string) (literal string, p Placeholder, rest string, err error) {
	i := strings.IndexAny(s, "{}")
	switch {
	case i < 0:
		return s, "", "", nil
	case i > 0:
		return s[:i], "", s[i:], nil
	case strings.HasPrefix(s, "{{"), strings.HasPrefix(s, "}}"):
		return s[:1], "", s[2:], nil
	}
	end := strings.IndexByte(s, '}')
	if end <= 0 {
		return "", "", "", bad("a brace has no counterpart")
	}
	p = Placeholder(s[1:end])
	if !slices.Contains(placeholders, p) {
		return "", "", "", bad("%s is not known", quoted(p))
	}
	return "", p, s[end+1:], nil
}

// quoted keeps what is not meant as a placeholder, perhaps a secret, out of
// the message.
func quoted(p Placeholder) string {
	if len(p) > 32 || strings.Trim(string(p), "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "what stands in braces"
	}
	return "the placeholder {" + string(p) + "}"
}

func bad(format string, args ...any) error {
	known := make([]string, len(placeholders))
	for i, p := range placeholders {
		known[i] = "{" + string(p) + "}"
	}
	return fault.New(fault.Invalid, "header_template", format, args...).
		WithHint("known are %s; write {{ and }} for braces themselves", strings.Join(known, " "))
}

// Expand returns the template with its placeholders replaced, without spaces
// at its ends. What value returns must be safe to send: see [Escape].
func (t Template) Expand(value func(Placeholder) string) string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.placeholder != "" {
			b.WriteString(value(p.placeholder))
			continue
		}
		b.WriteString(p.literal)
	}
	return strings.Trim(b.String(), " ")
}
