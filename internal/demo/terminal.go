package demo

import (
	"fmt"
	"io"
	"strings"
)

// A terminal writes the story: numbered steps, the commands that repeat them,
// and what came back.
type terminal struct {
	out   io.Writer
	color bool
	step  int
	total int
}

func (t *terminal) style(code, s string) string {
	if !t.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (t *terminal) title(s string) {
	_, _ = fmt.Fprintf(t.out, "\n%s\n", t.style("1", s))
}

func (t *terminal) begin(s string) {
	t.step++
	_, _ = fmt.Fprintf(t.out, "\n%s %s\n", t.style("1;36", fmt.Sprintf("[%d/%d]", t.step, t.total)), t.style("1", s))
}

func (t *terminal) say(format string, args ...any) {
	_, _ = fmt.Fprintf(t.out, "      %s\n", fmt.Sprintf(format, args...))
}

// command shows what to type to repeat the step.
func (t *terminal) command(words ...string) {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	_, _ = fmt.Fprintf(t.out, "    %s %s\n", t.style("32", "$"), t.style("32", strings.Join(quoted, " ")))
}

// output shows what came back, indented and in the order of its lines.
func (t *terminal) output(s string) {
	for line := range strings.Lines(strings.TrimRight(s, "\n")) {
		_, _ = fmt.Fprintf(t.out, "      %s\n", t.style("2", strings.TrimRight(line, "\r\n")))
	}
}

func (t *terminal) ok(format string, args ...any) {
	_, _ = fmt.Fprintf(t.out, "    %s %s\n", t.style("1;32", "✓"), fmt.Sprintf(format, args...))
}

// quote makes a word safe for a POSIX shell.
func quote(word string) string {
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@%+,", r)
	}) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
