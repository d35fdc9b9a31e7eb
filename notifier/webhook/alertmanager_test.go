package webhook_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/notifier/notifiertest"
	"github.com/certvigil/certvigil/notifier/webhook"
)

// amConfig notifies at once, takes alerts for over after a second, and inhibits
// as the configuration does that Debian and the project ship.
const amConfig = `
global: {resolve_timeout: 1s}
route: {receiver: hook, group_by: [alertname, instance, severity], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers:
- name: hook
  webhook_configs: [{url: %q, send_resolved: true}]
inhibit_rules:
- source_matchers: [severity="critical"]
  target_matchers: [severity="warning"]
  equal: [alertname, dev, instance]
`

// An amStatus is an alert as Alertmanager shows it, or passes it on.
type amStatus struct {
	Labels map[string]string
	EndsAt time.Time
	Status json.RawMessage
}

// A realAlertmanager is the program itself, and what it told its receiver.
type realAlertmanager struct {
	url  string
	told chan string // "firing CertificateExpiring warning"
}

func startAlertmanager(t *testing.T) realAlertmanager {
	t.Helper()
	program, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		if program, err = exec.LookPath("alertmanager"); err != nil {
			t.Fatal("Alertmanager is not installed: run `make setup`, or install the package prometheus-alertmanager")
		}
	}
	am := realAlertmanager{told: make(chan string, 1000)}
	hook, _ := receive(t, nil)
	hook.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var told struct{ Alerts []amStatus }
		if err := json.NewDecoder(r.Body).Decode(&told); err != nil {
			t.Error(err)
		}
		for _, a := range told.Alerts {
			am.told <- string(bytes.Trim(a.Status, `"`)) + " " + a.Labels["alertname"] + " " + a.Labels["severity"]
		}
	})
	folder, address := t.TempDir(), freeAddress(t)
	config := filepath.Join(folder, "alertmanager.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, amConfig, hook.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "--config.file="+config, "--storage.path="+folder,
		"--web.listen-address="+address, "--cluster.listen-address=")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("the log of Alertmanager:\n%s", &log)
		}
	})
	am.url = "http://" + address
	eventually(t, "Alertmanager is ready", func() error {
		resp, err := http.Get(am.url + "/-/ready")
		if err != nil {
			return err
		}
		return errors.Join(resp.Body.Close(), unless(resp.StatusCode == http.StatusOK, resp.Status))
	})
	return am
}

// freeAddress returns a loopback address on which nothing listens now, below
// the ports that systems hand out by themselves (from 32768 on Linux): no
// receiver of another test is given it before Alertmanager listens there.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port found")
	return ""
}

func unless(ok bool, what any) error {
	if ok {
		return nil
	}
	return fmt.Errorf("%v", what)
}

// eventually asks another process until it says what is wanted.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// alerts are what Alertmanager holds and is not over, by severity.
func (am realAlertmanager) alerts(instance string) (map[string]amStatus, error) {
	resp, err := http.Get(am.url + "/api/v2/alerts")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var list []amStatus
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		return nil, err
	}
	found := map[string]amStatus{}
	for _, a := range list {
		if a.Labels["instance"] == instance {
			found[a.Labels["severity"]] = a
		}
	}
	return found, nil
}

// hears waits until the receiver was told each of these, in any order.
func (am realAlertmanager) hears(t *testing.T, want ...string) {
	t.Helper()
	missing := map[string]bool{}
	for _, w := range want {
		missing[w] = true
	}
	timeout := time.After(30 * time.Second)
	for len(missing) > 0 {
		select {
		case told := <-am.told:
			delete(missing, told)
		case <-timeout:
			t.Fatalf("Alertmanager did not tell its receiver %v", missing)
		}
	}
}

// about is a message of now about a certificate that ends after left.
func about(item alert.Item, left time.Duration, event alert.Event) notifier.Message {
	now := time.Now().Truncate(time.Second)
	item.NotAfter = now.Add(left)
	m := notifiertest.Message(notifiertest.Entry(item, 30*alert.Day, event))
	m.Now, m.CreatedAt, m.Entries[0].Alert.CreatedAt = now, now, now.Add(-time.Second)
	return m
}

// TestAlertmanager_Story: the real program shows an alert until the certificate
// is renewed, though it takes what is not sent again for over after a second.
func TestAlertmanager_Story(t *testing.T) {
	t.Parallel()
	am := startAlertmanager(t)
	c := channel(t, webhook.Options{URL: am.url, Format: "alertmanager", Now: time.Now})
	item := notifiertest.Item(alert.KindClient, "James Royal", 0)
	send := func(m notifier.Message) {
		t.Helper()
		if err := c.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	send(about(item, 13*alert.Day, alert.EventExpiring))
	am.hears(t, "firing CertificateExpiring warning")

	// An alert without an end, sent later, is over by itself; ours is not.
	resp, err := http.Post(am.url+"/api/v2/alerts", "application/json", bytes.NewBufferString(`[{"labels":{"alertname":"Other"}}]`))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", err, resp)
	}
	am.hears(t, "resolved Other ")
	held, err := am.alerts(item.ID)
	if want := time.Now().Add(42 * alert.Day); err != nil || len(held) != 1 || held["warning"].EndsAt.Before(want) {
		t.Errorf("held: %v, %v; want the warning until after %s", held, err, want)
	}

	send(about(item, 3*alert.Day, alert.EventExpiring))
	am.hears(t, "firing CertificateExpiring critical")
	eventually(t, "the critical alert mutes the warning", func() error {
		held, err := am.alerts(item.ID)
		return errors.Join(err, unless(bytes.Contains(held["warning"].Status, []byte("suppressed")) && bytes.Contains(held["critical"].Status, []byte(`"active"`)), held))
	})
	other := notifiertest.Item(alert.KindCA, "Another", 0)
	send(about(other, 13*alert.Day, alert.EventExpiring))
	am.hears(t, "firing CertificateExpiring warning") // one critical item mutes no other

	send(about(item, 3*alert.Day, alert.EventRenewed))
	am.hears(t, "resolved CertificateExpiring critical")
	held, err = am.alerts(item.ID)
	if err != nil || len(held) > 0 {
		t.Errorf("renewed, and still held: %v, %v", held, err)
	}
	if held, err = am.alerts(other.ID); err != nil || len(held) != 1 {
		t.Errorf("the other one: %v, %v", held, err)
	}
}

// TestAlertmanager_Accepts: the real program takes every message.
func TestAlertmanager_Accepts(t *testing.T) {
	t.Parallel()
	am := startAlertmanager(t)
	c := channel(t, webhook.Options{URL: am.url, Format: "alertmanager"})
	messages := notifiertest.WorstCases()
	for name, m := range notifiertest.Samples() {
		messages["plain "+name] = m
	}
	for name, m := range messages {
		if err := c.Send(t.Context(), m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
