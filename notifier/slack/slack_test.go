package slack_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/notifier/notifiertest"
	"github.com/certvigil/certvigil/notifier/slack"
)

const (
	path  = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
	token = "xoxb-not-a-real-token-0123456789"
)

// receive starts a receiver that keeps bodies and answers by answer.
func receive(t *testing.T, answer http.HandlerFunc) (*httptest.Server, <-chan []byte) {
	t.Helper()
	got := make(chan []byte, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- body
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server, got
}

func channel(t *testing.T, o slack.Options) *slack.Channel {
	t.Helper()
	o.Now = func() time.Time { return notifiertest.Now }
	if o.Interval == 0 {
		o.Interval = time.Microsecond
	}
	c, err := slack.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSend_golden(t *testing.T) {
	t.Parallel()
	samples := notifiertest.Samples()
	samples["worst"] = notifiertest.Worst()
	for name, m := range samples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, got := receive(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
			if err := channel(t, slack.Options{WebhookURL: server.URL + path}).Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := json.Indent(&b, <-got, "", "  "); err != nil {
				t.Fatal(err)
			}
			notifiertest.Golden(t, name, append(b.Bytes(), '\n'))
		})
	}
}

type verdict string

func of(err error) verdict {
	_, limited := notifier.IsRetryAfter(err)
	switch {
	case err == nil:
		return "sent"
	case notifier.IsPermanent(err):
		return "permanent"
	case notifier.IsChannelFailing(err):
		return "failing"
	case limited:
		return "limited"
	}
	return "transient"
}

func TestSend_webhookAnswers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name       string
		status     int
		retryAfter string
		body       string
		want       verdict
		after      time.Duration
	}{
		{"ok", 200, "", "ok", "sent", 0},
		{"invalid payload", 400, "", "invalid_payload", "permanent", 0},
		{"archived", 410, "", "channel_is_archived", "failing", 0},
		{"revoked webhook", 400, "", "invalid_token", "failing", 0},
		{"a page in between", 400, "", "<html>no</html>", "permanent", 0},
		{"forbidden", 403, "", "action_prohibited", "failing", 0},
		{"unknown webhook", 404, "", "no_service", "failing", 0},
		{"limit in seconds", 429, "30", "", "limited", 30 * time.Second},
		{"limit as a date", 429, notifiertest.Now.Add(time.Minute).Format(http.TimeFormat), "", "limited", time.Minute},
		{"limit without a wait", 429, "", "", "limited", 0},
		{"server error", 500, "", "rollup_error", "transient", 0},
		{"redirect", 302, "", "", "transient", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server, _ := receive(t, func(w http.ResponseWriter, r *http.Request) {
				if tc.retryAfter != "" {
					w.Header().Set("Retry-After", tc.retryAfter)
				}
				w.Header().Set("Location", r.URL.String())
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			})
			err := channel(t, slack.Options{WebhookURL: server.URL + path}).Send(t.Context(), notifiertest.One())
			after, _ := notifier.IsRetryAfter(err)
			if of(err) != tc.want || after != tc.after {
				t.Errorf("%s after %s, want %s after %s: %v", of(err), after, tc.want, tc.after, err)
			}
			if err != nil && (!strings.Contains(err.Error(), tc.body) || strings.Contains(err.Error(), "XXXX")) {
				t.Errorf("error %q", err)
			}
		})
	}
}

func TestSend_unreachable(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(nil)
	gone.Close()
	release := make(chan struct{})
	hanging, _ := receive(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	for name, o := range map[string]slack.Options{
		"webhook, nobody there": {WebhookURL: gone.URL + path},
		"webhook, no answer":    {WebhookURL: hanging.URL + path, Timeout: 50 * time.Millisecond},
		"token, nobody there":   {Token: token, Channel: "#ops", APIURL: gone.URL},
		"token, no answer":      {Token: token, Channel: "#ops", APIURL: hanging.URL, Timeout: 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			err := channel(t, o).Send(t.Context(), notifiertest.One())
			if of(err) != "transient" {
				t.Errorf("%s: %v", of(err), err)
			}
			if strings.Contains(err.Error(), "XXXX") || strings.Contains(err.Error(), token) {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

func TestNew_refuses(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]slack.Options{
		"neither":                  {},
		"both":                     {WebhookURL: "https://hooks.example.com" + path, Token: token, Channel: "#ops"},
		"a token without channel":  {Token: token},
		"a URL that is none":       {WebhookURL: "hooks.example.com" + path},
		"a URL of another scheme":  {WebhookURL: "file://hooks.example.com" + path},
		"a URL that is unreadable": {WebhookURL: "https://hooks example.com\x7f" + path},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := slack.New(o)
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "XXXX") || strings.Contains(err.Error(), token) {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

// TestControl holds that an address that is refused is not dialled.
func TestControl(t *testing.T) {
	t.Parallel()
	asked := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(server.Close)
	refuse := func(string, string, syscall.RawConn) error { return errors.New("not there") }
	c, err := slack.New(slack.Options{WebhookURL: server.URL + "/services/T/B/x", Control: refuse})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(t.Context(), notifiertest.One()); !notifier.IsChannelFailing(err) || asked {
		t.Errorf("error %v, asked: %t", err, asked)
	}
}
