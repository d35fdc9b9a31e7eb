package main

import (
	"fmt"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// idOf returns the id that a message bears, by mail or by HTTP.
func idOf(t *testing.T, p post) string {
	t.Helper()
	if p.header != nil {
		return p.header.Get("Webhook-Id")
	}
	m, err := mail.ReadMessage(strings.NewReader(p.body))
	if err != nil {
		t.Fatal(err)
	}
	return m.Header.Get("Message-Id")
}

func TestDelivery_SurvivesKill(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]struct {
		start   func() (*receiver, error)
		channel func(name, addr string) string
	}{
		"mail":    {startMail, mailChannel},
		"webhook": {startHTTP, webhookChannel},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			r := started(t, kind.start)
			s.configure(kind.channel("channel", r.addr), alerting("channel"))
			s.command("cert", "add", s.write("client.pem", expiring("scanner 7").PEM()))
			release := r.hold()
			defer release()
			p := s.start()
			first := idOf(t, r.next(t)) // the receiver has it and does not answer
			p.kill()
			release()

			begun := time.Now()
			p = s.start()
			again := idOf(t, r.next(t))
			if took := time.Since(begun); took > promptly {
				t.Errorf("delivered only %s after the restart", took)
			}
			if first == "" || again != first {
				t.Errorf("the message came with the id %q, then with %q", first, again)
			}
			p.log.await(t, "delivery sent")
			p.terminate()

			// Settled, it is not sent again: the next message is another one.
			p = s.start()
			p.log.await(t, "msg=scanned")
			s.command("cert", "add", s.write("other.pem", expiring("scanner 8").PEM()))
			other := r.next(t)
			if id := idOf(t, other); id == first {
				t.Error("what was settled was sent again")
			}
			p.log.await(t, "delivery sent")
			p.terminate()
			if n := len(r.posts); n != 0 {
				t.Errorf("%d messages too many", n)
			}
			if n := len(jsonOf[[]alert.Delivery](t, s.command("delivery", "list", "--state", "sent", "--json"))); n != 2 {
				t.Errorf("%d deliveries are sent, want 2", n)
			}
		})
	}
}

func TestDelivery_AHangingChannelDelaysNoOther(t *testing.T) {
	t.Parallel()
	const recipients = 100
	s := newSite(t, nil)
	stalled, connected := startStalled(t)
	healthy := started(t, startMail)
	var to []string
	for i := range recipients {
		to = append(to, fmt.Sprintf("%q", fmt.Sprintf("oncall-%d@example.com", i)))
	}
	many := strings.Replace(mailChannel("healthy", healthy.addr), `"oncall@example.com"`, strings.Join(to, ", "), 1)
	s.configure(mailChannel("hanging", stalled), many, alerting("hanging", "healthy"))
	s.command("cert", "add", s.write("client.pem", expiring("scanner 7").PEM()))
	p := s.start()
	<-connected
	told := map[string]bool{}
	for range recipients {
		m, err := mail.ReadMessage(strings.NewReader(healthy.next(t).body))
		if err != nil {
			t.Fatal(err)
		}
		told[m.Header.Get("To")] = true
	}
	if len(told) != recipients {
		t.Errorf("%d recipients were told, want %d", len(told), recipients)
	}
	eventually(t, "all are settled", func() bool {
		return len(jsonOf[[]alert.Delivery](t, s.command("delivery", "list", "--channel", "healthy", "--state", "sent", "--limit", "1000", "--json"))) == recipients
	})
	hanging := jsonOf[[]alert.Delivery](t, s.command("delivery", "list", "--channel", "hanging", "--json"))
	if len(hanging) != 1 || hanging[0].State != alert.StateSending {
		t.Errorf("the hanging delivery: %+v", hanging)
	}
	p.kill()
}

func TestDelivery_OfOtherProcesses(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	r := started(t, startHTTP)
	s.configure(webhookChannel("hook", r.addr), alerting("hook"))
	p := s.start()
	p.log.await(t, "msg=scanned")
	s.command("cert", "add", s.write("client.pem", expiring("scanner 7").PEM()))
	done := time.Now()
	if got := r.next(t); !strings.Contains(got.body, "scanner 7") {
		t.Errorf("the message does not name the certificate:\n%s", got.body)
	}
	if took := time.Since(done); took > promptly {
		t.Errorf("an upload was told of only %s later", took)
	}
	s.command("scan")
	p.terminate()
	if n := len(r.posts); n != 0 {
		t.Errorf("%d messages too many", n)
	}
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	heartbeat := func(addr string) string { return "[scanner]\nheartbeat_url = \"http://" + addr + "/beat\"\n" }
	t.Run("once the deliveries are drained", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		hook, heart := started(t, startHTTP), started(t, startHTTP)
		s.configure(heartbeat(heart.addr), webhookChannel("hook", hook.addr), alerting("hook"))
		s.command("cert", "add", s.write("client.pem", expiring("scanner 7").PEM()))
		release := hook.hold()
		defer release()
		p := s.start()
		hook.next(t)
		p.log.await(t, "msg=scanned")
		if n := len(heart.posts); n != 0 {
			t.Errorf("%d heartbeats before the delivery was settled", n)
		}
		release()
		if got := heart.next(t).path; got != "/beat" {
			t.Errorf("heartbeat at %s, want /beat", got)
		}
		p.terminate()
	})
	t.Run("as failed when a delivery cannot go", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		hook, heart := started(t, startHTTP), started(t, startHTTP)
		hook.answer(403)
		s.configure(heartbeat(heart.addr), webhookChannel("hook", hook.addr), alerting("hook"))
		s.command("cert", "add", s.write("client.pem", expiring("scanner 7").PEM()))
		p := s.start()
		if got := heart.next(t).path; got != "/beat/fail" {
			t.Errorf("heartbeat at %s, want /beat/fail", got)
		}
		p.log.await(t, "sending the heartbeat as failed")
		if strings.Contains(p.log.text(), "/beat") {
			t.Error("the log tells the heartbeat's URL")
		}
		p.terminate()
	})
}
