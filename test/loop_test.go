package walkthrough_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLoop: whoever was told that something expires is told that it was
// renewed, in the place where they were told, and nothing stays open.
func TestLoop(t *testing.T) {
	t.Run("one", func(t *testing.T) {
		p := startPostfix(t)
		t.Setenv("SSL_CERT_FILE", filepath.Join(p.dir, "cert.pem"))
		isClosed(t, newCircle(t, p))
	})
	t.Run("thirty at once", func(t *testing.T) {
		p := startPostfix(t)
		t.Setenv("SSL_CERT_FILE", filepath.Join(p.dir, "cert.pem"))
		isClosedAtOnce(t, newCircle(t, p), 30)
	})
}

// isClosed follows one CA on each channel.
func isClosed(t *testing.T, c *circle) {
	t.Helper()
	ca := newAuthority(t, "Partner CA")
	c.add(t, ca)
	startDaemon(t, c.certvigil, c.config, c.admin)
	first := c.mail.letters(t, 1, "CA certificate")
	c.await(t, map[string]int{"pager": 1, "slack": 1, "standard": 1, "events": 1})
	c.alertmanagerHolds(t, 1)

	if code := c.renew(t, ca); code != http.StatusCreated {
		t.Fatalf("POST /renewals: %d", code)
	}
	letters := c.mail.letters(t, 2, "CA certificate")
	c.await(t, map[string]int{"pager": 2, "slack": 2, "standard": 2, "events": 2})
	c.alertmanagerHolds(t, 0)

	thread := first[0].header.Get("References")
	i := slices.IndexFunc(letters, func(l letter) bool { return strings.HasSuffix(l.subject, "was renewed") })
	if i < 0 || thread == "" || letters[i].header.Get("References") != thread {
		t.Errorf("no renewed mail in the thread %s: %+v", thread, letters)
	}
	if got := c.posted("slack")[1].Body; !strings.Contains(got, "Partner CA") || !strings.Contains(got, "was renewed") {
		t.Errorf("Slack was told %s", got)
	}
	pages := []page{read[page](t, c.posted("pager")[0]), read[page](t, c.posted("pager")[1])}
	if pages[0].Action != "trigger" || pages[1].Action != "resolve" || pages[0].DedupKey == "" || pages[0].DedupKey != pages[1].DedupKey || pages[1].RoutingKey != "routing-key" {
		t.Errorf("PagerDuty was told %+v", pages)
	}
	told := []standard{read[standard](t, c.posted("standard")[0]), read[standard](t, c.posted("standard")[1])}
	if told[0].Type != "item.expiring" || told[1].Type != "item.renewed" || told[0].Data.Alerts[0].Key != told[1].Data.Alerts[0].Key {
		t.Errorf("the webhook was told %+v", told)
	}
	events := []event{read[event](t, c.posted("events")[0]), read[event](t, c.posted("events")[1])}
	if events[0].Type != "com.github.certvigil.item.expiring" || events[1].Type != "com.github.certvigil.item.renewed" || events[0].Subject != events[1].Subject ||
		events[0].ID == events[1].ID || events[1].SpecVersion != "1.0" {
		t.Errorf("the events are %+v", events)
	}
}

// isClosedAtOnce renews many CAs within seconds: one message each where people
// read, and one for each item where programs keep incidents.
func isClosedAtOnce(t *testing.T, c *circle, many int) {
	t.Helper()
	var cas []authority
	for n := range many {
		cas = append(cas, newAuthority(t, fmt.Sprintf("CA %02d", n)))
		c.add(t, cas[n])
	}
	startDaemon(t, c.certvigil, c.config, c.admin)
	c.mail.letters(t, 1, fmt.Sprintf("%d expiring", many))
	const alone, summary = 20, 1 // of the items of one scan
	c.await(t, map[string]int{"pager": alone + summary, "slack": 1, "standard": 1, "events": 1})
	c.alertmanagerHolds(t, many)
	for _, ca := range cas {
		if code := c.renew(t, ca); code != http.StatusCreated {
			t.Fatalf("POST /renewals of %s: %d", ca.name, code)
		}
	}
	if got := c.mail.letters(t, 2, fmt.Sprintf("%d renewed", many)); len(got) != 1 || got[0].header.Get("References") != "" {
		t.Errorf("mails: %+v", got)
	}
	c.await(t, map[string]int{"pager": alone + summary + many, "slack": 2, "standard": 2, "events": 2})
	c.alertmanagerHolds(t, 0)
	told := map[string]map[string]bool{"trigger": {}, "resolve": {}}
	for _, p := range c.posted("pager") {
		p := read[page](t, p)
		told[p.Action][p.DedupKey] = true
	}
	maps.DeleteFunc(told["trigger"], func(key string, _ bool) bool { return told["resolve"][key] })
	if len(told["trigger"]) != summary || len(told["resolve"]) != many {
		t.Errorf("%d incidents are open, want the summary alone; %d were resolved, want %d", len(told["trigger"]), len(told["resolve"]), many)
	}
	if alerts := read[standard](t, c.posted("standard")[1]).Data.Alerts; len(alerts) != many {
		t.Errorf("the webhook heard of %d renewals", len(alerts))
	}
}

// What receivers read of a message.
type (
	page struct {
		RoutingKey string `json:"routing_key"`
		Action     string `json:"event_action"`
		DedupKey   string `json:"dedup_key"`
	}
	standard struct {
		Type string
		Data struct{ Alerts []struct{ Key string } }
	}
	event struct{ SpecVersion, ID, Type, Subject string }
)

func read[T any](t *testing.T, p parcel) T {
	t.Helper()
	var v T
	must(t, json.Unmarshal([]byte(p.Body), &v))
	return v
}

