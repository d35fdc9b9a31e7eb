package api

import (
	"net/http"

	"github.com/certvigil/certvigil/templates"
)

// The policies of pages. Each may load its own files and nothing else.
const (
	ownFiles = "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
	// formCSP lets a page post its form to itself.
	formCSP = ownFiles + "form-action 'self'"
	// scriptCSP lets a page's script ask us, and no form be sent: what is typed
	// there could end in an address.
	scriptCSP = ownFiles + "connect-src 'self'; form-action 'none'"
)

// pageAssets are the files of pages with their types.
var pageAssets = map[string]string{
	"renewal.css": "text/css; charset=utf-8", "renewal.js": "text/javascript; charset=utf-8", "proposals.js": "text/javascript; charset=utf-8",
}

func asset(w http.ResponseWriter, r *http.Request) error {
	kind, known := pageAssets[r.PathValue("name")]
	if !known {
		return notFound(w, r)
	}
	data, err := templates.Asset(r.PathValue("name"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(data) //nolint:gosec // an embedded file of ours; the client may be gone
	return nil
}

// writeForm answers with a page that has a form. Browsers say where a form comes
// from only as far as the page's policy on referrers goes: by "no-referrer" its
// origin would be "null", like that of a foreign one. The path, which holds the
// token, is told to nobody.
func writeForm(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Referrer-Policy", "strict-origin")
	writePage(w, status, formCSP, body)
}

func writePage(w http.ResponseWriter, status int, policy string, body []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", policy)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}
