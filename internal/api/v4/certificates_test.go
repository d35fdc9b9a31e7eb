package v4_test

import (
	"crypto/md5"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/inventory"
)

// TestCertificate_Life is what Terraform does with one: create, read, change
// its hostnames, clear them, delete it.
func TestCertificate_Life(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ca := newCA("Access Testing CA", 400)
	made := b.do(http.MethodPost, base, encode(t, "name", "Allow devs", "certificate", string(ca.PEM()),
		"associated_hostnames", []string{"Orders.example.com", "admin.example.com"}, "expires_on", "0001-01-01T00:00:00Z", "fingerprint", "x"))
	got := made.certificate(t)
	want := certificate{
		ID: got.ID, CreatedAt: start, UpdatedAt: start, ExpiresOn: ca.NotAfter, Name: "Allow devs", Fingerprint: md5Of(ca),
		AssociatedHostnames: []string{"admin.example.com", "orders.example.com"},
	}
	if diff := cmp.Diff(want, got); diff != "" || made.status != http.StatusCreated || len(got.ID) != 36 {
		t.Errorf("status %d (-want +got):\n%s", made.status, diff)
	}
	if strings.Contains(made.body, "BEGIN") {
		t.Error("the answer holds the PEM")
	}
	one := base + "/" + got.ID
	for _, target := range []string{one, strings.Replace(one, "/accounts/", "/zones/", 1)} {
		read := b.do(http.MethodGet, target, "")
		if diff := cmp.Diff(want, read.certificate(t)); diff != "" || read.header.Get("ETag") != made.header.Get("ETag") || read.header.Get("ETag") == "" {
			t.Errorf("%s, ETag %q (-want +got):\n%s", target, read.header.Get("ETag"), diff)
		}
	}

	b.now = b.now.Add(time.Hour)
	renamed := b.do(http.MethodPut, one, encode(t, "name", "Devs", "associated_hostnames", []string{"orders.example.com"})).certificate(t)
	want.Name, want.UpdatedAt, want.AssociatedHostnames = "Devs", b.now, []string{"orders.example.com"}
	if diff := cmp.Diff(want, renamed); diff != "" {
		t.Errorf("renamed (-want +got):\n%s", diff)
	}
	b.do(http.MethodDelete, one, "").refused(t, http.StatusConflict, 12132, "/associated_hostnames",
		"access.api.error.conflict: certificate has active associations: orders.example.com; clear associated_hostnames first, or delete with ?force=true")

	// What the older client sends for an empty list.
	cleared := b.do(http.MethodPut, one, `{"expires_on":"0001-01-01T00:00:00Z"}`)
	if c := cleared.certificate(t); c.Name != "Devs" || c.AssociatedHostnames == nil || len(c.AssociatedHostnames) != 0 {
		t.Errorf("cleared: %s", cleared.body)
	}
	if r := b.do(http.MethodDelete, one, ""); r.status != http.StatusOK || strings.Join(strings.Fields(string(r.result)), "") != `{"id":"`+got.ID+`"}` {
		t.Errorf("deleted: %d %s", r.status, r.body)
	}
	b.do(http.MethodGet, one, "").refused(t, http.StatusNotFound, 12135, "-", "access.api.error.not_found")
	b.do(http.MethodDelete, one, "").refused(t, http.StatusNotFound, 12135, "-", "access.api.error.not_found")

	entries, err := b.store.Audit(t.Context(), inventory.AuditFilter{})
	b.ok(err)
	var actions []string
	for _, e := range entries {
		if e.ActorKind == inventory.ActorToken {
			if e.ActorID == "" || e.RequestID == "" {
				t.Errorf("the audit row is %+v", e)
			}
			actions = append(actions, e.Action)
		}
	}
	if !slices.Equal(actions, []string{"ca.remove", "item.remove", "ca.update", "ca.update", "ca.add"}) {
		t.Errorf("the audit trail tells %v", actions)
	}
}

