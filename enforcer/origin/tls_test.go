package origin_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer/origin"
	"github.com/certvigil/certvigil/internal/certtest"
)

// secureOrigin is an https origin whose certificate is for origin.example and
// 127.0.0.1.
func secureOrigin(t *testing.T, second bool, change func(*tls.Config)) (*httptest.Server, *certtest.Certificate) {
	t.Helper()
	ca := certtest.NewCA()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := ""
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		_, _ = fmt.Fprintf(w, "%s %s %s %s", r.Proto, r.RequestURI, r.TLS.ServerName, name)
	}))
	s.EnableHTTP2 = second
	s.Config.ErrorLog = discard
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue(certtest.Server("origin.example"), certtest.IP("127.0.0.1")).TLSChain()}}
	if change != nil {
		change(s.TLS)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, ca
}

func TestTLS(t *testing.T) {
	t.Parallel()
	clients := certtest.NewCA()
	pair := clients.Issue(certtest.Client(), certtest.CommonName("gateway")).TLS()
	asking := func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, clients.Pool() }
	for _, tt := range []struct {
		name   string
		second bool
		server func(*tls.Config)
		target func(*origin.Target, *x509.CertPool)
		want   string // "" for an error
	}{
		{"own roots", false, nil, func(o *origin.Target, roots *x509.CertPool) { o.Roots = roots }, "HTTP/1.1 /   "},
		{"own roots, HTTP/2", true, nil, func(o *origin.Target, roots *x509.CertPool) { o.Roots = roots }, "HTTP/2.0 /   "},
		{"server name", false, nil, func(o *origin.Target, roots *x509.CertPool) { o.Roots, o.ServerName = roots, "origin.example" }, "HTTP/1.1 / origin.example "},
		{"client certificate", true, asking, func(o *origin.Target, roots *x509.CertPool) { o.Roots, o.Certificate = roots, &pair }, "HTTP/2.0 /  gateway"},
		{"the system's roots", false, nil, func(*origin.Target, *x509.CertPool) {}, ""},
		{"another CA", false, nil, func(o *origin.Target, _ *x509.CertPool) { o.Roots = certtest.NewCA().Pool() }, ""},
		{"another name", false, nil, func(o *origin.Target, roots *x509.CertPool) { o.Roots, o.ServerName = roots, "other.example" }, ""},
		{"no client certificate", false, asking, func(o *origin.Target, roots *x509.CertPool) { o.Roots = roots }, ""},
		{"TLS 1.1", false, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, func(o *origin.Target, roots *x509.CertPool) { o.Roots = roots }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, ca := secureOrigin(t, tt.second, tt.server)
			target := &origin.Target{Scheme: origin.HTTPS, Addr: s.Listener.Addr().String()}
			tt.target(target, ca.Pool())
			p := newPool(t, origin.Options{})
			for range 2 {
				_, body, err := do(t, p, target, get())
				if strings.TrimSpace(body) != strings.TrimSpace(tt.want) || (err == nil) != (tt.want != "") {
					t.Errorf("%q, %v", body, err)
				}
				if err != nil && !strings.Contains(err.Error(), "origin") {
					t.Errorf("the error does not say where: %v", err)
				}
			}
		})
	}
}

// TestTLS_pools: applications with other roots or another certificate do not
// share connections.
func TestTLS_pools(t *testing.T) {
	t.Parallel()
	s, ca := secureOrigin(t, false, nil)
	p := newPool(t, origin.Options{})
	good := &origin.Target{Scheme: origin.HTTPS, Addr: s.Listener.Addr().String(), Roots: ca.Pool(), ID: "a"}
	if _, _, err := do(t, p, good, get()); err != nil {
		t.Fatal(err)
	}
	bad := &origin.Target{Scheme: origin.HTTPS, Addr: good.Addr, Roots: certtest.NewCA().Pool(), ID: "b"}
	if _, body, err := do(t, p, bad, get()); err == nil {
		t.Errorf("answered %q over a connection that its own roots do not vouch for", body)
	}
}

// TestTLS_surplus: what TLS has decrypted already beyond the answer counts as
// left over, too.
func TestTLS_surplus(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA()
	config := &tls.Config{
		Certificates:                []tls.Certificate{ca.Issue(certtest.Server(), certtest.IP("127.0.0.1")).TLSChain()},
		DynamicRecordSizingDisabled: true, // all in one record
	}
	long := strings.Repeat("x", 9000)
	s := serve(t, func(conn net.Conn, _ *bufio.Reader, _ int) {
		secure := tls.Server(conn, config)
		in := bufio.NewReader(secure)
		for {
			if _, err := readRequest(in); err != nil {
				return
			}
			_, _ = io.WriteString(secure, "HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"+long+okay)
		}
	})
	p := newPool(t, origin.Options{})
	target := &origin.Target{Scheme: origin.HTTPS, Addr: s.Addr().String(), Roots: ca.Pool()}
	buf := make([]byte, 16<<10) // larger than any buffer between: the rest stays with TLS
	for range 2 {
		res, err := p.Do(t.Context(), target, get())
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.ReadFull(res, buf)
		if string(buf[:n]) != long {
			t.Errorf("%.20q, %v", buf[:n], err)
		}
		res.Close()
	}
	if n := s.accepted.Load(); n != 2 {
		t.Errorf("%d connections for two requests", n)
	}
}

