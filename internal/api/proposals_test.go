package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/api"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/inventory"
)

// proposed is a bench on which a CA of the same name was proposed.
func proposed(t *testing.T) (b *bench, id, fingerprint string) {
	t.Helper()
	b = newBench(t, func(o *api.Options) { o.Decider = o.Renewer.(api.Decider) })
	estate(t, b)
	stranger := certtest.NewCA(certtest.CommonName("Partner CA"), until(365*alert.Day))
	done := taken(t, b.do(t, call{token: b.token(t, "", nil, "renew"), body: stranger.PEM()}), http.StatusAccepted)
	list, err := b.store.Proposals(t.Context())
	if err != nil || len(list) != 1 || done.Proposal == nil {
		t.Fatalf("%v, %v", list, err)
	}
	return b, list[0].ID, cert.Fingerprint(stranger.Certificate)
}

func TestProposals_List(t *testing.T) {
	t.Parallel()
	b, id, fingerprint := proposed(t)
	for _, scope := range []string{"renew", "read"} {
		refused(t, b.do(t, call{method: http.MethodGet, target: "/proposals", token: b.token(t, "", nil, scope)}), http.StatusForbidden, "scope")
	}
	refused(t, b.do(t, call{method: http.MethodGet, target: "/proposals"}), http.StatusUnauthorized, "token")
	w := b.do(t, call{method: http.MethodGet, target: "/proposals", token: b.token(t, "", nil, "write")})
	var list []struct {
		ID, Fingerprint, Bundle string
		ExpiresAt               string `json:"expires_at"`
		Difference              []struct {
			Field, Warning string
			Loss           bool
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || w.Code != http.StatusOK || len(list) != 1 {
		t.Fatalf("%d, %v\n%s", w.Code, err, w.Body)
	}
	got := list[0]
	if got.ID != id || got.Fingerprint != fingerprint || got.Bundle != "partner" || got.ExpiresAt != "2026-03-31T12:00:00Z" {
		t.Errorf("%+v", got)
	}
	warned := false
	for _, d := range got.Difference {
		warned = warned || d.Field == "public_key_sha256" && d.Loss && d.Warning != ""
	}
	if !warned {
		t.Errorf("that the key is another is not said: %+v", got.Difference)
	}
}

func TestProposals_Confirm(t *testing.T) {
	t.Parallel()
	b, id, fingerprint := proposed(t)
	w := b.do(t, call{target: "/proposals/" + id + "/confirm", token: b.token(t, "", nil, "write"), body: []byte(`{"fingerprint": "` + strings.ToUpper(fingerprint) + `"}`)})
	done := taken(t, w, http.StatusCreated)
	if done.Item.Fingerprint != fingerprint || len(done.Bundles) != 1 || len(done.Bundles[0].Members) != 2 {
		t.Errorf("%+v", done)
	}
	rows, err := b.store.Audit(t.Context(), inventory.AuditFilter{})
	if err != nil || rows[0].Action != "ca.confirm" || rows[0].RequestID != w.Header().Get("X-Request-Id") {
		t.Errorf("audit %+v, %v", rows[0], err)
	}
}

func TestProposals_Decline(t *testing.T) {
	t.Parallel()
	b, id, fingerprint := proposed(t)
	token := b.token(t, "", nil, "write")
	c := call{target: "/proposals/" + id + "/decline", token: token, body: []byte(`{"fingerprint": "` + fingerprint + `"}`)}
	if w := b.do(t, c); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), fingerprint) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	refused(t, b.do(t, c), http.StatusNotFound, "no_proposal")
	if bundle, err := b.store.Bundle(t.Context(), "partner"); err != nil || len(bundle.Members) != 1 || bundle.Members[0].Item.Watch != alert.Active {
		t.Errorf("%+v, %v", bundle, err)
	}
	if rows, err := b.store.Audit(t.Context(), inventory.AuditFilter{}); err != nil || rows[0].Action != "proposal.decline" || rows[0].ActorKind != "token" {
		t.Errorf("audit %+v, %v", rows[0], err)
	}
}

