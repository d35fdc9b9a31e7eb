package templates_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/notifier/notifiertest"
	"github.com/certvigil/certvigil/templates"
)

func TestParseBody_refuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, contentType, says string }{
		{"no template", "{{", "text/plain", "own.tmpl:1: unclosed action"},
		{"no such field", "a\n{{.Nothing}}", "text/plain", "own.tmpl:2:2: executing \"own.tmpl\" at <.Nothing>"},
		{"no such field of an entry", "a{{range .Entries}}{{.Nothing}}{{end}}", "text/plain", "at <.Nothing>"},
		{"no such function", "{{env \"HOME\"}}", "text/plain", `function "env" not defined`},
		{"nothing written for a test", "{{range .Lines}}{{end}}", "text/plain", "it writes nothing"},
		{"no JSON", `{"a": "{{.Title}}"}`, "application/json", "line 1 of what it writes is not JSON"},
		{"no JSON by suffix", `a`, "application/problem+json; charset=utf-8", "is not JSON"},
		{"two values", `{} {}`, "application/json", "is not JSON"},
		{"an index that a test has not", `{{(index .Entries 0).Title}}`, "text/plain", "index out of range"},
		{"a loop without its end", "a\n{{range .Entries}}", "text/plain", "own.tmpl:2: unexpected EOF"},
		{"a loop over nothing", "{{range}}{{end}}", "text/plain", "missing value for range"},
		{"a loop that never ends", "a\n{{range 1000000000000}}{{end}}", "text/plain", "own.tmpl:2:23: executing \"own.tmpl\" at <step>: error calling step: it does not come to an end"},
		{"loops within other actions", "{{if false}}{{else}}{{with .ID}}{{range 100000}}{{range 100000}}{{end}}{{end}}{{end}}{{end}}a", "text/plain", "does not come to an end"},
		{"calls that multiply", doubling(40), "text/plain", "does not come to an end"},
		{"a function of our own", "{{step}}", "text/plain", `function "step" not defined`},
		{"endless", `{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`, "text/plain", "exceeded maximum template depth"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body, err := templates.ParseBody("own.tmpl", tt.text, tt.contentType)
			if err == nil || body != nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, %v, want %q", body, err, tt.says)
			}
		})
	}
}

// doubling is a template of n that call the next one twice.
func doubling(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{{define "t%d"}}{{template "t%d"}}{{template "t%d"}}{{end}}`, i, i+1, i+1)
	}
	return fmt.Sprintf(`%s{{define "t%d"}}{{end}}a{{template "t0"}}`, b.String(), n)
}

// A template that is good on every example may still fail on a message: that
// is an error that names the place, and nothing is written.
func TestBody_failsOnAMessage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, contentType, says string }{
		{"a field of what is not there", "a{{if .More}}\n{{.Nothing}}{{end}}", "text/plain", "own.tmpl:2:2: executing"},
		{"no JSON", `{"a": {{if .More}}x{{end}}1}`, "application/json", "is not JSON: invalid character 'x'"},
		{"too much", `{{if .More}}{{range .Entries}}{{range .Labels}}{{range $.Entries}}{{range $.Entries}}{{$.Text}}{{end}}{{end}}{{end}}{{end}}{{end}}a`, "text/plain", "it writes more than 1 MiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body, err := templates.ParseBody("own.tmpl", tt.text, tt.contentType)
			if err != nil {
				t.Fatal(err)
			}
			if out, err := body.Render(notifiertest.One().Words()); err != nil || len(out) == 0 {
				t.Errorf("a message that does no harm: %q, %v", out, err)
			}
			if _, err := body.Render(notifiertest.Digest(25).Words()); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %q", err, tt.says)
			}
		})
	}
}

func TestBody_text(t *testing.T) {
	t.Parallel()
	body, err := templates.ParseBody("own.tmpl", `{{.Title | upper | cut 20}}{{range .Entries}} {{.Kind}} {{.NotAfter.Format "2006-01-02"}} {{join "+" .Hostnames}}{{end}}`, "text/plain; charset=utf-8")
	if err != nil {
		t.Fatal(err)
	}
	got, err := body.Render(notifiertest.One().Words())
	if want := `CA CERTIFICATE "ACC… ca 2026-10-13 orders.example.com+*.internal.example.com`; err != nil || string(got) != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

func TestMessage_Severity(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"one": "warning", "expired": "critical", "digest": "critical", "failure": "error", "renewed": "info", "revoked": "info", "mixed": "critical", "test": "info",
	} {
		m := notifiertest.Samples()[name].Words()
		if got := m.Severity(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if got := m.Resolved(); got != (name == "renewed" || name == "revoked") {
			t.Errorf("%s: resolved is %t", name, got)
		}
	}
}
