package clients_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cloudflare/cloudflare-go"
)

// A guard is a gateway with a listener in front of an origin.
type guard struct {
	gateway

	address string // of the listener
	origin  string // URL
	server  *x509.CertPool
	client  tls.Certificate // of a CA that vouches for the clients of every host
}

// guarded are the host names whose clients the CA of a guard vouches for.
var guarded = []string{"orders.example.com", "shop.example.com"}

func newGuard(t *testing.T) *guard {
	t.Helper()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "the origin has "+r.URL.Path)
	}))
	t.Cleanup(origin.Close)
	dir, admin := t.TempDir(), freeAddress(t)
	g := &guard{address: freeAddress(t), origin: origin.URL, server: x509.NewCertPool()}
	g.gateway = gateway{program: program(t), config: filepath.Join(dir, "config.toml"), api: "http://" + admin + "/client/v4"}
	server, _ := newPair(t, &x509.Certificate{Subject: pkix.Name{CommonName: "gateway"}, DNSNames: guarded}, nil)
	g.server.AddCert(server.Leaf)
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("[admin]\nlisten = %q\npublic_url = %q\n[enforcer]\nlisten = %q\ndefault_origin = %q\n[[enforcer.certificate]]\ncert = \"server.pem\"\nkey = \"server-key.pem\"\n",
		admin, "http://"+admin, g.address, origin.URL)
	for name, content := range map[string][]byte{
		"config.toml":    []byte(text),
		"server.pem":     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Leaf.Raw}),
		"server-key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.serve(t, "http://"+admin+"/readyz")
	g.write, g.read = g.token(t, "write"), g.token(t, "read")
	g.vouch(t)
	return g
}

// vouch uploads a CA and makes a client of it.
func (g *guard) vouch(t *testing.T) {
	t.Helper()
	root, text := newPair(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	_, err := v0Client(t, g.gateway, g.write).CreateAccessMutualTLSCertificate(t.Context(), v0Scopes["account"], cloudflare.CreateAccessMutualTLSCertificateParams{
		Name: "root", Certificate: text, AssociatedHostnames: guarded,
	})
	if err != nil {
		t.Fatal(err)
	}
	g.client, _ = newPair(t, &x509.Certificate{Subject: pkix.Name{CommonName: "James Royal"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, &root)
}

// newPair makes a certificate, signed by itself or by a CA.
func newPair(t *testing.T, template *x509.Certificate, ca *tls.Certificate) (pair tls.Certificate, text string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(0, 0, 100)
	if ca == nil {
		ca = &tls.Certificate{Leaf: template, PrivateKey: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Leaf, key.Public(), ca.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// A visitor asks for one URL, over one connection while that lasts.
type visitor struct {
	t      *testing.T
	url    string
	client http.Client
	conn   net.Conn // of the last request
}

func (g *guard) visitor(t *testing.T, host string, certificates ...tls.Certificate) *visitor {
	dial := func(network string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(t.Context(), network, g.address)
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: g.server, ServerName: host, Certificates: certificates, MinVersion: tls.VersionTLS12},
		MaxConnsPerHost: 1,
	}
	transport.DialContext = func(_ context.Context, network, _ string) (net.Conn, error) { return dial(network) }
	t.Cleanup(transport.CloseIdleConnections)
	return &visitor{t: t, url: "https://" + host + "/", client: http.Client{Transport: transport}}
}

// status is that of the answer, 0 without one.
func (v *visitor) status() int {
	v.t.Helper()
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { v.conn = i.Conn }}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(v.t.Context(), trace), http.MethodGet, v.url, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	answer, err := v.client.Do(r)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

// becomes waits until the answer has a status.
func (v *visitor) becomes(status int) {
	v.t.Helper()
	var got int
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if got = v.status(); got == status {
			return
		}
	}
	v.t.Fatalf("%s answers %d, want %d", v.url, got, status)
}

// A keeper makes and changes an application by one of the clients.
type keeper struct {
	create func(host string) (id string) // admits who has a certificate
	close  func(id string)               // its policy refuses everybody
	remove func(id string)
}

// testGuards holds that an application made by a client guards at once, that a
// change of its policy reaches open connections, and that deletion ends it.
func testGuards(t *testing.T, g *guard, host string, k keeper) {
	stranger, james := g.visitor(t, host), g.visitor(t, host, g.client)
	if got := james.status(); got != 0 {
		t.Fatalf("before there is an application the answer is %d", got)
	}
	id := k.create(host)
	stranger.becomes(http.StatusForbidden)
	james.becomes(http.StatusOK)
	before := james.conn
	k.close(id)
	james.becomes(http.StatusForbidden)
	if james.conn != before {
		t.Error("the connection was not kept")
	}
	k.remove(id)
	james.becomes(http.StatusMisdirectedRequest)
	g.visitor(t, host, g.client).becomes(0)
}
