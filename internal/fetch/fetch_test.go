package fetch_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/fetch"
)

// patience is the time limit of tests that do not wait for it.
const patience = time.Minute

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func serveTLS(t *testing.T, handler http.HandlerFunc) (server *httptest.Server, roots *x509.CertPool) {
	t.Helper()
	server = httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	roots = x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server, roots
}

// checkFault holds an error to its rule, and to not telling the parts of a URL
// that the tests write as "s3cret".
func checkFault(t *testing.T, err error, rule string) {
	t.Helper()
	if fault.Rule(err) != rule || fault.Hint(err) == "" || fault.KindOf(err) == fault.Internal {
		t.Errorf("the error is %q of rule %q with hint %q, want rule %q", err, fault.Rule(err), fault.Hint(err), rule)
	}
	if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(fault.Hint(err), "s3cret")) {
		t.Errorf("the error tells a secret: %v", err)
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	var seen http.Header
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Last-Modified", "Sun, 01 Mar 2026 12:00:00 GMT")
		w.Header().Set("Cache-Control", "public, max-age=3600")
		io.WriteString(w, "document")
	})
	got, err := fetch.New(fetch.Options{Timeout: patience}).Get(t.Context(), fetch.Request{URL: server.URL + "/ca.crl?key=s3cret#here"})
	if err != nil {
		t.Fatal(err)
	}
	want := fetch.Result{Body: []byte("document"), ETag: `"1"`, LastModified: "Sun, 01 Mar 2026 12:00:00 GMT", MaxAge: time.Hour}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(http.Header{"User-Agent": {"certvigil"}, "Connection": {"close"}}, seen); diff != "" {
		t.Errorf("what was asked (-want +got):\n%s", diff)
	}
}

func TestGet_Conditional(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != `"1"` || r.Header.Get("If-Modified-Since") != "Sun, 01 Mar 2026 12:00:00 GMT" {
			http.Error(w, "no validators", http.StatusTeapot)
			return
		}
		w.Header().Set("ETag", `"2"`)
		w.Header().Set("Cache-Control", "max-age=60")
		w.WriteHeader(http.StatusNotModified)
	})
	got, err := fetch.New(fetch.Options{Timeout: patience}).Get(t.Context(),
		fetch.Request{URL: server.URL, ETag: `"1"`, LastModified: "Sun, 01 Mar 2026 12:00:00 GMT"})
	if err != nil {
		t.Fatal(err)
	}
	want := fetch.Result{NotModified: true, ETag: `"2"`, LastModified: "Sun, 01 Mar 2026 12:00:00 GMT", MaxAge: time.Minute}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestGet_Refused(t *testing.T) {
	t.Parallel()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	to := func(location string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusFound)
		}
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		rule    string
	}{
		{"not found", status(http.StatusNotFound), "fetch_status"},
		{"a server's error", status(http.StatusInternalServerError), "fetch_status"},
		{"no content", status(http.StatusNoContent), "fetch_status"},
		{"a part", status(http.StatusPartialContent), "fetch_status"},
		{"304 to an unconditional request", status(http.StatusNotModified), "fetch_not_modified"},
		{"too large, announced", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "101")
			w.(http.Flusher).Flush()
			<-r.Context().Done() // the client does not wait for it
		}, "fetch_too_large"},
		{"too large, unannounced", func(w http.ResponseWriter, _ *http.Request) {
			for range 102 {
				w.Write([]byte{0})
				w.(http.Flusher).Flush()
			}
		}, "fetch_too_large"},
		{"shorter than announced", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "50")
			w.Write([]byte("cut"))
		}, "fetch_failed"},
		{"compressed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write([]byte("x"))
		}, "fetch_encoding"},
		{"a header without end", func(w http.ResponseWriter, _ *http.Request) {
			for i := range 100 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 1000))
			}
		}, "fetch_failed"},
		{"a redirect loop", to("?again=s3cret"), "fetch_redirect"},
		{"a redirect to a file", to("file:///etc/passwd?s3cret"), "fetch_redirect"},
		{"a redirect to ftp", to("ftp://ftp.example.test/s3cret"), "fetch_redirect"},
		{"a redirect to no host", to("http:///s3cret"), "fetch_redirect"},
		{"a redirect to nowhere", to(""), "fetch_redirect"},
		{"a redirect that does not parse", to("http://s3cret%zz/"), "fetch_redirect"},
		{"a broken answer", func(w http.ResponseWriter, _ *http.Request) { raw(w, "SMTP\r\n\r\n") }, "fetch_failed"},
		{"a closed connection", func(w http.ResponseWriter, _ *http.Request) { raw(w, "") }, "fetch_failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, tt.handler)
			target := strings.Replace(server.URL, "://", "://user:s3cret@", 1) + "/ca.crl?key=s3cret"
			_, err := fetch.New(fetch.Options{Timeout: patience, MaxBytes: 100}).Get(t.Context(), fetch.Request{URL: target})
			checkFault(t, err, tt.rule)
			if !strings.Contains(fmt.Sprint(err), server.Listener.Addr().String()) {
				t.Errorf("the error does not name the host: %v", err)
			}
		})
	}
}