func md5Of(c *certtest.Certificate) string {
	sum := md5.Sum(c.Raw)
	return "MD5 Fingerprint=" + strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

func TestCertificate_ForcedDeletion(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	made := b.create("root", []string{"orders.example.com"}, newCA("Root", 400).PEM())
	if r := b.do(http.MethodDelete, base+"/"+made.ID+"?force=true", ""); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}
	if list, err := b.store.Bundles(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// TestCertificate_Renewal holds that PUT with a new certificate renews in
// place, and that the same again does nothing.
func TestCertificate_Renewal(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	old := newCA("Root", 20)
	made := b.create("root", []string{"orders.example.com"}, old.PEM())
	fresh := newCA("Root", 400) // with another key
	put := func(pem []byte, hostnames ...string) reply {
		return b.do(http.MethodPut, base+"/"+made.ID, encode(t, "certificate", string(pem), "associated_hostnames", hostnames))
	}
	before := b.state()
	if r := put(old.PEM(), "orders.example.com"); r.status != http.StatusOK || b.state() != before {
		t.Errorf("the same certificate changed something: %s", r.body)
	}
	r := put(fresh.PEM(), "orders.example.com")
	got := r.certificate(t)
	if got.ID != made.ID || got.Name != "root" || !got.ExpiresOn.Equal(fresh.NotAfter) || got.Fingerprint != md5Of(fresh) || !slices.Equal(got.AssociatedHostnames, made.AssociatedHostnames) {
		t.Errorf("renewed: %s", r.body)
	}
	trust, err := b.store.Trust(t.Context())
	b.ok(err)
	if m := trust.Bundles[0].Members; len(m) != 2 || m[1].Item.Watch != alert.Superseded || m[1].Item.Trust != alert.Trusted {
		t.Errorf("trusted are %+v", m)
	}
	entries, err := b.store.Audit(t.Context(), inventory.AuditFilter{Limit: 1})
	b.ok(err)
	if e := entries[0]; e.Action != "item.renew" || e.ActorKind != inventory.ActorToken || e.RequestID == "" {
		t.Errorf("the audit row is %+v", e)
	}
	for _, again := range []*certtest.Certificate{fresh, old} {
		before := b.state()
		if r := put(again.PEM(), "orders.example.com"); r.status != http.StatusOK || b.state() != before {
			t.Errorf("a certificate that is held already changed something: %s", r.body)
		}
	}
	b.now = old.NotAfter.Add(day)
	if r := put(old.PEM()); r.status != http.StatusOK || len(r.certificate(t).AssociatedHostnames) != 0 {
		t.Errorf("the old certificate after its end: %d %s", r.status, r.body)
	}
}

func TestCertificate_RenewalOfAChain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	top := newCA("Root", 4000)
	validity := func(days int) certtest.Option {
		return certtest.Validity(start.Add(-day), start.Add(time.Duration(days)*day))
	}
	middle := top.Intermediate(certtest.CommonName("Middle"), validity(20))
	made := b.create("chain", nil, certtest.PEM(middle, top))
	if !made.ExpiresOn.Equal(middle.NotAfter) || made.Fingerprint != md5Of(middle) {
		t.Errorf("%+v", made)
	}
	fresh := top.Intermediate(certtest.CommonName("Middle"), validity(400))
	put := func(pem []byte) reply {
		return b.do(http.MethodPut, base+"/"+made.ID, encode(t, "certificate", string(pem)))
	}
	if got := put(certtest.PEM(fresh, top)).certificate(t); !got.ExpiresOn.Equal(fresh.NotAfter) || got.Fingerprint != md5Of(fresh) {
		t.Errorf("%+v", got)
	}
	before := b.state()
	other := newCA("Other", 400)
	put(other.PEM()).refused(t, http.StatusConflict, 12132, "/certificate", "upload another CA as a certificate of its own")
	newer, newest := top.Intermediate(certtest.CommonName("Middle"), validity(500)), top.Intermediate(certtest.CommonName("Middle"), validity(600))
	put(certtest.PEM(newer, newest, top)).refused(t, http.StatusConflict, 12132, "/certificate", "succeed the same one")
	if b.state() != before {
		t.Error("what was refused changed something")
	}
}

func TestCertificates_Pages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if r := b.do(http.MethodGet, base, ""); r.info == nil || len(r.certificates(t)) != 0 || r.info.TotalCount != 0 || r.info.TotalPages != 0 {
		t.Errorf("none: %s", r.body)
	}
	var names []string
	for i := range 27 {
		names = append(names, fmt.Sprintf("ca %02d", 27-i)) // not in the order of names
		b.create(names[i], nil, newCA(names[i], 10+i).PEM())
		b.now = b.now.Add(time.Second)
	}
	for _, tt := range []struct {
		query                       string
		from, to                    int
		page, perPage, total, pages int
	}{
		{"", 0, 25, 1, 25, 27, 2},
		{"?page=1&per_page=25&total_pages=0&cursor=", 0, 25, 1, 25, 27, 2},
		{"?page=2", 25, 27, 2, 25, 27, 2},
		{"?page=3", 27, 27, 3, 25, 27, 2},
		{"?page=9000000000000000000", 27, 27, 9000000000000000000, 25, 27, 2},
		{"?per_page=27", 0, 27, 1, 27, 27, 1},
		{"?per_page=10&page=3", 20, 27, 3, 10, 27, 3},
		{"?per_page=1000000", 0, 27, 1, 1000, 27, 1},
		{"?expiring_before=2026-03-14T12:00:00Z", 0, 3, 1, 25, 3, 1},
		{"?expiring_before=2026-03-14T12:00:01Z", 0, 4, 1, 25, 4, 1},
		{"?expiring_before=2026-03-14T12:00:01Z&per_page=3&page=2", 3, 4, 2, 3, 4, 2},
	} {
		r := b.do(http.MethodGet, base+tt.query, "")
		var got []string
		for _, c := range r.certificates(t) {
			got = append(got, c.Name)
		}
		if !slices.Equal(got, names[tt.from:tt.to]) {
			t.Errorf("%q lists %v", tt.query, got)
		}
		if i := r.info; i.Page != tt.page || i.PerPage != tt.perPage || i.Count != tt.to-tt.from || i.TotalCount != tt.total || i.TotalPages != tt.pages {
			t.Errorf("%q: %+v", tt.query, *i)
		}
	}
}

