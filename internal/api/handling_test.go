package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/api"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/link"
)

const handledItem = "6f1c2f0e-3f1b-4c1e-9d64-0f6b4f6d2a11"

// A desk is a Handler that remembers what it was told.
type desk struct {
	said []string
	now  time.Time
	gone bool
}

func (d *desk) item() alert.Item {
	return alert.Item{ID: handledItem, Kind: alert.KindClient, CommonName: "James Royal", NotAfter: d.now.Add(9 * alert.Day)}
}

func (d *desk) Watched(context.Context, string) (alert.Item, error) {
	if d.gone {
		return alert.Item{}, fault.New(fault.Conflict, "not_watched", "nothing is told of it")
	}
	return d.item(), nil
}

func (d *desk) say(ref string, h *alert.Handling, what string) (inventory.Handled, error) {
	if ref != handledItem {
		return inventory.Handled{}, fault.New(fault.NotFound, "no_item", "there is no item %q", ref)
	}
	d.said = append(d.said, what)
	item := d.item()
	item.Handling = h
	return inventory.Handled{Item: item}, nil
}

func (d *desk) Acknowledge(_ context.Context, ref, by string, a inventory.Actor) (inventory.Handled, error) {
	return d.say(ref, &alert.Handling{By: by, At: d.now}, "ack by "+by+" as "+a.Kind)
}

func (d *desk) Snooze(_ context.Context, ref, by string, span time.Duration, a inventory.Actor) (inventory.Handled, error) {
	until := d.now.Add(span)
	return d.say(ref, &alert.Handling{By: by, At: d.now, Until: &until}, "snooze "+span.String()+" by "+by+" as "+a.Kind)
}

func (d *desk) Resume(_ context.Context, ref string, a inventory.Actor) (inventory.Handled, error) {
	return d.say(ref, nil, "resume as "+a.Kind)
}

func newDeskBench(t *testing.T) (*bench, *desk, *link.Signer) {
	t.Helper()
	var (
		d      desk
		signer *link.Signer
	)
	b := newBench(t, func(o *api.Options) {
		var err error
		if signer, err = link.New(bytes.Repeat([]byte{7}, link.KeySize), o.Now); err != nil {
			t.Fatal(err)
		}
		d.now = o.Now()
		o.Links, o.Linked, o.Handler = signed{signer}, o.Renewer.(api.LinkRenewer), &d
	})
	return b, &d, signer
}

func TestHandling_ByToken(t *testing.T) {
	t.Parallel()
	b, d, _ := newDeskBench(t)
	write, read := b.token(t, "", nil, inventory.ScopeWrite), b.token(t, "", nil, inventory.ScopeRead)
	at := "/items/" + handledItem
	for _, tt := range []struct {
		name, target, token, body string
		status                    int
		said                      string // with a prefix of it enough
	}{
		{"acknowledge with a name", at + "/acknowledge", write, `{"by": "Ana"}`, http.StatusOK, "ack by Ana as token"},
		{"without a body, by the token's name", at + "/acknowledge", write, "", http.StatusOK, "ack by "},
		{"snooze for a span", at + "/snooze", write, `{"for": "72h", "by": "Ana"}`, http.StatusOK, "snooze 72h0m0s by Ana as token"},
		{"snooze for a day", at + "/snooze", write, `{"by": "Ana"}`, http.StatusOK, "snooze 24h0m0s by Ana as token"},
		{"take it back", at + "/resume", write, "", http.StatusOK, "resume as token"},
		{"take it back with an empty object", at + "/resume", write, "{}", http.StatusOK, "resume as token"},
		{"take it back for a span", at + "/resume", write, `{"for": "72h"}`, http.StatusBadRequest, ""},
		{"take it back in a name", at + "/resume", write, `{"by": "Ana"}`, http.StatusBadRequest, ""},
		{"no token", at + "/acknowledge", "", "", http.StatusUnauthorized, ""},
		{"a token that reads", at + "/acknowledge", read, "", http.StatusForbidden, ""},
		{"no such item", "/items/nobody/acknowledge", write, "", http.StatusNotFound, ""},
		{"a span that is none", at + "/snooze", write, `{"for": "soon"}`, http.StatusBadRequest, ""},
		{"an unknown key", at + "/acknowledge", write, `{"who": "Ana"}`, http.StatusBadRequest, ""},
		{"two values", at + "/acknowledge", write, `{} {}`, http.StatusBadRequest, ""},
		{"too much", at + "/acknowledge", write, `{"by": "` + strings.Repeat("a", 5000) + `"}`, http.StatusRequestEntityTooLarge, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d.said = nil
			w := b.do(t, call{target: tt.target, token: tt.token, body: []byte(tt.body), contentType: "application/json"})
			if w.Code != tt.status {
				t.Fatalf("status %d, want %d: %s", w.Code, tt.status, w.Body)
			}
			said := strings.Join(d.said, "; ")
			if (said == "") != (tt.said == "") || !strings.HasPrefix(said, tt.said) {
				t.Errorf("it was told %q, want %q", said, tt.said)
			}
			var done inventory.Handled
			if tt.status == http.StatusOK && (json.Unmarshal(w.Body.Bytes(), &done) != nil || done.Item.ID != handledItem) {
				t.Errorf("the answer is %s", w.Body)
			}
		})
	}
}