// raw answers with bytes of our own and closes the connection.
func raw(w http.ResponseWriter, answer string) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	io.WriteString(conn, answer)
	conn.Close()
}

func TestGet_StatusIsNamed(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	_, err := fetch.New(fetch.Options{Timeout: patience}).Get(t.Context(), fetch.Request{URL: server.URL})
	if want := server.Listener.Addr().String() + " answered 404 Not Found"; err == nil || err.Error() != want {
		t.Errorf("the error is %q, want %q", err, want)
	}
}

func TestGet_JustLargeEnough(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 100)) })
	got, err := fetch.New(fetch.Options{Timeout: patience, MaxBytes: 100}).Get(t.Context(), fetch.Request{URL: server.URL})
	if err != nil || len(got.Body) != 100 {
		t.Errorf("%d bytes: %v", len(got.Body), err)
	}
}

// TestGet_Slow holds every step to the one deadline: each handler goes on until
// the client leaves.
func TestGet_Slow(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"head": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"body": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.Write([]byte{0})
				w.(http.Flusher).Flush()
				select {
				case <-time.After(10 * time.Millisecond):
				case <-r.Context().Done():
				}
			}
		},
		"redirected": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				http.Redirect(w, r, "/there", http.StatusFound)
				return
			}
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, handler)
			_, err := fetch.New(fetch.Options{Timeout: 200 * time.Millisecond}).Get(t.Context(), fetch.Request{URL: server.URL})
			checkFault(t, err, "fetch_timeout")
		})
	}
}

// TestGet_SilentServer accepts connections and says nothing: TLS never begins.
func TestGet_SilentServer(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	_, err = fetch.New(fetch.Options{Timeout: 200 * time.Millisecond}).Get(t.Context(), fetch.Request{URL: "https://" + listener.Addr().String()})
	checkFault(t, err, "fetch_timeout")
}

func TestGet_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, err := fetch.New(fetch.Options{Timeout: patience}).Get(ctx, fetch.Request{URL: server.URL + "?s3cret"})
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error is %v", err)
	}
}

func TestGet_NothingListens(t *testing.T) {
	t.Parallel()
	server := serve(t, nil)
	server.Close()
	_, err := fetch.New(fetch.Options{Timeout: patience}).Get(t.Context(), fetch.Request{URL: server.URL + "?s3cret"})
	checkFault(t, err, "fetch_failed")
}

func TestGet_URL(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"", "ca.crl", "/ca.crl", "ftp://s3cret/ca.crl", "file:///s3cret", "http://", "http://:80/", "http://s3cret%zz/", "https:s3cret"} {
		_, err := fetch.New(fetch.Options{Timeout: patience}).Get(t.Context(), fetch.Request{URL: target})
		checkFault(t, err, "fetch_url")
	}
}

func TestGet_Redirects(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch r.URL.Path {
		case "/4":
			http.Redirect(w, r, "/3", http.StatusPermanentRedirect)
		case "/3":
			http.Redirect(w, r, "/2", http.StatusMovedPermanently)
		case "/2":
			http.Redirect(w, r, "/1?"+r.URL.RawQuery, http.StatusSeeOther)
		case "/1":
			http.Redirect(w, r, "/0", http.StatusTemporaryRedirect)
		case "/0":
			fmt.Fprintf(w, "%s:%s %q %q", user, password, r.Header.Get("Referer"), r.Header.Get("If-None-Match"))
		}
	})
	fetcher := fetch.New(fetch.Options{Timeout: patience})
	target := strings.Replace(server.URL, "://", "://user:s3cret@", 1)
	got, err := fetcher.Get(t.Context(), fetch.Request{URL: target + "/3?s3cret", ETag: "e"})
	if want := `user:s3cret "" "e"`; err != nil || string(got.Body) != want {
		t.Errorf("three redirects: %q, %v, want %q", got.Body, err, want)
	}
	_, err = fetcher.Get(t.Context(), fetch.Request{URL: target + "/4"})
	checkFault(t, err, "fetch_redirect")
}

func TestGet_RedirectToAnotherServer(t *testing.T) {
	t.Parallel()
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q", r.Header.Get("Authorization"), r.Header.Get("Referer"))
	})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) })
	got, err := fetch.New(fetch.Options{Timeout: patience}).Get(t.Context(),
		fetch.Request{URL: strings.Replace(server.URL, "://", "://user:s3cret@", 1) + "?key=s3cret"})
	if err != nil || string(got.Body) != `"" ""` {
		t.Errorf("the other server is told %s: %v", got.Body, err)
	}
}

