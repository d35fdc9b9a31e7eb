package api_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/api"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/link"
)

// signed opens tokens as the daemon does.
type signed struct{ *link.Signer }

func (s signed) OpenRenewal(token string) (string, error) { return s.Open(link.Renew, token) }

func (s signed) OpenHandling(token string) (string, error) { return s.Open(link.Handle, token) }

// A linkBench is a bench with links.
type linkBench struct {
	*bench

	signer *link.Signer
}

func newLinkBench(t *testing.T) linkBench {
	t.Helper()
	out := linkBench{}
	var now func() time.Time
	out.bench = newBench(t, func(o *api.Options) {
		now = o.Now
		signer, err := link.New(bytes.Repeat([]byte{7}, link.KeySize), now)
		if err != nil {
			t.Fatal(err)
		}
		out.signer = signer
		o.Links, o.Linked = signed{signer}, o.Renewer.(api.LinkRenewer)
	})
	return out
}

func (b linkBench) path(i alert.Item) string {
	return "/renew/" + b.signer.Sign(link.Renew, i.ID, i.NotAfter)
}

// post sends the page's form.
func (b linkBench) post(t *testing.T, path string, fields map[string][]byte) *httptest.ResponseRecorder {
	t.Helper()
	body, contentType := multipartBody(t, fields)
	return b.do(t, call{target: path, body: body, contentType: contentType})
}

// preview hands in a certificate and returns what the confirmation page would
// post.
func (b linkBench) preview(t *testing.T, path string, data []byte) (page string, confirm map[string][]byte) {
	t.Helper()
	w := b.post(t, path, map[string][]byte{"certificate": data, "step": []byte("preview")})
	isPage(t, w, http.StatusOK)
	hidden := regexp.MustCompile(`<input type="hidden" name="certificate" value="([^"]+)">`).FindStringSubmatch(w.Body.String())
	if hidden == nil || !strings.Contains(w.Body.String(), `name="step" value="confirm"`) {
		t.Fatalf("nothing to confirm in\n%s", w.Body)
	}
	return w.Body.String(), map[string][]byte{"certificate": []byte(strings.ReplaceAll(hidden[1], "&#43;", "+")), "step": []byte("confirm")}
}

// isPage holds an answer to what every page has.
func isPage(t *testing.T, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	h := w.Header()
	if w.Code != status || h.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("status %d with %q, want %d and a page\n%s", w.Code, h.Get("Content-Type"), status, w.Body)
	}
	csp := h.Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("CSP %q", csp)
	}
	if h.Get("Referrer-Policy") != "strict-origin" || h.Get("Cache-Control") != "no-store" || h.Get("Set-Cookie") != "" {
		t.Errorf("headers %v", h)
	}
	if body := w.Body.String(); strings.Contains(body, "style=") || regexp.MustCompile(`<script>|\son[a-z]+=`).MatchString(body) {
		t.Error("the page has inline script or style, which its policy forbids")
	}
}

