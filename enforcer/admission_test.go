package enforcer_test

import (
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
)

// TestAdmission is the security table: each way not to be admitted, on a real
// listener, with the reason in the log and not in the answer.
func TestAdmission(t *testing.T) {
	t.Parallel()
	now := time.Now()
	revoked := certtest.NewCA()
	for _, tt := range []admission{
		{"valid", orders, func(g *guard) *tls.Certificate { return g.james() }, nil, 200, ""},
		{"valid, EKU absent", orders, func(g *guard) *tls.Certificate { return leaf(g.ca) }, nil, 200, ""},
		{"valid, any EKU", orders, func(g *guard) *tls.Certificate { return leaf(g.ca, certtest.Usage(x509.ExtKeyUsageAny)) }, nil, 200, ""},
		{"valid, no CN", orders, func(g *guard) *tls.Certificate { return leaf(g.ca, certtest.CommonName()) }, nil, 200, ""},
		{"valid, empty DNS name", orders, func(g *guard) *tls.Certificate { return leaf(g.ca, certtest.DNS("")) }, nil, 200, ""},
		{"valid, Ed25519", orders, func(g *guard) *tls.Certificate { return leaf(g.ca, certtest.Ed25519()) }, nil, 200, ""},
		{"valid, P-521", orders, func(g *guard) *tls.Certificate { return leaf(g.ca, certtest.ECDSA(elliptic.P521())) }, nil, 200, ""},
		{"valid, RSA 2048", orders, func(g *guard) *tls.Certificate { return leaf(g.ca, certtest.RSA(2048)) }, nil, 200, ""},
		{"no certificate", orders, func(*guard) *tls.Certificate { return nil }, nil, 403, enforcer.ReasonNoCertificate},
		{"certificate of another host's CA", orders, func(g *guard) *tls.Certificate { return leaf(g.other, certtest.Client()) }, nil, 403, enforcer.ReasonUntrusted},
		{"self-signed", orders, func(*guard) *tls.Certificate {
			pair := certtest.SelfSigned(certtest.Client()).TLS()
			return &pair
		}, nil, 403, enforcer.ReasonUntrusted},
		{"hostname without CA", lonely, func(g *guard) *tls.Certificate { return g.james() }, nil, 403, enforcer.ReasonNoAuthority},
		{
			"bundle without anchors", orders, func(g *guard) *tls.Certificate { return g.james() },
			func(s *enforcer.State) { s.Bundles[0].Anchors = nil }, 403, enforcer.ReasonNoAuthority,
		},
		{"expired", orders, func(g *guard) *tls.Certificate {
			return g.james(certtest.Validity(now.AddDate(0, 0, -2), now.Add(-time.Second)))
		}, nil, 403, enforcer.ReasonExpired},
		{"not yet valid", orders, func(g *guard) *tls.Certificate {
			return g.james(certtest.Validity(now.Add(time.Hour), now.AddDate(0, 0, 2)))
		}, nil, 403, enforcer.ReasonNotYetValid},
		{"wrong EKU", orders, func(g *guard) *tls.Certificate { return leaf(g.ca, certtest.Usage(x509.ExtKeyUsageServerAuth)) }, nil, 403, enforcer.ReasonUsage},
		{
			"EKU absent where it is required", orders, func(g *guard) *tls.Certificate { return leaf(g.ca) },
			func(s *enforcer.State) { s.RequireEKU = true }, 403, enforcer.ReasonUsage,
		},
		{"CA as leaf", orders, func(g *guard) *tls.Certificate {
			pair := g.ca.TLS()
			return &pair
		}, nil, 403, enforcer.ReasonLeafIsCA},
		{"intermediate as leaf", orders, func(g *guard) *tls.Certificate {
			pair := g.ca.Intermediate(certtest.Client()).TLS()
			return &pair
		}, nil, 403, enforcer.ReasonLeafIsCA},
		{"two CNs", orders, func(g *guard) *tls.Certificate { return leaf(g.ca, certtest.CommonName("mallory", "James Royal")) }, nil, 403, enforcer.ReasonCommonNames},
		{"too many names", orders, func(g *guard) *tls.Certificate {
			return leaf(g.ca, certtest.DNS(strings.Split(strings.Repeat("a.example ", 101), " ")[:101]...))
		}, nil, 403, enforcer.ReasonTooManyNames},
		{"RSA 1024", orders, func(g *guard) *tls.Certificate { return leaf(g.ca, certtest.RSA(1024)) }, nil, 403, enforcer.ReasonKey},
		{"intermediate sent by the client", orders, func(g *guard) *tls.Certificate {
			pair := g.ca.Intermediate().Issue(certtest.Client()).TLSChain()
			return &pair
		}, nil, 200, ""},
		{"intermediate missing", orders, func(g *guard) *tls.Certificate { return leaf(g.ca.Intermediate(), certtest.Client()) }, nil, 403, enforcer.ReasonUntrusted},
		{"expired intermediate", orders, func(g *guard) *tls.Certificate {
			pair := g.ca.Intermediate(certtest.Validity(now.AddDate(0, 0, -9), now.AddDate(0, 0, -1))).Issue(certtest.Client()).TLSChain()
			return &pair
		}, nil, 403, enforcer.ReasonExpired},
		{"intermediate not meant for clients", orders, func(g *guard) *tls.Certificate {
			pair := g.ca.Intermediate(certtest.Usage(x509.ExtKeyUsageServerAuth)).Issue(certtest.Client()).TLSChain()
			return &pair
		}, nil, 403, enforcer.ReasonUsage},
		{"seven certificates", orders, func(g *guard) *tls.Certificate {
			ca := g.ca
			for range 6 {
				ca = ca.Intermediate()
			}
			pair := ca.Issue(certtest.Client()).TLSChain()
			return &pair
		}, nil, 403, enforcer.ReasonTooMany},
		{
			"revoked CA", orders, func(*guard) *tls.Certificate { return leaf(revoked, certtest.Client()) },
			func(s *enforcer.State) {
				s.Bundles = append(s.Bundles, bundle("revoked", revoked, orders))
				s.Revoked = map[string]struct{}{cert.Fingerprint(revoked.Certificate): {}}
			}, 403, enforcer.ReasonRevoked,
		},
	} {
		t.Run(tt.name, tt.run)
	}
}

