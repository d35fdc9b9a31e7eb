package webhook_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/notifier/notifiertest"
	"github.com/certvigil/certvigil/notifier/webhook"
	"github.com/certvigil/certvigil/templates"
)

// A request is what the receiver got.
type request struct {
	header http.Header
	body   []byte
	target string
}

// receive starts a receiver that keeps what it gets and answers by answer.
func receive(t *testing.T, answer http.HandlerFunc) (*httptest.Server, chan request) {
	t.Helper()
	got := make(chan request, 400)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- request{r.Header.Clone(), body, r.URL.RequestURI()}
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server, got
}

func channel(t *testing.T, o webhook.Options) *webhook.Channel {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return notifiertest.Now }
	}
	c, err := webhook.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// options are what each format needs, for a receiver at that URL.
func options(t *testing.T, format, url string) webhook.Options {
	t.Helper()
	o := webhook.Options{URL: url, Format: format, AccountID: "9035f53656c247e895c5a6939ae8a0e0"}
	switch format {
	case webhook.FormatPagerDuty:
		o.Secret = "R0UTINGKEY0123456789012345678901"
	case webhook.FormatTemplate:
		o.Template = ownTemplate(t, "testdata/own.tmpl")
	}
	return o
}

func ownTemplate(t *testing.T, path string) *templates.Body {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	body, err := templates.ParseBody(path, string(source), "application/json")
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func indent(t *testing.T, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, body, "", "  "); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return append(b.Bytes(), '\n')
}

func TestSend_golden(t *testing.T) {
	t.Parallel()
	for _, format := range webhook.Formats() {
		for name, m := range notifiertest.Samples() {
			t.Run(format+"/"+name, func(t *testing.T) {
				t.Parallel()
				server, got := receive(t, nil)
				if err := channel(t, options(t, format, server.URL)).Send(t.Context(), m); err != nil {
					t.Fatal(err)
				}
				close(got)
				var bodies []byte
				for r := range got {
					bodies = append(bodies, indent(t, r.body)...)
				}
				notifiertest.Golden(t, format+"-"+name, bodies)
			})
		}
	}
}

// The keys of the reference's documented example, in its order.
func TestSend_accessKeys(t *testing.T) {
	t.Parallel()
	server, got := receive(t, nil)
	if err := channel(t, webhook.Options{URL: server.URL, AccountID: "9035f53656c247e895c5a6939ae8a0e0"}).Send(t.Context(), notifiertest.One()); err != nil {
		t.Fatal(err)
	}
	body := (<-got).body
	var keys []string
	for _, m := range regexp.MustCompile(`"(\w+)":`).FindAllSubmatch(regexp.MustCompile(`"text":"(\\.|[^"\\])*"`).ReplaceAll(body, []byte(`"text":""`)), -1) {
		keys = append(keys, string(m[1]))
	}
	want := "account_id alert_correlation_id alert_event alert_type data account_name account_tag certificate_id " +
		"days_til_expiration hostnames zone_name zone_tag name policy_id policy_name text ts"
	if strings.Join(keys, " ") != want {
		t.Errorf("keys %s\nwant %s", strings.Join(keys, " "), want)
	}
}

type accessBody struct {
	AccountID     *string `json:"account_id"`
	CorrelationID string  `json:"alert_correlation_id"`
	AlertEvent    string  `json:"alert_event"`
	AlertType     string  `json:"alert_type"`
	Data          struct {
		Certificate string `json:"certificate_id"`

		Days      int    `json:"days_til_expiration"`
		Hostnames string `json:"hostnames"`
	} `json:"data"`
	Name       string `json:"name"`
	PolicyID   string `json:"policy_id"`
	PolicyName string `json:"policy_name"`
	TS         int64  `json:"ts"`
}

func sendAccess(t *testing.T, m notifier.Message) accessBody {
	t.Helper()
	server, got := receive(t, nil)
	if err := channel(t, webhook.Options{URL: server.URL}).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	var b accessBody
	if err := json.Unmarshal((<-got).body, &b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSend_accessDays(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		left time.Duration
		want int
	}{
		{"long expired", -400 * alert.Day, 0},
		{"a second ago", -time.Second, 0},
		{"now", 0, 0},
		{"a second left", time.Second, 1},
		{"exactly one day", alert.Day, 1},
		{"one day and a second", alert.Day + time.Second, 2},
		{"13 d 4 h", 13*alert.Day + 4*time.Hour, 14},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := sendAccess(t, notifiertest.Message(notifiertest.Entry(notifiertest.Item(alert.KindCA, "Root", tc.left), 14*alert.Day, alert.EventExpiring)))
			if b.Data.Days != tc.want {
				t.Errorf("got %d, want %d", b.Data.Days, tc.want)
			}
		})
	}
}

