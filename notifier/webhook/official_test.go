package webhook_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/notifier/notifiertest"
	"github.com/certvigil/certvigil/notifier/webhook"
)

// signed are the formats whose secret is not the receiver's own key.
func signed() []string {
	var names []string
	for _, f := range webhook.Formats() {
		if f != webhook.FormatPagerDuty {
			names = append(names, f)
		}
	}
	return names
}

// TestOfficial_StandardWebhooks: what the receiver's own library accepts, and
// only as it was sent.
func TestOfficial_StandardWebhooks(t *testing.T) {
	t.Parallel()
	key := []byte("0123456789abcdef0123456789abcdef")
	secret := "whsec_" + base64.StdEncoding.EncodeToString(key)
	library, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range signed() {
		for name, m := range notifiertest.Samples() {
			t.Run(format+"/"+name, func(t *testing.T) {
				t.Parallel()
				server, got := receive(t, nil)
				o := options(t, format, server.URL)
				o.Secret, o.Now = secret, time.Now // the library holds the timestamp to the clock
				if err := channel(t, o).Send(t.Context(), m); err != nil {
					t.Fatal(err)
				}
				r := <-got
				if err := library.Verify(r.body, r.header); err != nil {
					t.Errorf("the library refuses it: %v", err)
				}
				if id := r.header.Get("Webhook-Id"); id != m.ID {
					t.Errorf("webhook-id %q, want the delivery's id %q", id, m.ID)
				}
				if library.Verify(append(r.body, ' '), r.header) == nil {
					t.Error("the library accepts another body")
				}
			})
		}
	}
}

// TestOfficial_StandardWebhooks_text: a secret that is no whsec_ counts byte by
// byte.
func TestOfficial_StandardWebhooks_text(t *testing.T) {
	t.Parallel()
	library, err := standardwebhooks.NewWebhookRaw([]byte("s3cret text"))
	if err != nil {
		t.Fatal(err)
	}
	server, got := receive(t, nil)
	c := channel(t, webhook.Options{URL: server.URL, Format: "standard", Secret: "s3cret text", Now: time.Now})
	if err := c.Send(t.Context(), notifiertest.One()); err != nil {
		t.Fatal(err)
	}
	r := <-got
	if err := library.Verify(r.body, r.header); err != nil {
		t.Error(err)
	}
}

// While one secret replaces another, who knows either accepts the message.
func TestOfficial_StandardWebhooks_rotation(t *testing.T) {
	t.Parallel()
	server, got := receive(t, nil)
	c := channel(t, webhook.Options{URL: server.URL, Format: "access", Secret: "the new one", PreviousSecret: "the old one", Now: time.Now})
	if err := c.Send(t.Context(), notifiertest.One()); err != nil {
		t.Fatal(err)
	}
	r := <-got
	if auth := r.header.Get("Cf-Webhook-Auth"); auth != "the new one" {
		t.Errorf("cf-webhook-auth %q", auth)
	}
	for secret, want := range map[string]bool{"the new one": true, "the old one": true, "another": false} {
		library, err := standardwebhooks.NewWebhookRaw([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		if err := library.Verify(r.body, r.header); (err == nil) != want {
			t.Errorf("%s: %v", secret, err)
		}
	}
}

// cloudEvent reads a request as the official SDK does.
func cloudEvent(t *testing.T, r request) cloudevents.Event {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(r.body))
	req.Header = r.header
	event, err := cehttp.NewEventFromHTTPRequest(req)
	if err != nil {
		t.Fatalf("the SDK refuses it: %v", err)
	}
	if err := event.Validate(); err != nil {
		t.Fatalf("the SDK calls it invalid: %v", err)
	}
	return *event
}

func TestOfficial_CloudEvents(t *testing.T) {
	t.Parallel()
	messages := notifiertest.WorstCases()
	for name, m := range notifiertest.Samples() {
		messages["plain "+name] = m
	}
	for name, m := range messages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, got := receive(t, nil)
			c := channel(t, webhook.Options{URL: server.URL, Format: "cloudevents"})
			for range 2 {
				if err := c.Send(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			first, again := cloudEvent(t, <-got), cloudEvent(t, <-got)
			if first.ID() != m.ID || first.ID() != again.ID() || first.Source() != m.AdminURL || first.SpecVersion() != "1.0" {
				t.Errorf("id %q, again %q, source %q, version %s", first.ID(), again.ID(), first.Source(), first.SpecVersion())
			}
			if !first.Time().Equal(m.CreatedAt) || first.DataContentType() != "application/json" || !strings.HasPrefix(first.Type(), "com.github.certvigil.") {
				t.Errorf("time %s, content type %q, type %q", first.Time(), first.DataContentType(), first.Type())
			}
			wantData(t, first, m)
		})
	}
}

func wantData(t *testing.T, event cloudevents.Event, m notifier.Message) {
	t.Helper()
	var data struct {
		Title  string
		Alerts []json.RawMessage
		More   int
	}
	if err := event.DataAs(&data); err != nil {
		t.Fatal(err)
	}
	if data.Title == "" || len(data.Alerts)+data.More != len(m.Entries) {
		t.Errorf("title %q, %d alerts and %d more of %d", data.Title, len(data.Alerts), data.More, len(m.Entries))
	}
}