// TestHTTP2: requests keep their target and body, in prior knowledge as by
// ALPN, and an origin that goes back to HTTP/1.1 is followed.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-A")
		w.Header().Set("X-Te", r.Header.Get("Te")+r.Header.Get("User-Agent"))
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = fmt.Fprintf(w, "%s %s %s %s", r.Proto, r.Host, r.RequestURI, body)
		w.Header().Set("X-A", "b")
	})
	s := httptest.NewUnstartedServer(handler)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	p := newPool(t, origin.Options{})
	target := &origin.Target{Scheme: origin.H2C, Addr: s.Listener.Addr().String()}
	for _, path := range []string{"/", "/a%2fb//c/../d?x=%zz;y", "//a/b?", "/?"} {
		r := post("abc")
		r.Target, r.Trailers = path, true
		hints := 0
		r.Informational = func(int) { hints++ }
		res, body, err := do(t, p, target, r)
		if want := "HTTP/2.0 app.example " + path + " abc"; err != nil || body != want {
			t.Errorf("%q, want %q: %v", body, want, err)
			continue
		}
		if res.Trailer.Get("X-A") != "b" || hints != 1 || res.Header.Get("X-Te") != "trailers" {
			t.Errorf("trailer %v, %d hints, header %v", res.Trailer, hints, res.Header)
		}
	}
}

func TestHTTP2_backToHTTP1(t *testing.T) {
	t.Parallel()
	s, ca := secureOrigin(t, true, nil)
	p := newPool(t, origin.Options{})
	target := &origin.Target{Scheme: origin.HTTPS, Addr: s.Listener.Addr().String(), Roots: ca.Pool()}
	if _, body, err := do(t, p, target, get()); err != nil || !strings.HasPrefix(body, "HTTP/2.0") {
		t.Fatalf("%q, %v", body, err)
	}
	old := s.Listener.Addr().String()
	certificates := s.TLS.Certificates
	s.Close()
	l, err := net.Listen("tcp", old)
	if err != nil {
		t.Fatal(err)
	}
	again := &http.Server{
		Handler:  http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }),
		ErrorLog: discard,
	}
	t.Cleanup(func() { _ = again.Close() })
	go func() {
		_ = again.Serve(tls.NewListener(l, &tls.Config{Certificates: certificates, NextProtos: []string{"http/1.1"}}))
	}()
	eventually(t, "HTTP/1.1 is spoken", func() bool {
		_, body, err := do(t, p, target, get())
		return err == nil && body == "HTTP/1.1"
	})
}

// TestHTTP2_timeouts: an origin that one application has little patience with
// keeps its time for another.
func TestHTTP2_timeouts(t *testing.T) {
	t.Parallel()
	s, ca := secureOrigin(t, true, nil)
	answer, slow := s.Config.Handler, make(chan struct{})
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-slow
		answer.ServeHTTP(w, r)
	})
	p := newPool(t, origin.Options{})
	hasty := &origin.Target{Scheme: origin.HTTPS, Addr: s.Listener.Addr().String(), Roots: ca.Pool(), HeaderTimeout: 100 * time.Millisecond}
	patient := *hasty
	patient.HeaderTimeout = 0
	_, _, err := do(t, p, hasty, get())
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		t.Errorf("without patience: %v", err)
	}
	defer time.AfterFunc(300*time.Millisecond, func() { close(slow) }).Stop()
	if _, _, err := do(t, p, &patient, get()); err != nil {
		t.Errorf("with patience: %v", err)
	}
}

// TestHTTP2_spare: of two connections that are made at once one is enough. The
// other is not kept to be used when it is dead.
func TestHTTP2_spare(t *testing.T) {
	t.Parallel()
	var handshakes atomic.Int32
	late := make(chan struct{})
	s, ca := secureOrigin(t, true, func(c *tls.Config) {
		c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if handshakes.Add(1) == 2 {
				<-late
			}
			return nil, nil //nolint:nilnil // crypto/tls: the configuration that there is
		}
	})
	p := newPool(t, origin.Options{})
	target := &origin.Target{Scheme: origin.HTTPS, Addr: s.Listener.Addr().String(), Roots: ca.Pool()}
	answered := make(chan error, 2)
	for range 2 {
		go func() {
			_, _, err := do(t, p, target, get())
			answered <- err
		}()
	}
	eventually(t, "both have dialled", func() bool { return handshakes.Load() == 2 })
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	close(late)
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	if got := origin.Spares(p); got != 0 {
		t.Errorf("%d connections are left over", got)
	}
}