// An admission is a way to be admitted, or not to be.
type admission struct {
	name   string
	host   string
	cert   func(g *guard) *tls.Certificate
	state  func(*enforcer.State)
	want   int
	reason enforcer.Reason
}

// run makes one request. The reason of a refusal is in the log and not in the
// answer, and the origin does not notice it.
func (tt *admission) run(t *testing.T) {
	t.Parallel()
	g := newGuard(t, func(s *enforcer.State) {
		if tt.state != nil {
			tt.state(s)
		}
	})
	a := get(t, g.client(tt.cert(g)), "https://"+tt.host+"/")
	wantStatus(t, a, tt.want)
	if tt.reason != "" && !strings.Contains(g.log.String(), "reason="+string(tt.reason)+" ") {
		t.Errorf("the log lacks the reason %s:\n%s", tt.reason, g.log)
	}
	if strings.Contains(a.body, string(tt.reason)) && tt.reason != "" {
		t.Errorf("the answer tells the reason:\n%s", a.body)
	}
	if reached := len(g.seen) > 0; reached != (tt.want == 200) {
		t.Errorf("origin reached: %v", reached)
	}
}

func TestAdmission_chains(t *testing.T) {
	t.Parallel()
	intermediate := func(g *guard) *certtest.Certificate { return g.ca.Intermediate(certtest.CommonName("Middle")) }
	t.Run("intermediate from the bundle", func(t *testing.T) {
		g := newGuard(t)
		middle := intermediate(g)
		g.state.Bundles[0].Intermediates = []*x509.Certificate{middle.Certificate}
		g.apply()
		wantStatus(t, get(t, g.client(leaf(middle, certtest.Client())), "https://"+orders+"/"), 200)
	})
	t.Run("revoked intermediate", func(t *testing.T) {
		g := newGuard(t)
		middle := intermediate(g)
		g.revoke(cert.Fingerprint(middle.Certificate))
		pair := middle.Issue(certtest.Client()).TLSChain()
		wantStatus(t, get(t, g.client(&pair), "https://"+orders+"/"), 403)
	})
	t.Run("cross-signed: one chain revoked, the other admits", func(t *testing.T) {
		g := newGuard(t)
		middle := intermediate(g)
		cross := middle.CrossSigned(g.other)
		g.state.Bundles[0].Intermediates = []*x509.Certificate{middle.Certificate, cross.Certificate}
		g.state.Bundles[1].Hostnames = []string{orders}
		g.revoke(cert.Fingerprint(middle.Certificate))
		client := g.client(leaf(middle, certtest.Client()))
		wantStatus(t, get(t, client, "https://"+orders+"/"), 200)
		g.revoke(cert.Fingerprint(cross.Certificate))
		wantStatus(t, get(t, client, "https://"+orders+"/"), 403)
	})
	t.Run("cross-signed: one chain expired, the other admits", func(t *testing.T) {
		g := newGuard(t)
		middle := intermediate(g)
		cross := middle.Renew(certtest.Validity(time.Now().AddDate(0, 0, -9), time.Now().AddDate(0, 0, -1))).CrossSigned(g.other)
		g.state.Bundles[1].Hostnames = []string{orders}
		g.apply()
		pair := middle.Issue(certtest.Client()).TLS()
		for _, order := range [][][]byte{{cross.Raw, middle.Raw}, {middle.Raw, cross.Raw}} {
			sent := pair
			sent.Certificate = append([][]byte{pair.Certificate[0]}, order...)
			wantStatus(t, get(t, g.client(&sent), "https://"+orders+"/"), 200)
		}
		sent := pair
		sent.Certificate = append([][]byte{pair.Certificate[0]}, cross.Raw)
		wantStatus(t, get(t, g.client(&sent), "https://"+orders+"/"), 403)
	})
	t.Run("several CAs for one host name", func(t *testing.T) {
		g := newGuard(t)
		g.state.Bundles[1].Hostnames = []string{orders, admin}
		g.apply()
		for _, ca := range []*certtest.Certificate{g.ca, g.other} {
			wantStatus(t, get(t, g.client(leaf(ca, certtest.Client())), "https://"+orders+"/"), 200)
		}
		wantStatus(t, get(t, g.client(g.james()), "https://"+admin+"/"), 403)
	})
	t.Run("intermediates of another host name do not help", func(t *testing.T) {
		g := newGuard(t)
		middle := intermediate(g)
		g.state.Bundles[1].Intermediates = []*x509.Certificate{middle.Certificate}
		g.apply()
		wantStatus(t, get(t, g.client(leaf(middle, certtest.Client())), "https://"+orders+"/"), 403)
	})
}

