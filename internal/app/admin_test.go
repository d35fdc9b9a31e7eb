package app

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/config"
)

// adminWith asks the admin listener by TLS, on a connection of its own.
func (h *house) adminWith(client *certtest.Certificate, version uint16, cache tls.ClientSessionCache) (status int, resumed bool, err error) {
	h.t.Helper()
	c := &tls.Config{RootCAs: h.server.Pool(), ServerName: orders, MinVersion: version, MaxVersion: version, ClientSessionCache: cache}
	if client != nil {
		c.Certificates = []tls.Certificate{client.TLS()}
	}
	transport := &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, "https://"+h.address("admin")+"/healthz", http.NoBody)
	if err != nil {
		h.t.Fatal(err)
	}
	response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(request)
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.TLS.DidResume, nil
}

// TestAdmin_ClientCertificate: with client_ca, nobody without a certificate of
// those CAs gets as far as a request, and a file that changes counts for the
// next connection.
func TestAdmin_ClientCertificate(t *testing.T) {
	t.Parallel()
	valid := certtest.Validity(time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	ca, next := certtest.NewCA(certtest.CommonName("Admins"), valid), certtest.NewCA(certtest.CommonName("Next admins"), valid)
	admin := ca.Issue(certtest.Client(), certtest.CommonName("alice"), valid)
	h := newHouse(t, func(h *house) string {
		h.write("admins.pem", string(ca.PEM()))
		return strings.Replace(h.guarding(closed, "30d"), "[admin]\n", "[admin]\ntls_cert = \"server.pem\"\ntls_key = \"server-key.pem\"\nclient_ca = \"admins.pem\"\n", 1)
	})
	cache := tls.NewLRUClientSessionCache(8)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for name, tt := range map[string]struct {
			client *certtest.Certificate
			in     bool
		}{
			"an admin":                   {admin, true},
			"an admin again":             {admin, true},
			"nobody":                     {nil, false},
			"a stranger of that name":    {certtest.NewCA(certtest.CommonName("Admins"), valid).Issue(certtest.Client(), certtest.CommonName("alice"), valid), false},
			"an expired one":             {ca.Issue(certtest.Client(), certtest.Validity(time.Now().Add(-2*alert.Day), time.Now().Add(-alert.Day))), false},
			"a server's certificate":     {ca.Issue(certtest.Server("a.example.com"), valid), false},
			"the CA of the applications": {next.Issue(certtest.Client(), valid), false},
		} {
			status, resumed, err := h.adminWith(tt.client, version, cache)
			if (err == nil) != tt.in || tt.in && status != http.StatusOK || resumed {
				t.Errorf("%s, %s: %d, %v, resumed %t", tls.VersionName(version), name, status, err, resumed)
			}
		}
	}
	h.write("admins.pem", string(next.PEM()))
	if err := h.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.adminWith(admin, tls.VersionTLS13, cache); err == nil {
		t.Error("a certificate of the CA that was taken out gets in")
	}
	if status, _, err := h.adminWith(next.Issue(certtest.Client(), valid), tls.VersionTLS13, nil); err != nil || status != http.StatusOK {
		t.Errorf("a certificate of the CA that was put in: %d, %v", status, err)
	}
}

// TestAdmin_SlowClients are cut off at each step: the times are those of the
// listener, a hundredth as long.
func TestAdmin_SlowClients(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	s := newAdminServer(handler, config.Admin{}, slog.New(slog.DiscardHandler))
	for _, limit := range []*time.Duration{&s.server.ReadHeaderTimeout, &s.server.ReadTimeout, &s.server.WriteTimeout, &s.server.IdleTimeout} {
		if *limit <= 0 || *limit > 2*time.Minute {
			t.Errorf("a limit is %s", *limit)
		}
		*limit /= 100
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.serve(listener) }()
	t.Cleanup(func() {
		if err := s.shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	for name, sent := range map[string]string{
		"says nothing":           "",
		"never ends its head":    "GET / HTTP/1.1\r\nHost: a\r\n",
		"never ends its body":    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
		"keeps its connection":   "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"sends a head too large": "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 64<<10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := io.WriteString(conn, sent); err != nil {
				return // cut off already
			}
			if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Error("the connection is still open")
			}
		})
	}
}
