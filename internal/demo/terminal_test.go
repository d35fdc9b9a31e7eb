package demo

import (
	"os/exec"
	"strings"
	"testing"
)

func TestQuote(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"plain":                      "plain",
		"/tmp/a-b_c.pem":             "/tmp/a-b_c.pem",
		"https://host:1/x?item=a":    "'https://host:1/x?item=a'",
		"":                           "''",
		"two words":                  "'two words'",
		"it's":                       `'it'\''s'`,
		"$(rm -rf /)":                "'$(rm -rf /)'",
		"Authorization: Bearer cvt_": "'Authorization: Bearer cvt_'",
		"*.example.com":              "'*.example.com'",
	} {
		if got := quote(word); got != want {
			t.Errorf("quote(%q) = %s, want %s", word, got, want)
		}
		out, err := exec.Command("sh", "-c", "printf %s "+quote(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("a shell reads %s as %q (%v)", quote(word), out, err)
		}
	}
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	tell := func(color bool) string {
		var b strings.Builder
		term := &terminal{out: &b, color: color, total: 2}
		term.begin("first")
		term.command("curl", "two words")
		term.output("one\r\ntwo\n")
		term.ok("%d of %d", 1, 2)
		return b.String()
	}
	want := "\n[1/2] first\n    $ curl 'two words'\n      one\n      two\n    ✓ 1 of 2\n"
	if got := tell(false); got != want {
		t.Errorf("told\n%q, want\n%q", got, want)
	}
	if got := tell(true); !strings.Contains(got, "\x1b[32m$") || strings.Count(got, "\x1b[0m") != strings.Count(got, "\x1b[")/2 {
		t.Errorf("colours are not closed: %q", got)
	}
}

func TestShorten(t *testing.T) {
	t.Parallel()
	if got := shorten("abc", 3); got != "abc" {
		t.Errorf("%q", got)
	}
	if got := shorten("abcd", 3); got != "abc…" {
		t.Errorf("%q", got)
	}
}
