package enforcer_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"flag"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// tellsAll turns all switches of the application "orders" on.
func tellsAll(s *enforcer.State) {
	a := &s.Applications[0]
	a.RFC9440, a.TLSClientAuthHeaders = true, true
	a.RequestHeaders = map[string]string{
		"X-Cert-CN": "{cn}", "X-Cert-Subject": "{subject}", "X-Cert-Issuer": "{issuer}", "X-CERT-SERIAL": "{serial}",
		"X-Cert-Finger": "{fingerprint}", "X-Cert-Notbe": "{not_before}", "X-Cert-Notaf": "{not_after}",
		"X-Cert-San": "dns={san_dns} email={san_email} uri={san_uri} ip={san_ip}", "X-Cert-Literal": "{{{cn}}}",
	}
}

// told returns the lines that tell of a certificate, sorted.
func told(h http.Header) []string {
	var lines []string
	for name, values := range h {
		if strings.HasPrefix(name, "Cf-C") || strings.HasPrefix(name, "Client-Cert") || strings.HasPrefix(name, "X-Cert-") {
			lines = append(lines, name+": "+strings.Join(values, " AND "))
		}
	}
	slices.Sort(lines)
	return lines
}

func fixed(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/fixed/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestCertificateHeaders_golden has everything told of one certificate, that of
// the reference page; OpenSSL agrees with the values.
func TestCertificateHeaders_golden(t *testing.T) {
	t.Parallel()
	block, _ := pem.Decode(fixed(t, "ca.pem"))
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(fixed(t, "client.pem"), fixed(t, "client-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	g := newGuard(t, tellsAll, func(s *enforcer.State) { s.Bundles[0].Anchors = []*x509.Certificate{ca} })
	client := g.client(&pair)
	for range 2 { // written once, sent twice
		wantStatus(t, get(t, client, "https://"+orders+"/"), 200)
		lines := told((<-g.seen).Header)
		got := strings.Join(lines, "\n") + "\n"
		if n := strings.Count(got, "Cf-Cert-"); n != 17 {
			t.Errorf("%d headers cf-cert-*, want 17", n)
		}
		if *update {
			if err := os.WriteFile("testdata/fixed/headers.golden", []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(string(fixed(t, "headers.golden")), got); diff != "" {
			t.Errorf("the origin saw (-want +got):\n%s", diff)
		}
	}
}

// TestCertificateHeaders tells of nobody but verified and identified clients;
// how the certificate stands is told of everybody.
func TestCertificateHeaders(t *testing.T) {
	t.Parallel()
	const none, bad, good, revoked = "false false false", "true false false", "true true false", "true true true"
	foreign := func(g *guard) *tls.Certificate { return leaf(g.other, g.commonJames()...) }
	ours := func(g *guard) *tls.Certificate { return g.james() }
	nobody := func(*guard) *tls.Certificate { return nil }
	revokes := func(s *enforcer.State) {
		s.Revoked = map[string]struct{}{cert.Fingerprint(s.Bundles[0].Anchors[0]): {}}
	}
	for _, tt := range []struct {
		name     string
		state    []func(*enforcer.State)
		cert     func(*guard) *tls.Certificate
		standing string
		details  bool
	}{
		{"admitted", nil, ours, good, true},
		{"bypass without certificate", []func(*enforcer.State){everyoneBypasses}, nobody, none, false},
		{"bypass with another CA's certificate", []func(*enforcer.State){everyoneBypasses}, foreign, bad, false},
		{"bypass with certificate", []func(*enforcer.State){everyoneBypasses}, ours, good, false},
		{"bypass with revoked certificate", []func(*enforcer.State){everyoneBypasses, revokes}, ours, revoked, false},
		{"report only without certificate", []func(*enforcer.State){reportsOnly}, nobody, none, false},
		{"report only with another CA's certificate", []func(*enforcer.State){reportsOnly}, foreign, bad, false},
		{"report only with revoked certificate", []func(*enforcer.State){reportsOnly, revokes}, ours, revoked, false},
		{"report only with certificate that no policy admits", []func(*enforcer.State){reportsOnly, func(s *enforcer.State) { s.Applications[0].Policies = nil }}, ours, good, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuard(t, append([]func(*enforcer.State){tellsAll}, tt.state...)...)
			wantStatus(t, get(t, g.client(tt.cert(g)), "https://"+orders+"/"), 200)
			h := (<-g.seen).Header
			if got := h.Get("Cf-Cert-Presented") + " " + h.Get("Cf-Cert-Verified") + " " + h.Get("Cf-Cert-Revoked"); got != tt.standing {
				t.Errorf("presented, verified, revoked: %s, want %s", got, tt.standing)
			}
			lines := told(h)
			if details := len(lines) > 3; details != tt.details {
				t.Errorf("told %q, want details: %t", lines, tt.details)
			}
		})
	}
}

// TestCertificateHeaders_off: by default none of them is there.
func TestCertificateHeaders_off(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	get(t, g.client(g.james()), "https://"+orders+"/")
	if lines := told((<-g.seen).Header); len(lines) > 0 {
		t.Errorf("told %q", lines)
	}
}

// TestCertificateHeaders_live: what is told follows the verdict, on one connection.
func TestCertificateHeaders_live(t *testing.T) {
	t.Parallel()
	g := newGuard(t, tellsAll, reportsOnly)
	pair := g.james()
	client := g.client(pair)
	for _, step := range []struct {
		change  func()
		revoked string
		cn      string
	}{
		{func() {}, "false", "James Royal"},
		{func() { g.revoke(cert.Fingerprint(pair.Leaf)) }, "true", ""},
		{func() { g.state.Revoked = nil; g.apply() }, "false", "James Royal"},
		{func() { g.state.Applications[0].RequestHeaders = map[string]string{"X-Cert-CN": "CN={cn}"}; g.apply() }, "false", "CN=James Royal"},
	} {
		step.change()
		get(t, client, "https://"+orders+"/")
		h := (<-g.seen).Header
		if h.Get("Cf-Cert-Revoked") != step.revoked || h.Get("X-Cert-CN") != step.cn {
			t.Errorf("told %q, want revoked %s and the name %q", told(h), step.revoked, step.cn)
		}
	}
}

// TestCertificateHeaders_warm holds that they are written once, not for every
// request.
func TestCertificateHeaders_warm(t *testing.T) {
	g := newGuard(t, tellsAll, func(s *enforcer.State) { s.Applications[0].RFC9440 = false })
	j := enforcer.NewJudge(g.Enforcer, orders, g.james().Leaf)
	now := g.clock.Now()
	if n := j.Disclose(now); n < 17 {
		t.Fatalf("%d headers", n)
	}
	if n := testing.AllocsPerRun(100, func() { j.Disclose(now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func sf(c *certtest.Certificate) string { return ":" + base64.StdEncoding.EncodeToString(c.Raw) + ":" }

func TestRFC9440(t *testing.T) {
	t.Parallel()
	large := func(size int) certtest.Option {
		return certtest.Extension(pkix.Extension{Id: []int{1, 2, 3}, Value: bytes.Repeat([]byte{5, 0}, size/2)})
	}
	anchors := func(g *guard, anchor *certtest.Certificate, intermediates ...*certtest.Certificate) {
		g.state.Bundles[0].Anchors = []*x509.Certificate{anchor.Certificate}
		for _, c := range intermediates {
			g.state.Bundles[0].Intermediates = append(g.state.Bundles[0].Intermediates, c.Certificate)
		}
		g.apply()
	}
	for _, tt := range []struct {
		name string
		// make returns the client's pair and what the origin is to see.
		make func(g *guard) (pair tls.Certificate, cert, chain string)
	}{
		{"issued by the root", func(g *guard) (tls.Certificate, string, string) {
			c := g.ca.Issue(certtest.Client())
			return c.TLS(), sf(c), ""
		}},
		{"the root sent along", func(g *guard) (tls.Certificate, string, string) {
			c := g.ca.Issue(certtest.Client())
			pair := c.TLS()
			pair.Certificate = append(pair.Certificate, g.ca.Raw)
			return pair, sf(c), ""
		}},
		{"two intermediates sent, the wrong way round", func(g *guard) (tls.Certificate, string, string) {
			upper := g.ca.Intermediate()
			lower := upper.Intermediate()
			c := lower.Issue(certtest.Client())
			pair := c.TLS()
			pair.Certificate = append(pair.Certificate, upper.Raw, lower.Raw)
			return pair, sf(c), sf(lower) + ", " + sf(upper)
		}},
		{"intermediate from the bundle", func(g *guard) (tls.Certificate, string, string) {
			middle := g.ca.Intermediate()
			anchors(g, g.ca, middle)
			c := middle.Issue(certtest.Client())
			return c.TLS(), sf(c), sf(middle)
		}},
		{"anchor that is not self-signed", func(g *guard) (tls.Certificate, string, string) {
			anchor := g.ca.Intermediate()
			anchors(g, anchor)
			middle := anchor.Intermediate()
			c := middle.Issue(certtest.Client())
			return c.TLSChain(), sf(c), sf(middle)
		}},
		{"foreign certificates sent along", func(g *guard) (tls.Certificate, string, string) {
			c := g.ca.Issue(certtest.Client())
			pair := c.TLS()
			pair.Certificate = append(pair.Certificate, g.other.Raw)
			return pair, sf(c), ""
		}},
		{"leaf over 10 KiB", func(g *guard) (tls.Certificate, string, string) {
			middle := g.ca.Intermediate()
			return middle.Issue(certtest.Client(), large(7680)).TLSChain(), "", ""
		}},
		{"chain over 16 KiB", func(g *guard) (tls.Certificate, string, string) {
			c := g.ca.Intermediate(large(12288)).Issue(certtest.Client())
			return c.TLSChain(), sf(c), ""
		}},
		{"leaf below 10 KiB, chain below 16 KiB", func(g *guard) (tls.Certificate, string, string) {
			middle := g.ca.Intermediate(large(11000))
			c := middle.Issue(certtest.Client(), large(7000))
			return c.TLSChain(), sf(c), sf(middle)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuard(t, func(s *enforcer.State) { s.Applications[0].RFC9440 = true })
			pair, cert, chain := tt.make(g)
			wantStatus(t, get(t, g.client(&pair), "https://"+orders+"/"), 200)
			h := (<-g.seen).Header
			for name, want := range map[string]string{"Client-Cert": cert, "Client-Cert-Chain": chain} {
				if values := h[name]; len(values) > 1 || h.Get(name) != want || want == "" && len(values) > 0 {
					t.Errorf("%s: %.90q, want %.90q", name, values, want)
				}
			}
		})
	}
}