// What the API calls a certificate is a bundle: with the id of one of its items
// nobody would find it there.
func TestSend_accessCertificate(t *testing.T) {
	t.Parallel()
	item := notifiertest.Item(alert.KindCA, "Root", alert.Day)
	alone := sendAccess(t, notifiertest.Message(notifiertest.Entry(item, 14*alert.Day, alert.EventExpiring)))
	item.BundleIDs = []string{"first", "second"}
	bundled := sendAccess(t, notifiertest.Message(notifiertest.Entry(item, 14*alert.Day, alert.EventExpiring)))
	if alone.Data.Certificate != item.ID || bundled.Data.Certificate != "first" {
		t.Errorf("certificate_id is %q, in a bundle %q", alone.Data.Certificate, bundled.Data.Certificate)
	}
}

func TestSend_accessIdentities(t *testing.T) {
	t.Parallel()
	item := notifiertest.Item(alert.KindClient, "James Royal", alert.Day)
	start := sendAccess(t, notifiertest.Message(notifiertest.Entry(item, 14*alert.Day, alert.EventExpiring)))
	end := sendAccess(t, notifiertest.Message(notifiertest.Entry(item, 0, alert.EventRenewed)))
	item.Epoch++
	next := sendAccess(t, notifiertest.Message(notifiertest.Entry(item, 14*alert.Day, alert.EventExpiring)))
	hex32 := regexp.MustCompile(`^[0-9a-f]{32}$`)
	if !hex32.MatchString(start.CorrelationID) || !hex32.MatchString(start.PolicyID) {
		t.Errorf("ids are not 32 hex digits: %q %q", start.CorrelationID, start.PolicyID)
	}
	if start.CorrelationID != end.CorrelationID || start.CorrelationID == next.CorrelationID {
		t.Errorf("correlation ids: start %s, end %s, next epoch %s", start.CorrelationID, end.CorrelationID, next.CorrelationID)
	}
	if start.AlertEvent != "ALERT_STATE_EVENT_START" || end.AlertEvent != "ALERT_STATE_EVENT_END" {
		t.Errorf("events %s, %s", start.AlertEvent, end.AlertEvent)
	}
	if start.AccountID != nil {
		t.Error("account_id is there although none is configured")
	}
	if start.Name != "default" || start.PolicyName != start.Name || start.TS != notifiertest.Now.Unix() {
		t.Errorf("name %q, policy_name %q, ts %d", start.Name, start.PolicyName, start.TS)
	}
	if start.AlertType != "access_custom_certificate_expiration_type" || start.Data.Hostnames != "orders.example.com,*.internal.example.com" {
		t.Errorf("type %q, hostnames %q", start.AlertType, start.Data.Hostnames)
	}
}

// verify recomputes a Standard Webhooks signature from the specification.
func verify(t *testing.T, r request, key []byte) {
	t.Helper()
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, r.header.Get("Webhook-Id")+"."+r.header.Get("Webhook-Timestamp")+"."+string(r.body))
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if got := r.header.Get("Webhook-Signature"); got != want {
		t.Errorf("signature %q, want %q", got, want)
	}
	if got := r.header.Get("Webhook-Timestamp"); got != "1790755200" {
		t.Errorf("timestamp %q", got)
	}
	if got := r.header.Get("Webhook-Id"); got != notifiertest.One().ID {
		t.Errorf("id %q", got)
	}
}

func TestSend_signature(t *testing.T) {
	t.Parallel()
	key := []byte("0123456789abcdef0123456789abcdef")
	for _, tc := range []struct {
		name, format, secret string
		key                  []byte
		auth                 string
	}{
		{"access, text", "access", "s3cret text", []byte("s3cret text"), "s3cret text"},
		{"standard, text", "standard", "s3cret text", []byte("s3cret text"), ""},
		{"standard, whsec", "standard", "whsec_" + base64.StdEncoding.EncodeToString(key), key, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server, got := receive(t, nil)
			c := channel(t, webhook.Options{URL: server.URL, Format: tc.format, Secret: tc.secret})
			if err := c.Send(t.Context(), notifiertest.One()); err != nil {
				t.Fatal(err)
			}
			r := <-got
			verify(t, r, tc.key)
			if auth := r.header.Get("Cf-Webhook-Auth"); auth != tc.auth {
				t.Errorf("cf-webhook-auth %q, want %q", auth, tc.auth)
			}
			if ct := r.header.Get("Content-Type"); ct != "application/json" {
				t.Errorf("content type %q", ct)
			}
		})
	}
}

