package notifier_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/notifier/notifiertest"
)

func TestResponseError(t *testing.T) {
	t.Parallel()
	const transient, permanent, failing, limited = "transient", "permanent", "failing", "limited"
	for _, tc := range []struct {
		status     int
		retryAfter string
		want       string
		after      time.Duration
	}{
		{200, "", "", 0},
		{202, "", "", 0},
		{204, "", "", 0},
		{299, "", "", 0},
		{301, "", transient, 0},
		{302, "", transient, 0},
		{307, "", transient, 0},
		{400, "", permanent, 0},
		{410, "", permanent, 0},
		{401, "", failing, 0},
		{403, "", failing, 0},
		{404, "", failing, 0},
		{408, "", transient, 0},
		{409, "", transient, 0},
		{413, "", transient, 0},
		{422, "", transient, 0},
		{429, "", limited, 0},
		{429, "30", limited, 30 * time.Second},
		{429, "soon", limited, 0},
		{429, "-1", limited, 0},
		{429, "99999999999999999", limited, 24 * time.Hour},
		{429, "999999999999999999999999", limited, 0},
		{429, notifiertest.Now.Add(90 * time.Second).Format(http.TimeFormat), limited, 90 * time.Second},
		{429, notifiertest.Now.Add(-time.Hour).Format(http.TimeFormat), limited, 0},
		{500, "", transient, 0},
		{502, "", transient, 0},
		{503, "", transient, 0},
		{503, "120", limited, 2 * time.Minute},
	} {
		h := http.Header{}
		if tc.retryAfter != "" {
			h.Set("Retry-After", tc.retryAfter)
		}
		err := notifier.ResponseError(tc.status, h, "", notifiertest.Now)
		after, isLimited := notifier.IsRetryAfter(err)
		got := transient
		switch {
		case err == nil:
			got = ""
		case notifier.IsPermanent(err):
			got = permanent
		case notifier.IsChannelFailing(err):
			got = failing
		case isLimited:
			got = limited
		}
		if got != tc.want || after != tc.after {
			t.Errorf("%d with Retry-After %q: %s after %s, want %s after %s", tc.status, tc.retryAfter, got, after, tc.want, tc.after)
		}
	}
}

func TestTransportError_hidesTheURL(t *testing.T) {
	t.Parallel()
	refused := errors.New("connection refused")
	got := notifier.TransportError(fmt.Errorf("posting: %w", &url.Error{Op: "Post", URL: "https://example.com/T0KEN", Err: refused}))
	if !errors.Is(got, refused) || strings.Contains(got.Error(), "T0KEN") {
		t.Errorf("got %v", got)
	}
}

func TestReadAnswer(t *testing.T) {
	t.Parallel()
	got := notifier.ReadAnswer(strings.NewReader("no\r\n\tservice " + strings.Repeat("x", 1<<20)))
	if !strings.HasPrefix(got, "no service x") || len(got) > 210 {
		t.Errorf("got %d bytes: %.40q", len(got), got)
	}
}

// Wherever an answer is cut off, it does not end in half a secret.
func TestReadAnswer_NoHalfSecret(t *testing.T) {
	t.Parallel()
	const secret = "B0000/XXXXXXXXXXXXXXXXXXXXXXXX"
	for before := 160; before < 210; before++ {
		if got := notifier.ReadAnswer(strings.NewReader(strings.Repeat("-", before)+secret+" unknown"), secret); strings.Contains(got, "B0") {
			t.Errorf("after %d characters: …%s", before, got[150:])
		}
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	u, err := url.Parse("https://user:hunter2@hooks.example.com/services/T0000/B0000/XXXXXXXXXXXX?key=0123456789")
	if err != nil {
		t.Fatal(err)
	}
	secrets := notifier.URLSecrets(u)
	for _, text := range []string{
		"no route " + u.RequestURI(), "token XXXXXXXXXXXX unknown", "key 0123456789 unknown", "wrong hunter2", u.String(),
		"Authorization: Basic dXNlcjpodW50ZXIy",
	} {
		got := notifier.Redact(notifier.ChannelFailing(errors.New(text)), secrets...)
		for _, s := range []string{"XXXXXXXXXXXX", "0123456789", "hunter2", "dXNlcjpodW50ZXIy"} {
			if strings.Contains(got.Error(), s) {
				t.Errorf("%q tells %q", got, s)
			}
		}
		if !notifier.IsChannelFailing(got) {
			t.Errorf("%q lost its verdict", got)
		}
	}
	if notifier.Redact(nil, "x") != nil {
		t.Error("no error became one")
	}
	same := errors.New("nothing to hide")
	if got := notifier.Redact(same, "", "x"); !errors.Is(got, same) {
		t.Error("an error without a secret was changed")
	}
}

// A guarded client dials nothing that control refuses, whoever listens, and one
// that cannot be guarded dials nothing at all.
func TestGuard(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{}, 8)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached <- struct{}{} }))
	t.Cleanup(server.Close)
	refusal := errors.New("not into this network")
	for name, tt := range map[string]struct {
		client  *http.Client
		control notifier.Control
		want    error
	}{
		"allowed":        {notifier.NewHTTPClient(time.Second, nil), func(string, string, syscall.RawConn) error { return nil }, nil},
		"without":        {notifier.NewHTTPClient(time.Second, nil), nil, nil},
		"refused":        {notifier.NewHTTPClient(time.Second, nil), func(string, string, syscall.RawConn) error { return refusal }, refusal},
		"of no guarding": {&http.Client{}, func(string, string, syscall.RawConn) error { return nil }, errors.ErrUnsupported},
	} {
		notifier.Guard(tt.client, tt.control)
		for _, ctx := range []context.Context{t.Context(), notifier.Overhear(t.Context(), func(notifier.Speaker, string) {})} {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := tt.client.Do(req)
			if err == nil {
				_ = resp.Body.Close()
				<-reached
			}
			switch {
			case tt.want == nil && err != nil, tt.want != nil && !errors.Is(err, tt.want):
				t.Errorf("%s: %v, want %v", name, err, tt.want)
			case len(reached) > 0:
				t.Errorf("%s: the server was reached", name)
			}
		}
	}
}