func TestHandling_ByLink(t *testing.T) {
	t.Parallel()
	b, d, signer := newDeskBench(t)
	path := "/handle/" + signer.Sign(link.Handle, handledItem, d.now.Add(alert.Day))
	form := func(path string, fields url.Values) (int, string) {
		w := b.do(t, call{target: path, contentType: "application/x-www-form-urlencoded", body: []byte(fields.Encode())})
		isPage(t, w, w.Code)
		return w.Code, w.Body.String()
	}
	for range 3 { // as scanners of mails do
		w := b.do(t, call{method: http.MethodGet, target: path})
		isPage(t, w, http.StatusOK)
		if !strings.Contains(w.Body.String(), `value="acknowledge"`) || !strings.Contains(w.Body.String(), "James Royal") {
			t.Fatalf("the page is\n%s", w.Body)
		}
		if code := b.do(t, call{method: http.MethodHead, target: path}).Code; code != http.StatusOK {
			t.Errorf("HEAD answers %d", code)
		}
	}
	if len(d.said) != 0 {
		t.Fatalf("looking did %v", d.said)
	}
	if code, page := form(path, url.Values{"do": {"acknowledge"}, "by": {"Ana"}}); code != http.StatusOK || !strings.Contains(page, "Acknowledged by Ana") {
		t.Errorf("%d\n%s", code, page)
	}
	if code, page := form(path, url.Values{"do": {"snooze"}, "for": {"24h0m0s"}, "by": {"Bo"}}); code != http.StatusOK || !strings.Contains(page, "Snoozed by Bo until") {
		t.Errorf("%d\n%s", code, page)
	}
	if diff := cmp.Diff([]string{"ack by Ana as link", "snooze 24h0m0s by Bo as link"}, d.said); diff != "" {
		t.Error(diff)
	}
	key := string(certtest.NewCA().KeyPEM())
	for name, tt := range map[string]struct {
		path   string
		fields url.Values
		status int
	}{
		"nothing chosen":           {path, url.Values{"by": {"Ana"}}, http.StatusBadRequest},
		"no span":                  {path, url.Values{"do": {"snooze"}}, http.StatusBadRequest},
		"a private key as name":    {path, url.Values{"do": {"acknowledge"}, "by": {key}}, http.StatusUnprocessableEntity},
		"a private key as span":    {path, url.Values{"do": {"snooze"}, "for": {key}}, http.StatusUnprocessableEntity},
		"a private key as action":  {path, url.Values{"do": {key}}, http.StatusUnprocessableEntity},
		"a link to renew":          {"/handle/" + signer.Sign(link.Renew, handledItem, d.now.Add(alert.Day)), url.Values{"do": {"acknowledge"}}, http.StatusNotFound},
		"a link that has ended":    {"/handle/" + signer.Sign(link.Handle, handledItem, d.now.Add(-time.Second)), url.Values{"do": {"acknowledge"}}, http.StatusGone},
		"a link that was made up":  {"/handle/x", url.Values{"do": {"acknowledge"}}, http.StatusNotFound},
		"a body that is too large": {path, url.Values{"do": {"acknowledge"}, "by": {strings.Repeat("a", 5000)}}, http.StatusBadRequest},
	} {
		d.said = nil
		code, page := form(tt.path, tt.fields)
		if code != tt.status || len(d.said) != 0 {
			t.Errorf("%s: %d, want %d; it did %v", name, code, tt.status, d.said)
		}
		if secret := strings.Split(key, "\n")[1]; strings.Contains(page, secret) || strings.Contains(b.log.String(), secret) {
			t.Errorf("%s: the key is shown or logged", name)
		}
	}
	d.gone = true
	if code, _ := form(path, url.Values{"do": {"acknowledge"}}); code != http.StatusGone {
		t.Errorf("of what is not watched: %d", code)
	}
	w := b.do(t, call{target: "/renew/" + signer.Sign(link.Handle, handledItem, d.now.Add(alert.Day))})
	if w.Code != http.StatusNotFound {
		t.Errorf("the link renews: %d", w.Code)
	}
}
