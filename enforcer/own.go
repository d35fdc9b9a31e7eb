package enforcer

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/templates"
)

// The paths under ownPrefix, and renewalPath, are the gateway's on every
// application's host name: none of them reaches an origin. Each is answered
// without a policy.
const (
	ownPrefix    = "/cdn-cgi/access/"
	certsPath    = ownPrefix + "certs"        // for everybody: public keys
	identityPath = ownPrefix + "get-identity" // for clients with a valid certificate, about themselves
	logoutPath   = ownPrefix + "logout"       // for everybody: takes the cookie back
)

func isOwn(path string) bool { return strings.HasPrefix(path, ownPrefix) || path == renewalPath }

// serveOwn answers a request whose Host was found to be right.
func (e *Enforcer) serveOwn(w http.ResponseWriter, r *http.Request, f *flight, s *snapshot, d decision) {
	f.tally.outcome = d
	switch r.URL.Path {
	case certsPath:
		serveCerts(w, r, f, s.jwks)
	case identityPath:
		e.serveIdentity(w, r, f, d)
	case logoutPath:
		e.serveLogout(w, r, f, d.site)
	case renewalPath:
		e.serveRenewal(w, r, f, d)
	default:
		e.answer(w, r, f, http.StatusNotFound)
	}
}

// An identity is what a client is told of itself: what the reference product
// tells, as far as it is true of a client without an identity provider, and
// what we know of its certificate.
type identity struct {
	CommonName  string `json:"common_name"`
	AuthStatus  string `json:"auth_status"` // of mutual TLS: "SUCCESS"
	IssuedAt    int64  `json:"iat"`
	IP          string `json:"ip"`
	Application string `json:"application,omitempty"`
	Subject     string `json:"subject"`
	Issuer      string `json:"issuer"`
	Serial      string `json:"serial"`
	Fingerprint string `json:"fingerprint"`
	NotBefore   string `json:"not_before"`
	NotAfter    string `json:"not_after"`
}

// serveIdentity fails closed: without a certificate that holds at this very
// host name the answer is the one that programs get from a denial.
func (e *Enforcer) serveIdentity(w http.ResponseWriter, r *http.Request, f *flight, d decision) {
	if !allowsRead(w, r, f) {
		return
	}
	if !d.verdict.valid {
		d.status, d.reason = http.StatusForbidden, d.verdict.reason
		e.noteRefusal(f, d)
		e.answerJSON(w, r, f, templates.WebError{Status: d.status, RequestID: f.requestID()})
		return
	}
	leaf := f.client.chain[0]
	body, err := json.Marshal(identity{
		CommonName: d.verdict.commonName, AuthStatus: "SUCCESS", IssuedAt: e.now().Unix(), IP: text(f.addr), Application: d.application(),
		Subject: cert.SubjectDN(leaf), Issuer: cert.IssuerDN(leaf), Serial: cert.Serial(leaf), Fingerprint: f.client.fingerprint(),
		NotBefore: leaf.NotBefore.UTC().Format(time.RFC3339), NotAfter: leaf.NotAfter.UTC().Format(time.RFC3339),
	})
	if err != nil {
		e.renderFailed(f, err)
		e.answer(w, r, f, http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	write(w, r, f, http.StatusOK, body)
}

// serveLogout takes the host name's cookies back. It can do no more: the
// certificate admits by itself, and the cookie never did.
func (e *Enforcer) serveLogout(w http.ResponseWriter, r *http.Request, f *flight, at *site) {
	paths := map[string]bool{}
	for _, app := range at.apps {
		if !paths[app.cookie.Path] {
			paths[app.cookie.Path] = true
			w.Header().Add("Set-Cookie", setCookie(app.cookie, "", time.Unix(1, 0)))
		}
	}
	e.answerPage(w, r, f, templates.WebError{Status: http.StatusOK, RequestID: f.requestID()})
}
