package header_test

import (
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/header"
)

func TestCheckName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		ok   bool
	}{
		{"X-CERT-SERIAL", true},
		{"x_cert_serial", true},
		{"X-SSL-Client-Verify", true}, // of another gateway: origins may wait for it
		{"X-Client-Cert", true},
		{"Authorization", true},
		{strings.Repeat("a", header.MaxName), true},
		{strings.Repeat("a", header.MaxName+1), false},
		{"", false},
		{"X Cert", false},
		{"X-Cert:", false},
		{"X-Cert\r\nHost", false},
		{"X-Zertifikät", false},
		{"Host", false},
		{"COOKIE", false},
		{"content-length", false},
		{"Content_Length", false},
		{"Transfer-Encoding", false},
		{"transfer.encoding", false},
		{"Connection", false},
		{"Keep-Alive", false},
		{"TE", false},
		{"Trailer", false},
		{"Upgrade", false},
		{"Proxy", false},
		{"Proxy-Authorization", false},
		{"Forwarded", false},
		{"Cf-Access-Jwt-Assertion", false},
		{"CF-Connecting-IP", false},
		{"cf_cert_verified", false},
		{"Client-Cert", false},
		{"Client_Cert_Chain", false},
		{"X-Forwarded-For", false},
		{"x_forwarded_client_cert", false},
	} {
		err := header.CheckName(tt.name)
		if (err == nil) != tt.ok {
			t.Errorf("%q: %v, want accepted: %t", tt.name, err, tt.ok)
		}
		if err != nil && (fault.KindOf(err) != fault.Invalid || fault.Hint(err) == "") {
			t.Errorf("%q: kind %v, hint %q", tt.name, fault.KindOf(err), fault.Hint(err))
		}
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"X-Cert-CN", "x_cert_cn", "X.CERT-cn", "x~cert|cn"} {
		if got := header.Fold(name); got != "x-cert-cn" {
			t.Errorf("%q folds to %q", name, got)
		}
	}
}

// named replaces each placeholder by its name in angle brackets.
func named(p header.Placeholder) string { return "<" + string(p) + ">" }

func TestTemplate(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"{serial}":                 "<serial>",
		"cn={cn}; serial={serial}": "cn=<cn>; serial=<serial>",
		"{cn}{subject}{issuer}{fingerprint}{not_before}{not_after}{san_dns}{san_email}{san_uri}{san_ip}": "<cn><subject><issuer><fingerprint><not_before><not_after><san_dns><san_email><san_uri><san_ip>",
		"gateway":               "gateway",
		"{{":                    "{",
		"}}":                    "}",
		"{{cn}}":                "{cn}",
		"{{{cn}}}":              "{<cn>}",
		`{{"cn":"{cn}"}}`:       `{"cn":"<cn>"}`,
		"a}}b{{c":               "a}b{c",
		`\u00e4 $1 %s {serial}`: `\u00e4 $1 %s <serial>`,
	} {
		template, err := header.Parse(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if got := template.Expand(named); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestParse_Refuses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":             "the template is empty",
		" {cn}":        "spaces around it",
		"{cn} ":        "spaces around it",
		"{cn}\r\nX: y": "printable ASCII",
		"{cn}\x00":     "printable ASCII",
		"Größe {cn}":   "printable ASCII",
		"\xff":         "printable ASCII",
		"{":            "a brace has no counterpart",
		"}":            "a brace has no counterpart",
		"{cn":          "a brace has no counterpart",
		"cn}":          "a brace has no counterpart",
		"{cn}}":        "a brace has no counterpart",
		"{{cn}":        "a brace has no counterpart",
		"{}":           "the placeholder {} is not known",
		"{CN}":         "what stands in braces is not known",
		"{ cn }":       "what stands in braces is not known",
		"{dn}":         "the placeholder {dn} is not known",
		"{s3cr3t}":     "what stands in braces is not known",
	} {
		_, err := header.Parse(in)
		if err == nil {
			t.Errorf("%q is accepted", in)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%q: %q, want %q in it", in, err, want)
		}
		if hint := fault.Hint(err); !strings.Contains(hint, "{cn} {subject}") || !strings.Contains(hint, "{{ and }}") {
			t.Errorf("%q: hint %q", in, hint)
		}
	}
}

func TestEscape(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, also, want string }{
		{"", "", ""},
		{"James Royal", "", "James Royal"},
		{"São Paulo", "", `S\u00c3\u00a3o Paulo`},
		{"a\r\nHost: b\x00\x7f", "", `a\u000d\u000aHost: b\u0000\u007f`},
		{" a ", "", `\u0020a\u0020`},
		{" ", "", `\u0020`},
		{`S\u00c3`, `\`, `S\u005cu00c3`},
		{`S\u00c3`, "", `S\u00c3`},
		{"a,b", `\,`, `a\u002cb`},
		{"\xff", "", `\u00ff`},
	} {
		if got := header.Escape(tt.in, tt.also); got != tt.want {
			t.Errorf("%q became %q, want %q", tt.in, got, tt.want)
		}
	}
	if got := header.JoinEscaped([]string{"a", "", "b,c", `d\`}); got != `a,b\u002cc,d\u005c` {
		t.Errorf("the list became %q", got)
	}
}

// FuzzTemplate holds that a template is refused or yields a value that HTTP
// takes, whatever the certificate says, and that quoted braces are literal.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"{serial}", "cn={cn}", "{{{cn}}}", "{", "}", "{cn", "{dn}", "a}}b{{c", " ", "\r\n", "{{", "{}", "é"} {
		f.Add(s, "James\r\nHost: x")
		f.Add("x "+s, "")
	}
	braces := strings.NewReplacer("{", "{{", "}", "}}")
	f.Fuzz(func(t *testing.T, s, value string) {
		if template, err := header.Parse(s); err == nil {
			got := template.Expand(func(header.Placeholder) string { return header.Escape(value, `\`) })
			if !httpguts.ValidHeaderFieldValue(got) || strings.Trim(got, " ") != got {
				t.Errorf("%q became %q", s, got)
			}
		}
		template, err := header.Parse(braces.Replace(s))
		if err != nil {
			return
		}
		if got := template.Expand(named); got != s {
			t.Errorf("%q, quoted, became %q", s, got)
		}
	})
}

// FuzzEscape holds that values arrive and that no two are taken for one.
func FuzzEscape(f *testing.F) {
	f.Add("a,b", "a")
	f.Add(`S\u00c3`, "S\xc3")
	f.Add(" a", "a")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := header.JoinEscaped([]string{a}), header.JoinEscaped([]string{b})
		if !httpguts.ValidHeaderFieldValue(x) || strings.Trim(x, " ") != x {
			t.Errorf("%q became %q", a, x)
		}
		if (a == b) != (x == y) {
			t.Errorf("%q and %q became %q and %q", a, b, x, y)
		}
	})
}