func TestLinks_RenewByPage(t *testing.T) {
	t.Parallel()
	b := newLinkBench(t)
	bundle, _, fresh, _ := estate(t, b.bench)
	old := bundle.Members[0].Item
	path := b.path(old)

	w := b.do(t, call{method: http.MethodGet, target: path})
	isPage(t, w, http.StatusOK)
	for _, want := range []string{"CA certificate “Partner CA”", "2026-03-21 12:00 UTC", "in 20 d", "orders.example.com", "partner", "1 known client certificate: James Royal", `enctype="multipart/form-data"`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	page, confirm := b.preview(t, path, fresh.PEM())
	if !strings.Contains(page, "Nothing is lost") || !strings.Contains(page, "Lifetime") {
		t.Errorf("the difference is not in\n%s", page)
	}
	w = b.post(t, path, confirm)
	isPage(t, w, http.StatusCreated)
	if body := w.Body.String(); !strings.Contains(body, "Renewed CA certificate “Partner CA”") || !strings.Contains(body, "It is trusted in partner, for clients of orders.example.com") {
		t.Errorf("what is served is not in\n%s", body)
	}
	if now := b.bundle(t); len(now.Members) != 2 || now.Members[0].Item.Fingerprint != cert.Fingerprint(fresh.Certificate) {
		t.Errorf("served: %+v", now.Members)
	}
	rows, err := b.store.Audit(t.Context(), inventory.AuditFilter{})
	if err != nil || rows[0].ActorKind != "link" || rows[0].ActorID != old.ID || rows[0].RequestID != w.Header().Get("X-Request-Id") {
		t.Errorf("audit %+v, %v", rows[0], err)
	}
	if log := b.log.String(); strings.Contains(log, strings.TrimPrefix(path, "/renew/")[:30]) || strings.Contains(log, "BEGIN") || !strings.Contains(log, "route=\"POST /renew/{token}\"") {
		t.Errorf("the log:\n%s", log)
	}
}

func (b linkBench) bundle(t *testing.T) inventory.Bundle {
	t.Helper()
	out, err := b.store.Bundle(t.Context(), "partner")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLinks_File takes DER from the file button, as it takes PEM.
func TestLinks_File(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]func(*certtest.Certificate) []byte{
		"PEM": func(c *certtest.Certificate) []byte { return c.PEM() }, "DER": func(c *certtest.Certificate) []byte { return c.Raw },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newLinkBench(t)
			_, client, _, fresh := estate(t, b.bench)
			w := b.post(t, b.path(client), map[string][]byte{"file": content(fresh), "certificate": []byte(" \r\n"), "step": []byte("preview")})
			isPage(t, w, http.StatusOK)
			if !strings.Contains(w.Body.String(), "What differs") {
				t.Errorf("no preview:\n%s", w.Body)
			}
		})
	}
}

// TestLinks_ASelfMadeCA gains nothing by a link and silences nothing.
func TestLinks_ASelfMadeCA(t *testing.T) {
	t.Parallel()
	b := newLinkBench(t)
	bundle, _, _, _ := estate(t, b.bench)
	path := b.path(bundle.Members[0].Item)
	stranger := certtest.NewCA(certtest.CommonName("Partner CA"), until(365*alert.Day))
	page, confirm := b.preview(t, path, stranger.PEM())
	if !strings.Contains(page, "Propose this CA") || !strings.Contains(page, "another key") {
		t.Errorf("what it comes to is not in\n%s", page)
	}
	if list, err := b.store.Proposals(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("a preview proposes: %v, %v", list, err)
	}
	w := b.post(t, path, confirm)
	isPage(t, w, http.StatusAccepted)
	if !strings.Contains(w.Body.String(), "certvigil ca confirm --fingerprint "+cert.Fingerprint(stranger.Certificate)) {
		t.Errorf("the next step is not in\n%s", w.Body)
	}
	if now := b.bundle(t); len(now.Members) != 1 || now.Members[0].Item.Watch != alert.Active {
		t.Errorf("%+v, want the old CA alone, watched as before", now.Members)
	}
	isPage(t, b.do(t, call{method: http.MethodGet, target: path}), http.StatusOK) // the link is good for the right one
}

// TestLinks_Scanner follows the link as programs do that scan mails.
func TestLinks_Scanner(t *testing.T) {
	t.Parallel()
	b := newLinkBench(t)
	bundle, _, _, _ := estate(t, b.bench)
	path := b.path(bundle.Members[0].Item)
	before, err := b.store.DataVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodGet, http.MethodOptions, http.MethodPut, http.MethodDelete} {
		for _, query := range []string{"", "?step=confirm", "?step=confirm&certificate=x"} {
			b.do(t, call{method: method, target: path + query, body: []byte("step=confirm"), contentType: "application/x-www-form-urlencoded"})
		}
	}
	if after, err := b.store.DataVersion(t.Context()); err != nil || after != before {
		t.Errorf("the store was written to, %v", err)
	}
	isPage(t, b.do(t, call{method: http.MethodGet, target: path}), http.StatusOK)
}

