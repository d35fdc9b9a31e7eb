package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/certvigil/certvigil/internal/fault"
)

// A checker collects what is wrong with one file, all of it, and what is
// allowed but doubtful.
type checker struct {
	file     string // as it was named
	dir      string // absolute; what relative paths count from
	layout   *layout
	getenv   func(string) (string, bool)
	problems []*fault.Error
	warnings []string
}

// fail records a problem of a key. The text must hold no secret.
func (c *checker) fail(key, hint, format string, args ...any) {
	f := fault.New(fault.Invalid, "config", "%s: %s: %s", c.place(key), key, fmt.Sprintf(format, args...))
	f.Hint = hint
	c.problems = append(c.problems, f.WithField(key))
}

func (c *checker) warn(format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

func (c *checker) place(key string) string {
	if line := c.layout.line(key); line > 0 {
		return fmt.Sprintf("%s:%d", c.file, line)
	}
	return c.file
}

// err returns nil, the one problem, or a fault that lists all of them, one to
// a line with its remedy.
func (c *checker) err() error {
	switch len(c.problems) {
	case 0:
		return nil
	case 1:
		return c.problems[0]
	}
	slices.SortStableFunc(c.problems, func(a, b *fault.Error) int {
		return cmp.Compare(c.layout.line(a.Field), c.layout.line(b.Field))
	})
	var b strings.Builder
	causes := make([]error, len(c.problems))
	fmt.Fprintf(&b, "%d problems in the configuration", len(c.problems))
	for i, p := range c.problems {
		causes[i] = p
		fmt.Fprintf(&b, "\n  %s", p.Text)
		if p.Hint != "" {
			fmt.Fprintf(&b, " (%s)", p.Hint)
		}
	}
	return &fault.Error{
		Kind: fault.Invalid, Rule: "config", Text: b.String(), Err: errors.Join(causes...),
		Hint: "each line names its own remedy; nothing of this file was applied",
	}
}
