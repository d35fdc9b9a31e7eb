package templates

import (
	"encoding/json"
	"html/template"
	"io"
)

// A ProposalsPage is what a holder of the scope write decides on proposed CAs
// with. It holds no data: its script asks for them with the reader's token.
type ProposalsPage struct{ RequestID string }

var proposalsPage = template.Must(template.New("proposals.html").Funcs(template.FuncMap{
	"labels": func() (string, error) {
		text, err := json.Marshal(differenceLabels)
		return string(text), err
	},
}).ParseFS(webFiles, "web/proposals.html"))

// RenderProposals writes the page. It loads the files of [Asset] "renewal.css"
// and "proposals.js" and asks for what is one step up from it, by paths relative
// to its own.
func RenderProposals(w io.Writer, p ProposalsPage) error { return proposalsPage.Execute(w, p) }
