package templates

import (
	"embed"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
)

// A RenewalStep says which of its views the renewal page shows.
type RenewalStep string

// The steps.
const (
	RenewalAsk     RenewalStep = "ask"     // shows the item and takes a certificate
	RenewalConfirm RenewalStep = "confirm" // shows the difference and asks whether to go on
	RenewalDone    RenewalStep = "done"    // says what is served or proposed now
	RenewalOver    RenewalStep = "over"    // the link is good for nothing (any more)
)

// A RenewalPage is what somebody who followed a link in a message gets to see.
type RenewalPage struct {
	Step       RenewalStep
	Now        time.Time
	RequestID  string
	Item       *alert.Item // nil for RenewalOver
	Dependents []alert.Item
	More       bool   // there may be more dependents
	Problem    string // what was wrong with what was handed in, or with the link
	Hint       string // how to mend it

	Difference []cert.Difference // changed or not
	Status     string            // what the renewal would do, or did: renewed, pending, proposed
	New        *NewCertificate
}

// A NewCertificate is the one that was handed in.
type NewCertificate struct {
	PEM         string // carried from the step RenewalConfirm to the next
	Fingerprint string
	Subject     string
	NotBefore   time.Time
	NotAfter    time.Time
	Served      []string // the bundles that hold it now
}

//go:embed assets
var assets embed.FS

// Asset returns a file that pages refer to.
func Asset(name string) ([]byte, error) { return assets.ReadFile("assets/" + name) }

// pageFuncs are what the pages of links are written with.
var pageFuncs = template.FuncMap{
	"stamp": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
	"left":  alert.FormatLeft,
	"title": func(i alert.Item) string { return kindName(i.Kind) + " “" + itemName(i) + "”" },
	"name":  itemName,
	"few":   func(values []string) string { return clean(few(values, maxValue)) },
	"clean": clean,
	"label": differenceLabel,
	// sentence makes one of the words of an error.
	"sentence": func(s string) string {
		if s = clean(s); s == "" {
			return ""
		}
		return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
	},
	"octets": func(fingerprint string) string {
		var b strings.Builder
		for i, r := range fingerprint {
			if i > 0 && i%8 == 0 {
				b.WriteByte(' ')
			}
			b.WriteRune(r)
		}
		return b.String()
	},
}

var renewalPage = template.Must(template.New("renewal.html").Funcs(pageFuncs).ParseFS(webFiles, "web/renewal.html", "web/item.html"))

// RenderRenewal writes the page. It loads no other address than the two files
// of [Asset] "renewal.css" and "renewal.js", by paths relative to its own.
func RenderRenewal(w io.Writer, p RenewalPage) error { return renewalPage.Execute(w, p) }

// ShowDependents has the page say who depends on a CA.
func (RenewalPage) ShowDependents() bool { return true }

// Losses are the differences that are to be warned of.
func (p RenewalPage) Losses() []cert.Difference {
	var losses []cert.Difference
	for _, d := range p.Difference {
		if d.Loss {
			losses = append(losses, d)
		}
	}
	return losses
}

var differenceLabels = map[string]string{
	"subject": "Subject", "key": "Key", "public_key_sha256": "Public key (SHA-256)", "sans": "Names",
	"key_usage": "Key usage", "extended_key_usage": "Extended key usage", "path_length": "Path length",
	"name_constraints": "Name constraints", "crl_distribution_points": "CRL distribution points", "ocsp": "OCSP",
	"signature": "Signature", "lifetime": "Lifetime", "validity": "Valid", "chain": "Issued by",
}

func differenceLabel(field string) string {
	if label, ok := differenceLabels[field]; ok {
		return label
	}
	return strings.ReplaceAll(field, "_", " ")
}
