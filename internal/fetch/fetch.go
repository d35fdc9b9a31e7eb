// Package fetch gets documents over HTTP from servers that are not trusted to
// behave: revocation lists from their distribution points. It asks only for
// what changed since the last time.
//
// Every step has a deadline and every answer a size. Whatever is not plainly
// the document, or plainly "not modified", is an error, so that a caller keeps
// what it has. Errors name the host and the status, and never the query or the
// credentials of a URL, which may be secret.
package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/certvigil/certvigil/internal/egress"
	"github.com/certvigil/certvigil/internal/fault"
)

const (
	defaultTimeout  = 30 * time.Second
	defaultMaxBytes = 64 << 20
	maxHeader       = 64 << 10
	maxRedirects    = 3
	userAgent       = "certvigil"
)

// Options say how documents are fetched. The zero value is of use.
type Options struct {
	Timeout  time.Duration  // of a whole Get, redirects and body; 0 = 30 s
	MaxBytes int64          // of a document; 0 = 64 MiB
	Roots    *x509.CertPool // that servers are verified by; nil = the system's
	Now      func() time.Time
}

// A Fetcher fetches documents. It may be used concurrently.
type Fetcher struct {
	options   Options
	proxy     func(*url.URL) (*url.URL, error)
	transport *http.Transport
	resolver  *net.Resolver                             // nil = the system's
	check     func(egress.Policy, netip.AddrPort) error // of what is dialled
}

// A Request says what to get, and which version of it is known already.
type Request struct {
	URL          string // http or https
	ETag         string // of the known version, as its Result had it; may be empty
	LastModified string // likewise
}

// A Result is a document, or the word that the known version is current.
type Result struct {
	Body         []byte // nil when NotModified
	NotModified  bool
	ETag         string        // for the next Request; empty when there is none
	LastModified string        // likewise
	MaxAge       time.Duration // for how long the server says that it stays current; 0 = it does not say
}

// New returns a Fetcher. It honours HTTP_PROXY, HTTPS_PROXY and NO_PROXY as
// they are now.
func New(options Options) *Fetcher {
	if options.Timeout == 0 {
		options.Timeout = defaultTimeout
	}
	if options.MaxBytes == 0 {
		options.MaxBytes = defaultMaxBytes
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	f := &Fetcher{options: options, proxy: httpproxy.FromEnvironment().ProxyFunc(), check: func(p egress.Policy, addr netip.AddrPort) error { return p.Check(addr.Addr()) }}
	// The deadline of every step is that of the whole, in the context.
	f.transport = &http.Transport{
		Proxy:                  func(r *http.Request) (*url.URL, error) { return f.proxy(r.URL) },
		DialContext:            f.dial,
		TLSClientConfig:        &tls.Config{RootCAs: options.Roots, MinVersion: tls.VersionTLS12},
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true, // the size of what arrives is the size of the document
		DisableKeepAlives:      true, // the next look is hours away
		ForceAttemptHTTP2:      true,
	}
	return f
}

// Get fetches a document. It follows at most three redirects, to http and
// https alone, never from https to http, and never from a public server into a
// private network. Metadata services are not asked at all. Errors are faults;
// when ctx has ended, they are ctx's.
func (f *Fetcher) Get(ctx context.Context, r Request) (Result, error) {
	at, err := parseURL(r.URL)
	if err != nil {
		return Result{}, err
	}
	limited, cancel := context.WithTimeout(ctx, f.options.Timeout)
	defer cancel()
	w := &way{policy: egress.Policy{AllowPrivate: true}}
	limited = context.WithValue(limited, wayKey{}, w)
	for range maxRedirects + 1 {
		if err := w.next(f, at); err != nil {
			return Result{}, refusedTarget(at, err)
		}
		result, next, err := f.step(limited, at, r)
		switch {
		case err != nil && ctx.Err() != nil:
			return Result{}, fmt.Errorf("fetching from %s: %w", at.Host, ctx.Err())
		case err != nil && (limited.Err() != nil || isTimeout(err)):
			return Result{}, fault.New(fault.Unavailable, "fetch_timeout", "%s gave no complete answer within %s", at.Host, f.options.Timeout).
				WithHint("see whether the server is slow, or out of reach from here")
		case err != nil || next == nil:
			return result, err
		}
		at = next
	}
	return Result{}, fault.New(fault.Unavailable, "fetch_redirect", "%s redirects once more after %d redirects", at.Host, maxRedirects).
		WithHint("give the address at which the document is in the end")
}

// parseURL refuses what is not http or https. The text of the URL is not told.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fault.New(fault.Invalid, "fetch_url", "the address to fetch from is not an http or https URL").
			WithHint("write it as https://HOST/PATH")
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// step does one request. It returns where to go next when the answer is a
// redirect.
func (f *Fetcher) step(ctx context.Context, at *url.URL, r Request) (Result, *url.URL, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return Result{}, nil, fault.New(fault.Invalid, "fetch_url", "no request can be made for the address of %s", at.Host).
			WithHint("write it as https://HOST/PATH")
	}
	request.Header.Set("User-Agent", userAgent)
	if at.User != nil {
		password, _ := at.User.Password()
		request.SetBasicAuth(at.User.Username(), password)
	}
	if r.ETag != "" {
		request.Header.Set("If-None-Match", r.ETag)
	}
	if r.LastModified != "" {
		request.Header.Set("If-Modified-Since", r.LastModified)
	}
	response, err := f.transport.RoundTrip(request) // redirects are followed by Get
	if err != nil {
		return Result{}, nil, connectionFault(at, err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		result, err := f.document(at, response)
		return result, nil, err
	case http.StatusNotModified:
		result, err := f.notModified(at, r, response.Header)
		return result, nil, err
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		next, err := redirect(at, response.Header.Get("Location"))
		return Result{}, next, err
	}
	return Result{}, nil, fault.New(fault.Unavailable, "fetch_status", "%s answered %d %s", at.Host, response.StatusCode, http.StatusText(response.StatusCode)).
		WithHint("see whether the address is still right, and the server well")
}

func (f *Fetcher) document(at *url.URL, response *http.Response) (Result, error) {
	if e := response.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return Result{}, fault.New(fault.Unavailable, "fetch_encoding", "%s encoded the document, which was not asked for", at.Host).
			WithHint("have the server send it without Content-Encoding")
	}
	if response.ContentLength > f.options.MaxBytes {
		return Result{}, f.tooLarge(at)
	}
	// What is announced may be a lie: it is what arrives that is counted.
	body, err := io.ReadAll(io.LimitReader(response.Body, f.options.MaxBytes+1))
	if err != nil {
		return Result{}, connectionFault(at, err)
	}
	if int64(len(body)) > f.options.MaxBytes {
		return Result{}, f.tooLarge(at)
	}
	return Result{
		Body: body, ETag: validator(response.Header, "ETag"), LastModified: validator(response.Header, "Last-Modified"),
		MaxAge: maxAge(response.Header, f.options.Now()),
	}, nil
}