func TestSend_noSecret(t *testing.T) {
	t.Parallel()
	server, got := receive(t, nil)
	if err := channel(t, webhook.Options{URL: server.URL}).Send(t.Context(), notifiertest.One()); err != nil {
		t.Fatal(err)
	}
	r := <-got
	if id := r.header.Get("Webhook-Id"); id != notifiertest.One().ID {
		t.Errorf("webhook-id %q", id)
	}
	for _, h := range []string{"Webhook-Signature", "Webhook-Timestamp", "Cf-Webhook-Auth"} {
		if r.header.Get(h) != "" {
			t.Errorf("%s is there without a secret", h)
		}
	}
}

func TestSend_answers(t *testing.T) {
	t.Parallel()
	const secret = "topsecret-signing"
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		check  func(err error) bool
	}{
		{"204 is success", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, func(err error) bool { return err == nil }},
		{"a redirect is a failure", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, func(err error) bool {
			return err != nil && !notifier.IsPermanent(err) && !notifier.IsChannelFailing(err)
		}},
		{"400 echoing secrets", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			_, _ = io.WriteString(w, "bad "+r.URL.String()+" "+r.Header.Get("cf-webhook-auth"))
		}, notifier.IsPermanent},
		{"404 is a failing channel", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, notifier.IsChannelFailing},
		{"429 with a wait", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(429)
		}, func(err error) bool {
			after, ok := notifier.IsRetryAfter(err)
			return ok && after == 7*time.Second
		}},
		{"an endless body", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			junk := bytes.Repeat([]byte("x"), 32<<10)
			for range 1000 {
				if _, err := w.Write(junk); err != nil {
					return
				}
			}
		}, func(err error) bool { return err != nil && len(err.Error()) < 400 }},
		{"a connection cut off", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, func(err error) bool {
			return err != nil && !notifier.IsPermanent(err) && !notifier.IsChannelFailing(err)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server, got := receive(t, tc.answer)
			err := channel(t, webhook.Options{URL: server.URL + "/T0KEN-IN-PATH?key=k3y-1n-query", Secret: secret}).Send(t.Context(), notifiertest.One())
			if !tc.check(err) {
				t.Errorf("got %v", err)
			}
			wantNoSecret(t, err, secret, "T0KEN-IN-PATH", "k3y-1n-query")
			if n := len(got); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func wantNoSecret(t *testing.T, err error, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if err != nil && strings.Contains(err.Error(), s) {
			t.Errorf("the error tells %q: %v", s, err)
		}
	}
}

func TestSend_hangs(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server, _ := receive(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	err := channel(t, webhook.Options{URL: server.URL + "/T0KEN-IN-PATH", Timeout: 50 * time.Millisecond}).Send(t.Context(), notifiertest.One())
	if err == nil || notifier.IsPermanent(err) || notifier.IsChannelFailing(err) {
		t.Errorf("got %v", err)
	}
	wantNoSecret(t, err, "T0KEN-IN-PATH")
}

func TestSend_certificate(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	if err := channel(t, webhook.Options{URL: server.URL}).Send(t.Context(), notifiertest.One()); !notifier.IsChannelFailing(err) {
		t.Errorf("a certificate nobody trusts: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	if err := channel(t, webhook.Options{URL: server.URL, TLS: &tls.Config{RootCAs: roots}}).Send(t.Context(), notifiertest.One()); err != nil {
		t.Errorf("a trusted certificate: %v", err)
	}
}

func TestSend_refused(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(nil)
	server.Close()
	err := channel(t, webhook.Options{URL: server.URL + "/T0KEN-IN-PATH"}).Send(t.Context(), notifiertest.One())
	if err == nil || notifier.IsPermanent(err) || notifier.IsChannelFailing(err) {
		t.Errorf("got %v", err)
	}
	wantNoSecret(t, err, "T0KEN-IN-PATH")
}

func TestNew_refuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		o     webhook.Options
		field string
	}{
		{"no URL", webhook.Options{}, "url"},
		{"relative URL", webhook.Options{URL: "/T0KEN"}, "url"},
		{"another scheme", webhook.Options{URL: "ftp://example.com/T0KEN"}, "url"},
		{"a URL that does not parse", webhook.Options{URL: "https://exa mple/T0KEN\x7f"}, "url"},
		{"PagerDuty without its key", webhook.Options{Format: "pagerduty"}, "secret"},
		{"a template without one", webhook.Options{URL: "https://example.com", Format: "template"}, "template_file"},
		{"authorization with a line break", webhook.Options{URL: "https://example.com", Authorization: "Bearer T0KEN\r\nX-Evil: 1"}, "authorization"},
		{"unknown format", webhook.Options{URL: "https://example.com", Format: "carrier-pigeon"}, "format"},
		{"secret with a line break", webhook.Options{URL: "https://example.com", Secret: "T0KEN\r\nX-Evil: 1"}, "secret"},
		{"whsec without base64", webhook.Options{URL: "https://example.com", Secret: "whsec_T0KEN!"}, "secret"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := webhook.New(tc.o)
			if !fault.Is(err, fault.Invalid) || fault.Field(err) != tc.field {
				t.Errorf("got %v, field %q", err, fault.Field(err))
			}
			wantNoSecret(t, err, "T0KEN")
		})
	}
}

