package templates

import (
	"html/template"
	"io"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// A HandlingPage is what somebody gets to see who followed a link to
// acknowledge or to snooze an item.
type HandlingPage struct {
	Now       time.Time
	RequestID string
	Item      *alert.Item     // nil with a Problem
	Snoozes   []time.Duration // that are offered
	Done      bool            // the item is as the reader wants it now
	Next      *time.Time      // when it is told of next, nil = never
	Problem   string          // why the link is good for nothing, or what was wrong
	Hint      string          // how to mend it
}

// ShowDependents is for the item as pages show it: here nobody is at stake.
func (HandlingPage) ShowDependents() bool { return false }

var handlingPage = template.Must(template.New("handling.html").Funcs(pageFuncs).Funcs(template.FuncMap{
	"hours": func(d time.Duration) int { return int(d / time.Hour) },
	"words": func(h alert.Handling) string { return clean(h.Words()) },
}).ParseFS(webFiles, "web/handling.html", "web/item.html"))

// RenderHandling writes the page. It loads no other address than that of
// [Asset] "renewal.css", by a path relative to its own.
func RenderHandling(w io.Writer, p HandlingPage) error { return handlingPage.Execute(w, p) }
