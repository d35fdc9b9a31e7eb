package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/internal/alert"
)

// A dead delivery and a failing channel are announced once, on the rule's other
// channels or on the fallback, whatever is restarted in between.
func TestFailure_IsToldOnce(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status  int
		subject string // what the announcement is about
		rule    []string
		more    string
	}{
		"a failing channel, on the rule's other channel": {http.StatusForbidden, "channel:hook@", []string{"hook", "mail"}, ""},
		"a failing channel, on the fallback":             {http.StatusUnauthorized, "channel:hook@", []string{"hook"}, "[notifier]\nfallback = [\"mail\"]\n"},
		"a dead delivery, on the rule's other channel":   {http.StatusGone, "delivery:", []string{"hook", "mail"}, ""},
		"a dead delivery, on the fallback":               {http.StatusBadRequest, "delivery:", []string{"hook"}, "[notifier]\nfallback = [\"hook\", \"mail\"]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			hook, mail := started(t, startHTTP), started(t, startMail)
			hook.answer(tt.status)
			s.configure(tt.more, webhookChannel("hook", hook.addr), mailChannel("mail", mail.addr), alerting(tt.rule...))
			s.command("cert", "add", s.write("client.pem", expiring("scanner 7").PEM()))
			for range 2 { // the second daemon finds it told
				p := s.start()
				p.log.await(t, "msg=scanned")
				eventually(t, "nothing is left for the mail", func() bool {
					list := jsonOf[[]alert.Delivery](t, s.command("delivery", "list", "--channel", "mail", "--json"))
					return len(list) == len(tt.rule) && !slices.ContainsFunc(list, func(d alert.Delivery) bool { return d.State != alert.StateSent })
				})
				p.terminate()
			}
			told := 0
			for range tt.rule {
				if strings.Contains(mail.next(t).body, fmt.Sprintf("answered %d", tt.status)) {
					told++
				}
			}
			if told != 1 || len(mail.posts) != 0 {
				t.Errorf("it was told %d times, and %d mails are too many", told, len(mail.posts))
			}
			alerts := jsonOf[[]alert.Alert](t, s.command("alert", "list", "--json"))
			failed := slices.DeleteFunc(alerts, func(a alert.Alert) bool { return a.Event != alert.EventFailed })
			if len(failed) != 1 || !strings.HasPrefix(failed[0].Subject, tt.subject) {
				t.Errorf("the announcements are %+v", failed)
			}
		})
	}
}

// A receiver that says back what it was sent must not bring a secret into what
// people read.
func TestFailure_TellsNoSecret(t *testing.T) {
	t.Parallel()
	const path, key, signing = "T0PSECRETPATH", "k3y-1n-the-query", "s1gning-s3cret-of-the-hook"
	s := newSite(t, nil)
	echo := startEcho(t)
	mail := started(t, startMail)
	s.configure("[notifier]\nfallback = [\"mail\"]\n", mailChannel("mail", mail.addr), fmt.Sprintf(`[[channel]]
name = "hook"
type = "webhook"
url = "http://%s/hooks/%s?key=%s"
secret = %q
[[channel]]
name = "slack"
type = "slack"
webhook_url = "http://%s/services/%s"
`, echo, path, key, signing, echo, path), alerting("hook", "slack"))
	s.command("cert", "add", s.write("client.pem", expiring("scanner 7").PEM()))
	p := s.start()
	notices := mail.next(t).body // whichever failed first is told of by the second
	var shown strings.Builder
	for _, d := range jsonOf[[]alert.Delivery](t, s.command("delivery", "list", "--json")) {
		shown.WriteString(s.command("delivery", "show", d.ID))
	}
	for _, command := range []string{"hook", "slack"} {
		out, err := s.try("channel", "test", command)
		if err == nil {
			t.Errorf("the test of %s succeeded", command)
		}
		shown.WriteString(out)
	}
	for _, args := range [][]string{{"channel", "list"}, {"channel", "list", "--json"}, {"delivery", "list"}, {"alert", "list", "--json"}, {"audit", "list"}} {
		shown.WriteString(s.command(args...))
	}
	p.terminate()
	for what, text := range map[string]string{"a notice": notices, "a command": shown.String(), "the log": p.log.text()} {
		for _, secret := range []string{path, key, signing} {
			if strings.Contains(text, secret) {
				t.Errorf("%s tells %s:\n%s", what, secret, text)
			}
		}
		if !strings.Contains(text, "answered 403") {
			t.Errorf("%s does not have the receiver's answer:\n%s", what, text)
		}
	}
}