// A circle is a configuration that tells one of each kind of receiver.
type circle struct {
	postbox

	mail         postfix
	alertmanager string // URL
	token        string

	mu    sync.Mutex
	posts map[string][]parcel // by channel
}

// A parcel is one post.
type parcel struct {
	Header http.Header
	Body   string
}

func newCircle(t *testing.T, p postfix) *circle {
	t.Helper()
	c := &circle{postbox: newPostbox(t), mail: p, alertmanager: startAlertmanager(t), posts: map[string][]parcel{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.take(t, w, r) }))
	t.Cleanup(server.Close)
	c.write(t, p, `"30d"`, `"oncall@example.com"`)
	text, err := os.ReadFile(c.config)
	must(t, err)
	channel := func(name, rest string) string {
		return fmt.Sprintf("[[channel]]\nname = %q\n%s\n", name, strings.ReplaceAll(rest, "HOOK", server.URL))
	}
	must(t, os.WriteFile(c.config, []byte(strings.Replace(string(text), `channels = ["oncall-mail"]`, `channels = ["oncall-mail", "slack", "pager", "prometheus", "standard", "events"]`, 1)+
		channel("slack", "type = \"slack\"\nwebhook_url = \"HOOK/slack\"")+
		channel("pager", "type = \"webhook\"\nformat = \"pagerduty\"\nsecret = \"routing-key\"\nurl = \"HOOK/pager\"")+
		channel("prometheus", "type = \"webhook\"\nformat = \"alertmanager\"\nurl = \""+c.alertmanager+"\"")+
		channel("standard", "type = \"webhook\"\nformat = \"standard\"\nsecret = \""+signingSecret+"\"\nurl = \"HOOK/standard\"")+
		channel("events", "type = \"webhook\"\nformat = \"cloudevents\"\nsecret = \""+signingSecret+"\"\nurl = \"HOOK/events\"")), 0o600))
	c.token = strings.TrimSpace(c.do(t, "token", "create", "--name", "pipeline", "--scope", "renew").stdout)
	return c
}

const signingSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// take holds a post to its signature and keeps it.
func (c *circle) take(t *testing.T, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if want := signature(r.Header, body); (name == "standard" || name == "events") && r.Header.Get("Webhook-Signature") != want {
		t.Errorf("%s is signed %q, want %q", name, r.Header.Get("Webhook-Signature"), want)
	}
	c.mu.Lock()
	c.posts[name] = append(c.posts[name], parcel{r.Header, string(body)})
	c.mu.Unlock()
	_, _ = io.WriteString(w, "ok")
}

// signature is what Standard Webhooks has of a message.
func signature(h http.Header, body []byte) string {
	mac := hmac.New(sha256.New, []byte("0123456789abcdef0123456789abcdef"))
	_, _ = fmt.Fprintf(mac, "%s.%s.%s", h.Get("Webhook-Id"), h.Get("Webhook-Timestamp"), body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (c *circle) posted(channel string) []parcel {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.posts[channel])
}

// await waits until each channel was told so many times, and no more.
func (c *circle) await(t *testing.T, counts map[string]int) {
	t.Helper()
	eventually(t, 30*time.Second, "every channel is told", func() error {
		for channel, want := range counts {
			if got := len(c.posted(channel)); got != want {
				return fmt.Errorf("%s: %d times, want %d", channel, got, want)
			}
		}
		return nil
	})
}

// alertmanagerHolds waits until so many alerts are open in Alertmanager.
func (c *circle) alertmanagerHolds(t *testing.T, want int) {
	t.Helper()
	eventually(t, 30*time.Second, fmt.Sprintf("Alertmanager holds %d alerts", want), func() error {
		answer, err := http.Get(c.alertmanager + "/api/v2/alerts?active=true")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		var open []struct{ Labels map[string]string }
		if err := json.NewDecoder(answer.Body).Decode(&open); err != nil {
			return err
		}
		if len(open) != want {
			return fmt.Errorf("it holds %d", len(open))
		}
		return nil
	})
}

func (c *circle) add(t *testing.T, ca authority) {
	t.Helper()
	file := filepath.Join(c.dir, "ca.pem")
	must(t, os.WriteFile(file, ca.issue(t, 20*day), 0o600))
	c.do(t, "ca", "add", "--name", ca.name, file)
}

// renew hands a CA's new certificate in.
func (c *circle) renew(t *testing.T, ca authority) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.admin+"/renewals", bytes.NewReader(ca.issue(t, 365*day)))
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+c.token)
	answer, err := http.DefaultClient.Do(r)
	must(t, err)
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	must(t, err)
	return answer.StatusCode
}

// An authority is a CA that keeps its key.
type authority struct {
	name string
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return authority{name, key}
}

// issue returns a certificate of the CA that ends after so long.
func (a authority) issue(t *testing.T, left time.Duration) []byte {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: a.name}, NotBefore: time.Now().Add(-day), NotAfter: time.Now().Add(left),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// startAlertmanager starts the real program and returns its URL.
func startAlertmanager(t *testing.T) string {
	t.Helper()
	dir, address, log := t.TempDir(), freeAddress(t), &lockedBuffer{}
	config := filepath.Join(dir, "alertmanager.yml")
	must(t, os.WriteFile(config, []byte("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"), 0o600))
	cmd := exec.CommandContext(t.Context(), find(t, "prometheus-alertmanager", "prometheus-alertmanager"),
		"--config.file="+config, "--storage.path="+dir, "--web.listen-address="+address, "--cluster.listen-address=")
	cmd.Stdout, cmd.Stderr = log, log
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("the log of Alertmanager:\n%s", log)
		}
	})
	eventually(t, 30*time.Second, "Alertmanager is ready", func() error { return ready("http://" + address + "/-/ready") })
	return "http://" + address
}