func (f *Fetcher) tooLarge(at *url.URL) error {
	return fault.New(fault.TooLarge, "fetch_too_large", "%s sends more than the %d bytes that are allowed", at.Host, f.options.MaxBytes).
		WithHint("see whether the address is that of the document")
}

// notModified believes a 304 only where there is a version that it can mean.
func (f *Fetcher) notModified(at *url.URL, r Request, header http.Header) (Result, error) {
	if r.ETag == "" && r.LastModified == "" {
		return Result{}, fault.New(fault.Unavailable, "fetch_not_modified", "%s answered 304 Not Modified, though it was not told of a version", at.Host).
			WithHint("the server, or a cache before it, is at fault")
	}
	result := Result{NotModified: true, ETag: r.ETag, LastModified: r.LastModified, MaxAge: maxAge(header, f.options.Now())}
	if etag := validator(header, "ETag"); etag != "" {
		result.ETag = etag
	}
	if modified := validator(header, "Last-Modified"); modified != "" {
		result.LastModified = modified
	}
	return result, nil
}

// redirect returns where a Location leads.
func redirect(at *url.URL, location string) (*url.URL, error) {
	refuse := func(why string) error {
		return fault.New(fault.Unavailable, "fetch_redirect", "%s redirects %s", at.Host, why).
			WithHint("give the address at which the document is in the end")
	}
	next, err := at.Parse(location)
	switch {
	case err != nil || location == "":
		return nil, refuse("without saying where to")
	case next.Scheme != "http" && next.Scheme != "https" || next.Hostname() == "":
		return nil, refuse("to what is not an http or https URL")
	case at.Scheme == "https" && next.Scheme == "http":
		return nil, refuse("from https to http, which anybody on the way could have changed")
	}
	// Credentials go to the server that they were given for, and no other.
	next.User = nil
	if next.Scheme == at.Scheme && next.Host == at.Host {
		next.User = at.User
	}
	next.Fragment, next.RawFragment = "", ""
	return next, nil
}

// isTimeout reports whether the net package noticed the deadline, which it may
// do before the context has ended.
func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// refusedTarget tells that a server is not asked at all.
func refusedTarget(at *url.URL, refusal error) error {
	return fault.New(fault.KindOf(refusal), "fetch_address", "%s is not asked: %w", at.Host, refusal).
		WithHint("a public server may not lead into a private network, and metadata services are never asked: give the address at which the document is in the end")
}

// connectionFault tells why there is no answer.
func connectionFault(at *url.URL, err error) error {
	if refusal, ok := egress.Refused(err); ok {
		return refusedTarget(at, refusal)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fault.New(fault.Unavailable, "fetch_tls", "the certificate of %s does not verify: %w", at.Host, oneLine{err}).
			WithHint("have the server use a certificate of a CA that is known here")
	}
	return fault.New(fault.Unavailable, "fetch_failed", "fetching from %s: %w", at.Host, oneLine{err}).
		WithHint("see whether the server is up, and within reach from here")
}

// A oneLine is an error whose text, which may be the server's own words, is cut
// to one line.
type oneLine struct{ error }

// Unwrap returns the whole error.
func (o oneLine) Unwrap() error { return o.error }

// Error returns the text in one line, and at most the beginning of a long one.
func (o oneLine) Error() string {
	const longest = 200
	text := strings.Join(strings.Fields(strings.ToValidUTF8(o.error.Error(), "?")), " ")
	if r := []rune(text); len(r) > longest {
		return string(r[:longest]) + "…"
	}
	return text
}