// startEcho answers 403 with all that it was sent.
func startEcho(t *testing.T) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", r.RequestURI)
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintf(w, "not %s http://%s%s", r.RequestURI, r.Host, r.RequestURI)
		_ = r.Header.Write(w)
	})}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	return ln.Addr().String()
}

// What is told again from a store that was restored bears the ids of before.
func TestRestore_SaysWhatGoesAgainUnderTheSameIDs(t *testing.T) {
	t.Parallel()
	for name, scanned := range map[string]bool{"before it was found": false, "while it waited": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			hook := started(t, startHTTP)
			s.configure(webhookChannel("hook", hook.addr), alerting("hook"))
			s.command("cert", "add", s.write("client.pem", expiring("scanner 7").PEM()))
			if scanned {
				s.command("scan")
			}
			s.command("db", "backup", s.path("backup.db"))
			p := s.start()
			first := hook.next(t)
			p.log.await(t, "delivery sent")
			p.terminate()
			if p.log.has("restored from a backup") {
				t.Error("a store that was not restored is said to be")
			}

			s.restore("backup.db")
			if out, err := s.everything("db", "check"); err != nil || !strings.Contains(out, "warning: the store was restored from a backup of ") || !strings.Contains(out, "is in order") {
				t.Errorf("db check: %v\n%s", err, out)
			}
			p = s.start()
			line := p.log.await(t, "the store was restored from a backup", "level=WARN")
			if want := map[bool]string{false: "waiting=0 due=1", true: "waiting=1 due=0"}[scanned]; !strings.Contains(line, want) {
				t.Errorf("it says %q, want %s", line, want)
			}
			again := hook.next(t)
			if id := idOf(t, again); id != idOf(t, first) || alertsOf(t, again.body) != alertsOf(t, first.body) {
				t.Errorf("it was sent as %s with the alerts %s, then as %s with %s", idOf(t, first), alertsOf(t, first.body), id, alertsOf(t, again.body))
			}
			p.log.await(t, "delivery sent")
			p.terminate()

			p = s.start()
			p.log.await(t, "msg=scanned")
			p.terminate()
			if p.log.has("restored from a backup") || len(hook.posts) != 0 {
				t.Errorf("the start after it says so again, or sends again (%d)", len(hook.posts))
			}
		})
	}
}

// restore puts a backup in the place of the store.
func (s *site) restore(backup string) {
	s.t.Helper()
	data, err := os.ReadFile(s.path(backup))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.RemoveAll(s.path("certvigil.db" + suffix)); err != nil {
			s.t.Fatal(err)
		}
	}
	s.write("certvigil.db", data)
}

// everything carries out a command and returns all that it writes.
func (s *site) everything(args ...string) (string, error) {
	cmd := exec.Command(binary(s.t), append(args, "-c", s.path("config.toml"))...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// alertsOf returns the ids of the alerts of a standard webhook.
func alertsOf(t *testing.T, body string) string {
	t.Helper()
	m := jsonOf[struct {
		Data struct {
			Alerts []struct {
				ID string `json:"id"`
			} `json:"alerts"`
		} `json:"data"`
	}](t, body)
	return fmt.Sprint(m.Data.Alerts)
}
