package demo

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"time"
)

// A request is one HTTP exchange, and the curl command that repeats it.
type request struct {
	URL     string
	Dial    string // where to connect in place of the URL's host; "" = the URL's
	CACert  string // file of the CA of the server
	Cert    string // files of the client's certificate and key
	Key     string
	Method  string // "" = GET
	Headers map[string]string
	Body    string // file to send
}

// A response is what came back.
type response struct {
	Status int
	Proto  string
	Header http.Header
	Body   string
}

// curl returns the words of the command that repeats the request.
func (r request) curl() []string {
	words := []string{"curl", "-si"}
	if r.CACert != "" {
		words = append(words, "--cacert", r.CACert)
	}
	if r.Dial != "" {
		host, port, _ := net.SplitHostPort(hostOf(r.URL))
		ip, _, _ := net.SplitHostPort(r.Dial)
		words = append(words, "--resolve", host+":"+port+":"+ip)
	}
	if r.Cert != "" {
		words = append(words, "--cert", r.Cert, "--key", r.Key)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		words = append(words, "-H", name+": "+r.Headers[name])
	}
	if r.Body != "" {
		words = append(words, "--data-binary", "@"+r.Body)
	}
	return append(words, r.URL)
}

// do carries the request out over a connection of its own.
func (r request) do(ctx context.Context) (response, error) {
	tlsConfig, err := r.tlsConfig()
	if err != nil {
		return response{}, err
	}
	transport := &http.Transport{TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true, DisableKeepAlives: true, TLSHandshakeTimeout: 10 * time.Second}
	if r.Dial != "" {
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, r.Dial)
		}
	}
	defer transport.CloseIdleConnections()
	req, err := r.build(ctx)
	if err != nil {
		return response{}, err
	}
	client := &http.Client{Transport: transport, Timeout: 15 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(req)
	if err != nil {
		return response{}, fmt.Errorf("requesting %s: %w", r.URL, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	return response{Status: answer.StatusCode, Proto: answer.Proto, Header: answer.Header, Body: string(body)}, err
}

func (r request) build(ctx context.Context) (*http.Request, error) {
	method, body := r.Method, []byte(nil)
	if method == "" {
		method = http.MethodGet
	}
	if r.Body != "" {
		var err error
		if body, err = os.ReadFile(r.Body); err != nil {
			return nil, err
		}
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, r.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range r.Headers {
		req.Header.Set(name, value)
	}
	return req, nil
}

func (r request) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if r.CACert != "" {
		data, err := os.ReadFile(r.CACert)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("%s holds no certificate", r.CACert)
		}
	}
	if r.Cert != "" {
		pair, err := tls.LoadX509KeyPair(r.Cert, r.Key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func hostOf(rawURL string) string {
	req, err := http.NewRequest(http.MethodGet, rawURL, nil)
	if err != nil {
		return ""
	}
	return req.URL.Host
}
