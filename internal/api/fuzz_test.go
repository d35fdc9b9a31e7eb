package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/api"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// knownToken knows one token, by its secret.
type knownToken string

func (k knownToken) TokenByHash(_ context.Context, hash []byte) (inventory.Token, error) {
	known := inventory.HashToken(string(k))
	if string(known) != string(hash) {
		return inventory.Token{}, fault.New(fault.NotFound, "no_token", "there is no such token")
	}
	return inventory.Token{ID: "t", Scopes: []string{inventory.ScopeRenew}, Hash: known}, nil
}

func (knownToken) TouchToken(context.Context, string, time.Time) error { return nil }

// FuzzRouter holds that no request brings a 5xx or a panic, and that every
// refusal is a problem.
func FuzzRouter(f *testing.F) {
	const pem = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
	f.Add("POST", "/renewals?item=x", "Bearer cvt_x", "application/x-pem-file", pem)
	f.Add("POST", "/renewals", "Bearer cvt_x", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"certificate\"\r\n\r\n"+pem+"\r\n--b--\r\n")
	f.Add("POST", "/renewals", "Bearer cvt_y", "multipart/form-data; boundary=", "--")
	f.Add("GET", "/healthz", "", "", "")
	f.Add("HEAD", "/readyz", "", "", "")
	f.Add("OPTIONS", "*", "", "", "")
	f.Add("CONNECT", "//renewals/../healthz", "Basic x", "", "")
	f.Add("PUT", "/%2e%2e/%00", "bearer", "text/plain; x", "")
	handler, err := api.New(api.Options{
		Tokens: knownToken("cvt_x"),
		Renewer: renewerFunc(func(_ context.Context, r inventory.RenewRequest) (inventory.Renewal, error) {
			_, err := cert.ParsePEMCertificates(r.Data)
			return inventory.Renewal{Status: inventory.StatusRenewed}, err
		}),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, target, authorization, contentType, body string) {
		r, err := http.NewRequest(method, "http://admin.example.com"+target, strings.NewReader(body))
		if err != nil {
			t.Skip("no request")
		}
		r.RequestURI = target
		r.Header.Set("Authorization", authorization)
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		// ServeMux answers "*" and redirects unclean paths by itself.
		if w.Code >= 400 && target != "*" && w.Header().Get("Content-Type") != "application/problem+json" {
			t.Fatalf("status %d with %q: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	})
}