func TestSingle(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]bool{"": true, "access": true, "pagerduty": true, "standard": false, "alertmanager": false} {
		if got := webhook.Single(format); got != want {
			t.Errorf("Single(%q) is %v", format, got)
		}
	}
}

// TestSendText holds the text to be the whole body, signed like any other.
func TestSendText(t *testing.T) {
	t.Parallel()
	server, got := receive(t, nil)
	c := channel(t, webhook.Options{URL: server.URL, Secret: "s3cret"})
	if err := c.SendText(t.Context(), "id-1", "<hello> & welcome"); err != nil {
		t.Fatal(err)
	}
	r := <-got
	if string(r.body) != `{"text":"<hello> & welcome"}` || r.header.Get("cf-webhook-auth") != "s3cret" || r.header.Get("webhook-id") != "id-1" || r.header.Get("webhook-signature") == "" {
		t.Errorf("sent %s with %v", r.body, r.header)
	}
	refusing, _ := receive(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "s3cret is wrong")
	})
	err := channel(t, webhook.Options{URL: refusing.URL, Secret: "s3cret"}).SendText(t.Context(), "id-2", "hello")
	if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "403") {
		t.Errorf("error %v", err)
	}
}

// TestAccess_PolicyID holds that a rule with an id is known by it.
func TestAccess_PolicyID(t *testing.T) {
	t.Parallel()
	server, got := receive(t, nil)
	m := notifiertest.One()
	m.RuleID = "0da2b59e-f118-439d-8097-bdfb215203c9"
	if err := channel(t, webhook.Options{URL: server.URL}).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	var body struct {
		PolicyID   string `json:"policy_id"`
		PolicyName string `json:"policy_name"`
	}
	if err := json.Unmarshal((<-got).body, &body); err != nil || body.PolicyID != "0da2b59ef118439d8097bdfb215203c9" || body.PolicyName != m.Rule {
		t.Errorf("%+v, %v", body, err)
	}
}

// TestControl holds that a destination whose address is refused is not dialled,
// also through a proxy, and waits for somebody to mend it.
func TestControl(t *testing.T) {
	proxy, proxied := receive(t, nil)
	server, got := receive(t, nil)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	var dialled []string
	allow := func(_, address string, _ syscall.RawConn) error {
		dialled = append(dialled, address)
		return nil
	}
	refuse := func(string, string, syscall.RawConn) error { return errors.New("not there") }
	m := notifiertest.One()
	if err := channel(t, webhook.Options{URL: server.URL, Control: allow}).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	<-got
	if len(dialled) != 1 || dialled[0] != strings.TrimPrefix(server.URL, "http://") || len(proxied) > 0 {
		t.Errorf("dialled %v, and %d times the proxy", dialled, len(proxied))
	}
	err := channel(t, webhook.Options{URL: "http://hooks.example.invalid.:1/", Control: refuse}).Send(t.Context(), m)
	if err == nil || len(proxied) > 0 {
		t.Errorf("a name by the proxy: %v", err)
	}
	err = channel(t, webhook.Options{URL: server.URL, Control: refuse}).Send(t.Context(), m)
	if !notifier.IsChannelFailing(err) || !strings.Contains(err.Error(), "not there") || len(got) > 0 {
		t.Errorf("a refused address: %v", err)
	}
}