func TestLinks_Useless(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		before func(*testing.T, linkBench, inventory.Bundle)
		path   func(good string) string
		status int
	}{
		{"after the end", func(_ *testing.T, b linkBench, _ inventory.Bundle) { b.now = start.Add(20*alert.Day + time.Second) }, nil, http.StatusGone},
		{"when the CA was removed", func(t *testing.T, b linkBench, ca inventory.Bundle) {
			if _, err := b.service.RemoveCA(t.Context(), ca.ID, local); err != nil {
				t.Fatal(err)
			}
		}, nil, http.StatusGone},
		{"when the CA was revoked", func(t *testing.T, b linkBench, ca inventory.Bundle) {
			if err := b.store.SetTrust(t.Context(), ca.Members[0].Item.ID, alert.Revoked, local); err != nil {
				t.Fatal(err)
			}
		}, nil, http.StatusGone},
		{"tampered with", nil, func(good string) string { return good[:20] + "x" + good[21:] }, http.StatusNotFound},
		{"cut off", nil, func(good string) string { return good[:len(good)-4] }, http.StatusNotFound},
		{"made up", nil, func(string) string { return "/renew/" + strings.Repeat("A", 78) }, http.StatusNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newLinkBench(t)
			bundle, _, fresh, _ := estate(t, b.bench)
			path := b.path(bundle.Members[0].Item)
			if tt.before != nil {
				tt.before(t, b, bundle)
			}
			if tt.path != nil {
				path = tt.path(path)
			}
			w := b.do(t, call{method: http.MethodGet, target: path})
			isPage(t, w, tt.status)
			if body := w.Body.String(); strings.Contains(body, "Partner CA") || strings.Contains(body, "<form") {
				t.Errorf("the page tells of the item:\n%s", body)
			}
			rows, err := b.store.Audit(t.Context(), inventory.AuditFilter{})
			if err != nil {
				t.Fatal(err)
			}
			isPage(t, b.post(t, path, map[string][]byte{"certificate": fresh.PEM(), "step": []byte("confirm")}), tt.status)
			if after, err := b.store.Audit(t.Context(), inventory.AuditFilter{}); err != nil || len(after) != len(rows) {
				t.Errorf("the store was changed, %v", err)
			}
		})
	}
}

// TestLinks_OneUse: after its renewal a link opens nothing, and names what took
// the place.
func TestLinks_OneUse(t *testing.T) {
	t.Parallel()
	b := newLinkBench(t)
	bundle, client, fresh, freshClient := estate(t, b.bench)
	path := b.path(bundle.Members[0].Item)
	isPage(t, b.post(t, path, map[string][]byte{"certificate": fresh.PEM(), "step": []byte("confirm")}), http.StatusCreated)
	for _, data := range [][]byte{fresh.PEM(), fresh.Renew(until(500 * alert.Day)).PEM(), freshClient.PEM()} {
		w := b.post(t, path, map[string][]byte{"certificate": data, "step": []byte("confirm")})
		isPage(t, w, http.StatusGone)
		if !strings.Contains(w.Body.String(), cert.Fingerprint(fresh.Certificate)) {
			t.Errorf("what took the place is not in\n%s", w.Body)
		}
	}
	if item, err := b.store.Item(t.Context(), client.ID); err != nil || item.Watch != alert.Active {
		t.Errorf("the client is %s, %v", item.Watch, err)
	}
}