// TestAdmission_wildcard has one wildcard application and three CA sets:
// neither's client enters where another's set counts.
func TestAdmission_wildcard(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	wild := g.state.Applications[0]
	wild.Name, wild.Hostname = "wild", "*.wild.example.com"
	g.state.Applications = append(g.state.Applications, wild)
	third := certtest.NewCA(certtest.CommonName("Third"))
	g.state.Bundles = []enforcer.Bundle{
		bundle("a", g.ca, "a.wild.example.com"), bundle("b", g.other, "b.wild.example.com"),
		bundle("rest", third, "*.wild.example.com"),
	}
	g.apply()
	certs := map[string]*tls.Certificate{
		"a": g.james(), "b": leaf(g.other, certtest.Client()), "c": leaf(third, certtest.Client()),
	}
	one := g.client(certs["a"], http2, func(t *http.Transport) { t.TLSClientConfig.ServerName = "x.wild.example.com" })
	for host, want := range map[string]int{"a": 200, "b": 403, "c": 403} {
		for range 2 { // with what the others left behind on the same connection
			wantStatus(t, get(t, one, "https://x.wild.example.com/", "Host", host+".wild.example.com"), want)
		}
	}
	for owner, pair := range certs {
		for _, host := range []string{"a", "b", "c"} {
			want := http.StatusForbidden
			if owner == host {
				want = http.StatusOK
			}
			// By SNI, and by Host on a connection made for a sibling.
			wantStatus(t, get(t, g.client(pair), "https://"+host+".wild.example.com/"), want)
			sibling := g.client(pair, func(t *http.Transport) { t.TLSClientConfig.ServerName = "x.wild.example.com" })
			wantStatus(t, get(t, sibling, "https://"+host+".wild.example.com/"), want)
		}
	}
}