func TestCertificate_IfMatch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	made := b.create("root", nil, newCA("Root", 400).PEM())
	one := base + "/" + made.ID
	tag := b.do(http.MethodGet, one, "").header.Get("ETag")
	put := func(name, match string) reply {
		return b.do(http.MethodPut, one, encode(t, "name", name), "If-Match: "+match)
	}
	first := put("first", tag)
	if first.status != http.StatusOK || first.header.Get("ETag") == tag {
		t.Fatalf("%d %s", first.status, first.body)
	}
	before := b.state()
	for _, match := range []string{tag, "W/" + first.header.Get("ETag"), "nonsense", `""`} {
		put("second", match).refused(t, http.StatusPreconditionFailed, 12132, "-", "its ETag is "+first.header.Get("ETag"))
		b.do(http.MethodDelete, one, "", "If-Match: "+match).refused(t, http.StatusPreconditionFailed, 12132, "-", "If-Match")
	}
	if b.state() != before {
		t.Error("a writer that came late changed something")
	}
	for _, match := range []string{"*", `"x", ` + first.header.Get("ETag")} {
		if r := put("first", match); r.status != http.StatusOK {
			t.Errorf("%s: %d %s", match, r.status, r.body)
		}
	}
	if r := b.do(http.MethodDelete, one, "", "If-Match: "+first.header.Get("ETag")); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestCertificate_Warnings(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	late := certtest.NewCA(certtest.CommonName("Later"), certtest.Validity(start.Add(day), start.Add(400*day)))
	r := b.do(http.MethodPost, base, encode(t, "name", "later", "certificate", string(late.PEM())))
	if r.status != http.StatusCreated || len(r.message) != 1 || r.message[0].Code != 12199 || !strings.Contains(r.message[0].Message, "not valid before") {
		t.Errorf("%d %s", r.status, r.body)
	}
}
