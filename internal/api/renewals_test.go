package api_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/inventory"
)

var local = inventory.Actor{Kind: inventory.ActorLocal, ID: "root"}

func (b *bench) addCA(t *testing.T, name string, ca *certtest.Certificate) inventory.Bundle {
	t.Helper()
	bundle, _, _, err := b.service.AddCA(t.Context(), inventory.Upload{Data: ca.PEM(), Name: name, Hostnames: []string{"orders.example.com"}, Actor: local})
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

func (b *bench) addClient(t *testing.T, c *certtest.Certificate) alert.Item {
	t.Helper()
	item, _, err := b.service.AddCertificate(t.Context(), alert.KindClient, inventory.Upload{Data: c.PEM(), Actor: local})
	if err != nil {
		t.Fatal(err)
	}
	return item
}

// estate is a CA and a client of it, both about to end, and their renewals.
func estate(t *testing.T, b *bench) (ca inventory.Bundle, client alert.Item, newCA, newClient *certtest.Certificate) {
	t.Helper()
	root := certtest.NewCA(certtest.CommonName("Partner CA"), until(20*alert.Day))
	leaf := root.Issue(certtest.CommonName("James Royal"), certtest.Client(), until(10*alert.Day))
	return b.addCA(t, "partner", root), b.addClient(t, leaf), root.Renew(until(365 * alert.Day)), leaf.Renew(until(90 * alert.Day))
}

func TestRenewals_Client(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, old, _, fresh := estate(t, b)
	token := b.token(t, "", nil, "renew")
	got := taken(t, b.do(t, call{token: token, body: fresh.PEM()}), http.StatusCreated)
	if got.Status != "renewed" || got.Replaces.ID != old.ID || got.Item.ID == old.ID || got.Replaces.Watch != alert.Superseded {
		t.Errorf("answer %+v", got)
	}
	again := taken(t, b.do(t, call{token: token, body: fresh.PEM()}), http.StatusOK)
	if diff := cmp.Diff(got, again); diff != "" {
		t.Error("the same upload again is answered otherwise:\n" + diff)
	}
	if log := b.log.String(); strings.Contains(log, "BEGIN") || strings.Contains(log, token) || !strings.Contains(log, "took a renewal") {
		t.Errorf("the log:\n%s", log)
	}
}

func TestRenewals_Form(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, old, _, fresh := estate(t, b)
	body, contentType := multipartBody(t, map[string][]byte{"certificate": fresh.PEM()})
	got := taken(t, b.do(t, call{token: b.token(t, "", nil, "renew"), target: "/renewals?item=" + old.ID, body: body, contentType: contentType}), http.StatusCreated)
	if got.Replaces.ID != old.ID {
		t.Errorf("it took the place of %s, want %s", got.Replaces.ID, old.ID)
	}
}

func TestRenewals_CAWithItsKeyIsServedAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	bundle, _, fresh, _ := estate(t, b)
	got := taken(t, b.do(t, call{token: b.token(t, "", nil, "renew"), body: fresh.PEM()}), http.StatusCreated)
	if len(got.Bundles) != 1 || got.Bundles[0].Name != "partner" || len(got.Bundles[0].Members) != 2 || got.Replaces.ID != bundle.Members[0].Item.ID {
		t.Errorf("answer %+v, want what is served now: the new CA and the old", got)
	}
}

func TestRenewals_CAWithAnotherKey(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		token  func(*testing.T, *bench, string) string
		status int
	}{
		"by a renew token is proposed":       {func(t *testing.T, b *bench, _ string) string { return b.token(t, "", nil, "renew") }, http.StatusAccepted},
		"by a token for this item is served": {func(t *testing.T, b *bench, id string) string { return b.token(t, id, nil, "renew") }, http.StatusCreated},
		"by a write token is served":         {func(t *testing.T, b *bench, _ string) string { return b.token(t, "", nil, "write") }, http.StatusCreated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			bundle, _, _, _ := estate(t, b)
			stranger := certtest.NewCA(certtest.CommonName("Partner CA"), until(365*alert.Day))
			token := tt.token(t, b, bundle.Members[0].Item.ID)
			got := taken(t, b.do(t, call{token: token, body: stranger.PEM()}), tt.status)
			if proposed := tt.status == http.StatusAccepted; (got.Proposal != nil) != proposed || (got.Status == "proposed") != proposed {
				t.Errorf("answer %+v", got)
			} else if proposed && !strings.HasSuffix(got.Next, "certvigil ca confirm --fingerprint "+got.Proposal.Fingerprint) {
				t.Errorf("a proposal says what is next as %q", got.Next)
			}
			now, err := b.store.Bundle(t.Context(), "partner")
			if err != nil {
				t.Fatal(err)
			}
			if want := map[int]int{http.StatusAccepted: 1, http.StatusCreated: 2}[tt.status]; len(now.Members) != want {
				t.Errorf("%d CAs are trusted, want %d", len(now.Members), want)
			}
		})
	}
}