func TestGet_TLS(t *testing.T) {
	t.Parallel()
	plain := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "plain") })
	server, roots := serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/down" {
			http.Redirect(w, r, plain.URL, http.StatusFound)
			return
		}
		fmt.Fprint(w, r.Proto)
	})
	up := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, server.URL, http.StatusFound) })
	trusting := fetch.New(fetch.Options{Timeout: patience, Roots: roots})
	get := func(f *fetch.Fetcher, target string) (string, error) {
		got, err := f.Get(t.Context(), fetch.Request{URL: target})
		return string(got.Body), err
	}
	if body, err := get(trusting, server.URL); err != nil || body != "HTTP/1.1" {
		t.Errorf("a trusted server: %q, %v", body, err)
	}
	if body, err := get(trusting, up.URL); err != nil || body != "HTTP/1.1" {
		t.Errorf("from http to https: %q, %v", body, err)
	}
	_, err := get(trusting, server.URL+"/down?s3cret")
	checkFault(t, err, "fetch_redirect")
	_, err = get(fetch.New(fetch.Options{Timeout: patience, Roots: x509.NewCertPool()}), server.URL+"?s3cret")
	checkFault(t, err, "fetch_tls")
	_, err = get(trusting, strings.Replace(plain.URL, "http:", "https:", 1)+"?s3cret")
	checkFault(t, err, "fetch_failed")
}

func TestGet_OldTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, err := fetch.New(fetch.Options{Timeout: patience}).Get(t.Context(), fetch.Request{URL: server.URL})
	checkFault(t, err, "fetch_failed")
}

// TestGet_IntoAPrivateNetwork follows redirects to a server of this host, from
// one that counts as public.
func TestGet_IntoAPrivateNetwork(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	inner := serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	outer := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	})
	_, port, err := net.SplitHostPort(inner.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	resolver := rebinding(t)
	const public, private = true, false
	for _, tt := range []struct {
		name, to string
		outer    bool
		refused  bool
	}{
		{"from public to an address", inner.URL + "/?s3cret", public, true},
		{"from public to a name of this host", "http://localhost:" + port + "/?s3cret", public, true},
		{"from public to a name that leads here", "http://elsewhere.example.test:" + port + "/?s3cret", public, true},
		{"from public by another public one", outer.URL + "/?to=" + url.QueryEscape(inner.URL+"/?s3cret"), public, true},
		{"from private to private", inner.URL + "/?s3cret", private, false},
		{"from private to metadata", "http://169.254.169.254/latest/?s3cret", private, true},
		{"from private to metadata by name", "http://metadata.google.internal/?s3cret", private, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := reached.Load()
			f := fetch.New(fetch.Options{Timeout: patience})
			f.ResolveBy(resolver)
			if tt.outer == public {
				f.CountAsPublic(outer.Listener.Addr().String())
			}
			_, err := f.Get(t.Context(), fetch.Request{URL: outer.URL + "/?to=" + url.QueryEscape(tt.to)})
			if tt.refused {
				checkFault(t, err, "fetch_address")
			} else if err != nil {
				t.Error(err)
			}
			if (reached.Load() != before) == tt.refused {
				t.Errorf("the inner server was asked %d times", reached.Load()-before)
			}
		})
	}
}

// rebinding returns a resolver to which every name is one of this host.
func rebinding(t *testing.T) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		buffer := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			var message dnsmessage.Message
			if message.Unpack(buffer[:n]) != nil || len(message.Questions) != 1 {
				continue
			}
			message.Response, message.Additionals = true, nil
			if q := message.Questions[0]; q.Type == dnsmessage.TypeA {
				message.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
					Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
				}}
			}
			if packed, err := message.Pack(); err == nil {
				server.WriteTo(packed, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// TestGet_ProxyAndRedirect: what a proxy reaches is the proxy's choice, but an
// address of this network is not asked for by a public server's word.
func TestGet_ProxyAndRedirect(t *testing.T) { // not parallel: it sets the environment
	var asked []string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Host)
		http.Redirect(w, r, "http://10.0.0.1/?s3cret", http.StatusFound)
	})
	t.Setenv("HTTP_PROXY", server.URL)
	_, err := fetch.New(fetch.Options{Timeout: patience}).Get(t.Context(), fetch.Request{URL: "http://crl.example.test/ca.crl"})
	checkFault(t, err, "fetch_address")
	if diff := cmp.Diff([]string{"crl.example.test"}, asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}

func TestGet_Proxy(t *testing.T) { // not parallel: it sets the environment
	var asked string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.String()
		io.WriteString(w, "by proxy")
	})
	t.Setenv("HTTP_PROXY", server.URL)
	got, err := fetch.New(fetch.Options{Timeout: patience}).Get(t.Context(), fetch.Request{URL: "http://crl.example.test/ca.crl"})
	if err != nil || string(got.Body) != "by proxy" || asked != "http://crl.example.test/ca.crl" {
		t.Errorf("%q of %q: %v", got.Body, asked, err)
	}
}