func TestProposals_Refusals(t *testing.T) {
	t.Parallel()
	b, id, fingerprint := proposed(t)
	write, renew := b.token(t, "", nil, "write"), b.token(t, "", nil, "renew")
	good := `{"fingerprint": "` + fingerprint + `"}`
	for _, act := range []string{"confirm", "decline"} {
		for _, tt := range []struct {
			name, token, id, body string
			status                int
			rule                  string
		}{
			{"no token", "", id, good, 401, "token"},
			{"a renew token", renew, id, good, 403, "scope"},
			{"no body", write, id, "", 400, "json"},
			{"no object", write, id, `"` + fingerprint + `"`, 400, "json"},
			{"a wrong type", write, id, `{"fingerprint": 1}`, 400, "json"},
			{"another field", write, id, `{"fingerprint": "` + fingerprint + `", "force": true}`, 400, "json"},
			{"two objects", write, id, good + good, 400, "json"},
			{"no fingerprint", write, id, `{}`, 400, "fingerprint"},
			{"another fingerprint", write, id, `{"fingerprint": "` + strings.Repeat("0", 64) + `"}`, 422, "fingerprint"},
			{"a part of it", write, id, `{"fingerprint": "` + fingerprint[:32] + `"}`, 422, "fingerprint"},
			{"another id", write, "nobody", good, 404, "no_proposal"},
			{"too large", write, id, `{"fingerprint": "` + strings.Repeat("0", 4<<10) + `"}`, 413, "body_size"},
		} {
			t.Run(act+" "+tt.name, func(t *testing.T) {
				refused(t, b.do(t, call{target: "/proposals/" + tt.id + "/" + act, token: tt.token, body: []byte(tt.body)}), tt.status, tt.rule)
			})
		}
		refused(t, b.do(t, call{method: http.MethodGet, target: "/proposals/" + id + "/" + act, token: write}), http.StatusMethodNotAllowed, "method")
	}
	if list, err := b.store.Proposals(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("after all refusals: %v, %v", list, err)
	}
}

// TestProposals_Page: whoever asks gets the same page, without any data, which
// loads nothing of others and sends no form.
func TestProposals_Page(t *testing.T) {
	t.Parallel()
	b, id, fingerprint := proposed(t)
	w := b.do(t, call{method: http.MethodGet, target: "/proposals/page"})
	body := w.Body.String()
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	for header, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Set-Cookie": "",
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; frame-ancestors 'none'; connect-src 'self'; form-action 'none'",
	} {
		if got := w.Header().Get(header); got != want {
			t.Errorf("%s %q, want %q", header, got, want)
		}
	}
	for _, never := range []string{id, fingerprint, "partner", "style=", "<script>", "://", " name=\"token"} {
		if strings.Contains(body, never) {
			t.Errorf("the page has %q", never)
		}
	}
	for _, command := range []string{"certvigil ca list --proposed", "certvigil ca confirm --fingerprint"} {
		if _, without, _ := strings.Cut(body, "<noscript>"); !strings.Contains(without, command) {
			t.Errorf("without JavaScript the page does not name %q", command)
		}
	}
	for _, asset := range []string{"/assets/renewal.css", "/assets/proposals.js"} {
		if w := b.do(t, call{method: http.MethodGet, target: asset}); w.Code != http.StatusOK || !strings.Contains(body, `="..`+asset+`"`) {
			t.Errorf("%s: %d", asset, w.Code)
		}
	}
	script := b.do(t, call{method: http.MethodGet, target: "/assets/proposals.js"}).Body.String()
	for _, never := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "localStorage", "sessionStorage", "indexedDB", "cookie =", "location", "history"} {
		if strings.Contains(script, never) {
			t.Errorf("the script has %q", never)
		}
	}
	refused(t, b.do(t, call{target: "/proposals/page"}), http.StatusMethodNotAllowed, "method")
}