func TestRenewals_Refusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	bundle, client, _, fresh := estate(t, b)
	plain := b.token(t, "", nil, "renew")
	bound := b.token(t, bundle.Members[0].Item.ID, nil, "renew")
	stranger := certtest.NewCA().Issue(certtest.CommonName("Nobody"), certtest.Client(), until(90*alert.Day))
	withKey := append(bytes.Clone(fresh.PEM()), fresh.KeyPEM()...)
	form := func(fields map[string][]byte) call {
		body, contentType := multipartBody(t, fields)
		return call{body: body, contentType: contentType}
	}
	huge := bytes.Repeat([]byte("x"), 1<<20+1)
	for _, tt := range []struct {
		name   string
		call   call
		status int
		rule   string
	}{
		{"an empty body", call{}, 400, "empty"},
		{"noise", call{body: []byte("noise")}, 400, ""},
		{"exactly the limit", call{body: huge[1:]}, 400, ""},
		{"a byte over the limit", call{body: huge}, 413, "upload_size"},
		{"a form over the limit", form(map[string][]byte{"certificate": huge}), 413, "upload_size"},
		{"a private key beside it", call{body: withKey}, 422, "private_key"},
		{"a private key in the form", form(map[string][]byte{"certificate": withKey}), 422, "private_key"},
		{"a private key in another field", form(map[string][]byte{"certificate": fresh.PEM(), "key": fresh.KeyPEM()}), 422, "private_key"},
		{"another field", form(map[string][]byte{"certificate": fresh.PEM(), "note": []byte("hello")}), 400, "form"},
		{"a form without it", form(map[string][]byte{}), 400, "form"},
		{"a form without a boundary", call{contentType: "multipart/form-data", body: []byte("x")}, 400, "form"},
		{"a form that is none", call{contentType: "multipart/form-data; boundary=b", body: []byte("x")}, 400, "form"},
		{"an unknown parameter", call{target: "/renewals?itme=" + client.ID, body: fresh.PEM()}, 400, "query"},
		{"two items", call{target: "/renewals?item=a&item=b", body: fresh.PEM()}, 400, "query"},
		{"an empty item", call{target: "/renewals?item=", body: fresh.PEM()}, 400, "query"},
		{"a query that cannot be read", call{target: "/renewals?item=%zz", body: fresh.PEM()}, 400, "query"},
		{"an unknown item", call{target: "/renewals?item=nothing", body: fresh.PEM()}, 404, "item"},
		{"nothing that it renews", call{body: stranger.PEM()}, 409, "no_candidate"},
		{"a token for another item", call{token: bound, body: fresh.PEM()}, 403, "other_item"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.call.token == "" {
				tt.call.token = plain
			}
			w := b.do(t, tt.call)
			if tt.rule == "" {
				if w.Code != tt.status {
					t.Errorf("status %d, want %d: %s", w.Code, tt.status, w.Body)
				}
				return
			}
			p := refused(t, w, tt.status, tt.rule)
			if p.Type != "urn:certvigil:problem:"+tt.rule {
				t.Errorf("type %q", p.Type)
			}
		})
	}
	item, err := b.store.Item(t.Context(), client.ID)
	if err != nil || item.Watch != alert.Active {
		t.Errorf("after all refusals the client is %s, %v; want it untouched", item.Watch, err)
	}
	if log := b.log.String(); strings.Contains(log, "PRIVATE KEY") || strings.Contains(log, "BEGIN CERT") {
		t.Error("the log has what was uploaded")
	}
}

func TestRenewals_AreAudited(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, _, _, fresh := estate(t, b)
	w := b.do(t, call{token: b.token(t, "", nil, "renew"), body: fresh.PEM()})
	taken(t, w, http.StatusCreated)
	rows, err := b.store.Audit(t.Context(), inventory.AuditFilter{Limit: 1})
	if err != nil || len(rows) != 1 {
		t.Fatalf("%d audit rows, %v", len(rows), err)
	}
	if got := rows[0]; got.Action != "item.renew" || got.ActorKind != "token" || got.RequestID != w.Header().Get("X-Request-Id") {
		t.Errorf("audit row %+v does not name the token and the request", got)
	}
}