func TestMisdirected(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	for _, tt := range []struct {
		name, host string
		want       int
	}{
		{"same", orders, 200},
		{"upper case, trailing dot and port", "ORDERS.Example.com.:8443", 200},
		{"another application", admin, 421},
		{"no application", "nobody.example.com", 421},
		{"an address", "127.0.0.1", 400},
		{"not a name", "a_b!.example.com", 400},
		{"below", "x." + orders, 421},
		{"literal wildcard", "*.example.com", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, mode := range []func(*http.Transport){func(*http.Transport) {}, http2} {
				a := get(t, g.client(g.james(), mode), "https://"+orders+"/", "Host", tt.host)
				wantStatus(t, a, tt.want)
				if tt.want == 421 && a.ProtoMajor == 1 && !a.Close {
					t.Error("the connection stays open")
				}
			}
		})
	}
}

func TestHandshake_refusedNames(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	dial := func(version uint16, name string, cache tls.ClientSessionCache) error {
		conn, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		cfg := g.tls(g.james())
		cfg.MaxVersion, cfg.ServerName, cfg.InsecureSkipVerify, cfg.ClientSessionCache = version, name, true, cache
		return tls.Client(conn, cfg).Handshake()
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			for _, name := range []string{"unknown.example.com", "x." + orders, "a_b", "nobody.example.com", ""} {
				err := dial(version, name, nil)
				if err == nil || err.Error() != "remote error: tls: unrecognized name" {
					t.Errorf("SNI %q: %v, want alert 112 (unrecognized_name)", name, err)
				}
			}
		})
	}
	if err := dial(tls.VersionTLS11, orders, nil); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
	if n := len(g.seen); n != 0 {
		t.Errorf("%d requests reached the origin", n)
	}
}

func TestHandshake_defaultHostname(t *testing.T) {
	t.Parallel()
	g := newGuard(t, func(s *enforcer.State) { s.DefaultHostname = orders })
	noSNI := func(tr *http.Transport) {
		tr.DialTLSContext = nil
		tr.TLSClientConfig.ServerName = "127.0.0.1" // addresses are never sent as SNI
		tr.TLSClientConfig.InsecureSkipVerify = true
	}
	wantStatus(t, get(t, g.client(g.james(), noSNI), "https://"+orders+"/"), 200)
	wantStatus(t, get(t, g.client(g.james(), noSNI), "https://"+admin+"/"), 421)
}

// TestHandshake_hint sees the certificate asked for with this host's CAs.
func TestHandshake_hint(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	var asked [][]byte
	client := g.client(nil, func(tr *http.Transport) {
		tr.TLSClientConfig.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = r.AcceptableCAs
			return new(tls.Certificate), nil
		}
	})
	wantStatus(t, get(t, client, "https://"+orders+"/"), 403)
	if len(asked) != 1 || string(asked[0]) != string(g.ca.RawSubject) {
		t.Errorf("hinted at %q", asked)
	}
}

func TestDenyPage(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	client := g.client(nil)
	for _, tt := range []struct{ name, accept, kind string }{
		{"browser", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"},
		{"nothing said", "", "text/html; charset=utf-8"},
		{"anything", "*/*", "text/html; charset=utf-8"},
		{"program", "application/json", "application/json"},
		{"problem", "application/problem+json", "application/json"},
		{"JSON second", "text/html, application/json;q=0.5", "text/html; charset=utf-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := get(t, client, "https://"+orders+"/", "Accept", tt.accept)
			wantStatus(t, a, 403)
			if got := a.Header.Get("Content-Type"); got != tt.kind {
				t.Errorf("Content-Type %q, want %q", got, tt.kind)
			}
			id := a.Header.Get("X-Request-Id")
			if len(id) != 32 || !strings.Contains(a.body, id) || !strings.Contains(g.log.String(), "request_id="+id) {
				t.Errorf("request id %q is not in page and log", id)
			}
			if a.Header.Get("Set-Cookie") != "" {
				t.Error("a refused client got a cookie")
			}
		})
	}
}
