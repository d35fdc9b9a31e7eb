package notifier_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/notifier"
)

// overheard posts to a server and returns what a listener is told, with the
// address of the server as HOST.
func overheard(t *testing.T, server *httptest.Server, path string, secrets ...string) string {
	t.Helper()
	var told []string
	ctx := notifier.Hiding(notifier.Overhear(t.Context(), func(by notifier.Speaker, line string) {
		told = append(told, string(by)+" "+line)
	}), secrets...)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer t0ken-of-the-hook")
	req.Header.Set("Webhook-Id", "0123")
	if resp, err := notifier.NewHTTPClient(5*time.Second, nil).Do(req); err == nil {
		defer func() { _ = resp.Body.Close() }()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			told = append(told, "the body cannot be read: "+err.Error())
		}
	}
	return strings.ReplaceAll(strings.Join(told, "\n"), strings.TrimPrefix(server.URL, "http://"), "HOST")
}

func TestOverhear_HTTP(t *testing.T) {
	t.Parallel()
	const request = `> POST http://HOST/[redacted]
> Authorization: [redacted]
> Content-Type: application/json
> Webhook-Id: 0123
> (2 bytes)
`
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"accepted": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") },
			"< HTTP/1.1 200 OK\n< Content-Type: text/plain; charset=utf-8\n< ok",
		},
		"without a body": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, "< HTTP/1.1 204 No Content"},
		"limited": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		}, "< HTTP/1.1 429 Too Many Requests\n< Retry-After: 7"},
		"an echo of all secrets": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", r.RequestURI)
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusFound)
			_, _ = fmt.Fprintf(w, "%s\n%s signing-secret", r.RequestURI, r.Header.Get("Authorization"))
		}, "< HTTP/1.1 302 Found\n< Content-Type: text/plain\n< Location: [redacted]\n< [redacted] [redacted] [redacted]"},
		"control characters": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "\x1b[2Jgone\xff")
		}, "< HTTP/1.1 200 OK\n< Content-Type: text/plain\n< [2Jgone?"},
		"too long": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, strings.Repeat("a", 280)+"signing-secret"+strings.Repeat("b", 1000))
		}, "< HTTP/1.1 200 OK\n< Content-Type: text/plain\n< " + strings.Repeat("a", 280) + "[redact… (1003 more)"},
		"no answer": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "* EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tt.answer)
			t.Cleanup(server.Close)
			got := overheard(t, server, "/services/T0PSECRET?key=k3y-of-the-query", "signing-secret")
			if diff := cmp.Diff(request+tt.want, got); diff != "" {
				t.Errorf("the conversation (-want +got):\n%s", diff)
			}
		})
	}
}

// The body that was told of is read as if nobody had listened.
func TestOverhear_LeavesTheBody(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789", 20_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, long) }))
	t.Cleanup(server.Close)
	ctx := notifier.Overhear(t.Context(), func(notifier.Speaker, string) {})
	for _, ctx := range []context.Context{ctx, t.Context()} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := notifier.NewHTTPClient(5*time.Second, nil).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(got) != long {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
}