func TestLinks_Refusals(t *testing.T) {
	t.Parallel()
	b := newLinkBench(t)
	bundle, client, fresh, freshClient := estate(t, b.bench)
	path := b.path(bundle.Members[0].Item)
	field := func(name string, data []byte) map[string][]byte {
		return map[string][]byte{name: data, "step": []byte("confirm")}
	}
	withKey := append(bytes.Clone(fresh.PEM()), fresh.KeyPEM()...)
	for _, tt := range []struct {
		name   string
		path   string
		fields map[string][]byte
		status int
		says   string
	}{
		{"nothing", path, field("certificate", nil), 400, "no certificate was handed in"},
		{"noise", path, field("certificate", []byte("noise")), 400, ""},
		{"both", path, map[string][]byte{"certificate": fresh.PEM(), "file": fresh.PEM()}, 400, "a file was chosen and text was pasted"},
		{"a private key", path, field("certificate", withKey), 422, "private key"},
		{"a private key as the file", path, field("file", fresh.KeyDER()), 422, "private key"},
		{"a private key elsewhere", path, map[string][]byte{"certificate": fresh.PEM(), "key": fresh.KeyPEM()}, 422, "private key"},
		{"an unknown field", path, map[string][]byte{"certificate": fresh.PEM(), "item": []byte(client.ID)}, 400, "unknown or repeated field"},
		{"an unknown step", path, map[string][]byte{"certificate": fresh.PEM(), "step": []byte("go")}, 400, "no step"},
		{"over the limit", path, field("file", bytes.Repeat([]byte("x"), 1<<20)), 413, "larger than"},
		{"another item's certificate", path, field("certificate", freshClient.PEM()), 422, "is not a CA"},
		{"a client's by another CA", b.path(client), field("certificate", certtest.NewCA(certtest.CommonName("Partner CA")).Issue(certtest.CommonName("James Royal"), certtest.Client(), until(90*alert.Day)).PEM()), 422, "no CA stored here has issued"},
		{"the present one", path, field("certificate", cert.EncodePEM(bundle.Members[0].Certificate)), 422, "does not end later"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := b.post(t, tt.path, tt.fields)
			isPage(t, w, tt.status)
			body := w.Body.String()
			if !strings.Contains(strings.ToLower(body), strings.ToLower(tt.says)) || !strings.Contains(body, "<form") {
				t.Errorf("%q is not beside a form in\n%s", tt.says, body)
			}
			if strings.Contains(body, "BEGIN PRIVATE") || strings.Contains(body, "MII") {
				t.Error("the page shows what was handed in")
			}
		})
	}
	if now := b.bundle(t); len(now.Members) != 1 || now.Members[0].Item.Watch != alert.Active {
		t.Errorf("after all refusals: %+v", now.Members)
	}
	if w := b.do(t, call{target: path, body: fresh.PEM()}); w.Code != http.StatusBadRequest {
		t.Errorf("a body that is no form: %d", w.Code)
	}
	if log := b.log.String(); strings.Contains(log, "PRIVATE KEY") {
		t.Error("the log has what was handed in")
	}
}

// TestLinks_Guessing is slowed down, and does not hinder who has a link.
func TestLinks_Guessing(t *testing.T) {
	t.Parallel()
	b := newLinkBench(t)
	bundle, _, _, _ := estate(t, b.bench)
	codes := map[int]int{}
	for range 15 {
		codes[b.do(t, call{method: http.MethodGet, target: "/renew/guess"}).Code]++
	}
	if codes[http.StatusNotFound] != 10 || codes[http.StatusTooManyRequests] != 5 {
		t.Errorf("answers %v", codes)
	}
	isPage(t, b.do(t, call{method: http.MethodGet, target: b.path(bundle.Members[0].Item)}), http.StatusOK)
}

func TestLinks_Assets(t *testing.T) {
	t.Parallel()
	b := newLinkBench(t)
	for target, kind := range map[string]string{"/assets/renewal.css": "text/css; charset=utf-8", "/assets/renewal.js": "text/javascript; charset=utf-8"} {
		w := b.do(t, call{method: http.MethodGet, target: target})
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != kind || w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Body.Len() == 0 {
			t.Errorf("%s: %d %v", target, w.Code, w.Header())
		}
	}
	for _, target := range []string{"/assets/", "/assets/other.css", "/assets/..%2fweb%2frenewal.html"} {
		if w := b.do(t, call{method: http.MethodGet, target: target}); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
}

// TestLinks_None: without links there is no page.
func TestLinks_None(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	refused(t, b.do(t, call{method: http.MethodGet, target: "/renew/x"}), http.StatusNotFound, "route")
	if _, err := api.New(api.Options{Renewer: b.service, Tokens: b.store, Links: signed{}}); err == nil || fault.Rule(err) != "" {
		t.Errorf("links that nobody carries out: %v", err)
	}
}
