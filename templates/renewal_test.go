package templates_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/notifier/notifiertest"
	"github.com/certvigil/certvigil/templates"
)

// renewalPages are all views of the page by name.
func renewalPages() map[string]templates.RenewalPage {
	item := notifiertest.Item(alert.KindCA, "Access Testing CA", 13*alert.Day+4*time.Hour)
	var dependents []alert.Item
	for _, name := range []string{"James Royal", "scanner-01", "scanner-02", "scanner-03", "scanner-04", "scanner-05"} {
		dependents = append(dependents, notifiertest.Item(alert.KindClient, name, 60*alert.Day))
	}
	fresh := &templates.NewCertificate{
		PEM: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", Fingerprint: strings.Repeat("0123abcd", 8), Subject: item.Subject,
		NotBefore: notifiertest.Now.Add(-time.Hour), NotAfter: notifiertest.Now.Add(365 * alert.Day), Served: []string{"access-testing"},
	}
	same := []cert.Difference{
		{Field: "subject", Before: item.Subject, After: item.Subject},
		{Field: "key", Before: "ECDSA P-256", After: "ECDSA P-256"},
		{Field: "extended_key_usage", Before: "any", After: "any"},
		{Field: "crl_distribution_points", Before: "http://crl.example.com/access.crl", After: "http://crl.example.com/access.crl"},
		{Field: "lifetime", Before: "365 days", After: "366 days"},
		{Field: "validity", Before: "2025-10-13T12:00:00Z to 2026-10-13T12:00:00Z", After: "2026-09-30T07:00:00Z to 2027-09-30T08:00:00Z"},
	}
	lost := append([]cert.Difference{}, same...)
	lost[1] = cert.Difference{Field: "key", Before: "RSA 4096", After: "RSA 2048", Loss: true, Warning: "the new key is the weaker one: RSA 2048 in place of RSA 4096"}
	lost[3] = cert.Difference{Field: "crl_distribution_points", Before: "http://crl.example.com/access.crl", After: "", Loss: true, Warning: "whoever looks for revocation lists there finds none for the new certificate: http://crl.example.com/access.crl"}
	page := func(step templates.RenewalStep, change func(*templates.RenewalPage)) templates.RenewalPage {
		p := templates.RenewalPage{Step: step, Now: notifiertest.Now, RequestID: "XYZ234", Item: &item, Dependents: dependents, New: fresh, Difference: same, Status: "renewed"}
		change(&p)
		return p
	}
	client := notifiertest.Item(alert.KindClient, "James Royal", 9*alert.Day)
	client.SANs = []string{"dns:james.example.com", "email:james@example.com"}
	client.Sources = []alert.Source{{Kind: alert.SourceObserved, Reference: "orders.example.com", LastSeen: notifiertest.Now.Add(-time.Hour)}}
	return map[string]templates.RenewalPage{
		"ask":    page(templates.RenewalAsk, func(*templates.RenewalPage) {}),
		"client": page(templates.RenewalAsk, func(p *templates.RenewalPage) { p.Item, p.Dependents = &client, nil }),
		"refused": page(templates.RenewalAsk, func(p *templates.RenewalPage) {
			p.Problem, p.Hint = "the new certificate's subject is not that of the present one (CN=Access Testing CA)", "issue it with the same subject, or add it as a certificate of its own"
		}),
		"confirm":  page(templates.RenewalConfirm, func(*templates.RenewalPage) {}),
		"losses":   page(templates.RenewalConfirm, func(p *templates.RenewalPage) { p.Difference, p.Status = lost, "proposed" }),
		"renewed":  page(templates.RenewalDone, func(p *templates.RenewalPage) { p.Difference = lost }),
		"pending":  page(templates.RenewalDone, func(p *templates.RenewalPage) { p.Status = "pending" }),
		"proposed": page(templates.RenewalDone, func(p *templates.RenewalPage) { p.Status = "proposed" }),
		"over": page(templates.RenewalOver, func(p *templates.RenewalPage) {
			p.Item, p.Problem, p.Hint = nil, "this link has been used: the certificate "+fresh.Fingerprint+", which ends 2027-09-30T08:00:00Z, takes the place of the old one", "nothing is left to do here"
		}),
	}
}

func TestRenderRenewal_golden(t *testing.T) {
	t.Parallel()
	for name, p := range renewalPages() {
		var page bytes.Buffer
		if err := templates.RenderRenewal(&page, p); err != nil {
			t.Fatal(err)
		}
		notifiertest.Golden(t, "renewal."+name+".html", page.Bytes())
	}
}

// TestRenderRenewal_hostile: what is in a certificate is text and no more.
func TestRenderRenewal_hostile(t *testing.T) {
	t.Parallel()
	for name, p := range renewalPages() {
		item := notifiertest.Item(alert.KindCA, hostile, time.Hour)
		item.Hostnames, item.Bundles, item.SANs, item.Issuer, item.Serial = []string{hostile}, []string{hostile}, []string{"dns:" + hostile}, hostile, hostile
		if p.Item != nil {
			p.Item, p.Dependents = &item, []alert.Item{item}
		}
		p.Problem, p.Hint = hostile, hostile
		p.Difference = []cert.Difference{{Field: "subject", Before: hostile, After: hostile + "2", Loss: true, Warning: hostile}}
		fresh := *p.New
		fresh.PEM, fresh.Served, fresh.Subject = `">"<script>alert(1)`, []string{hostile}, hostile // PEM is of our own making
		p.New = &fresh
		var page bytes.Buffer
		if err := templates.RenderRenewal(&page, p); err != nil {
			t.Fatal(err)
		}
		for _, never := range []string{"<script>alert", `">"`, "\u202e", "\nBcc: all"} {
			if strings.Contains(page.String(), never) {
				t.Errorf("%s: %q in\n%s", name, never, page.String())
			}
		}
	}
}

func TestAsset(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"renewal.css", "renewal.js", "proposals.js"} {
		if data, err := templates.Asset(name); err != nil || len(data) == 0 || bytes.Contains(data, []byte("://")) {
			t.Errorf("%s: %d bytes, %v; want some, without any address", name, len(data), err)
		}
	}
	if _, err := templates.Asset("../web/renewal.html"); err == nil {
		t.Error("a file elsewhere is an asset")
	}
}
