package notifier_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
)

func TestNotifier_retriesThenDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := always(errors.New("connection refused"))
		other := &sender{}
		r := start(t, notifier.Options{Setup: notifier.Setup{
			Channels: []notifier.Config{config("a", broken), config("b", other)},
			Routes:   map[string][]notifier.Route{"default": {{Channel: "a", Recipients: []string{"a"}}, {Channel: "b", Recipients: []string{"x", "y"}}}},
		}})
		begin := time.Now()
		r.add("d1", "a")
		r.kick()
		r.pass(76 * time.Hour)
		r.wantState("d1", alert.StateDead)
		if n := len(broken.messages()); n != 10 {
			t.Errorf("%d attempts, want 10", n)
		}
		last := r.outbox.Outcomes("d1")[9].At.Sub(begin)
		if want := 75*time.Hour + 35*time.Minute + 5*time.Second; last < want || last > want+time.Minute {
			t.Errorf("last attempt after %s, want about %s", last, want)
		}
		notices := r.outbox.Notices()
		if len(notices) != 1 || notices[0].Alert.Subject != "delivery:d1" || notices[0].Alert.Event != alert.EventFailed {
			t.Fatalf("notices %+v", notices)
		}
		if got := other.messages(); len(got) != 2 || got[0].Recipient != "x" || got[1].Recipient != "y" || !strings.Contains(got[0].Entries[0].Alert.Detail, "d1") {
			t.Errorf("the other channel got %+v", got)
		}
	})
}

func TestNotifier_permanentDiesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spare := &sender{}
		r := start(t, notifier.Options{Setup: notifier.Setup{
			Channels: []notifier.Config{config("a", always(notifier.Permanent(errors.New("answered 410 Gone")))), config("spare", spare)},
			Fallback: []notifier.Route{{Channel: "spare", Recipients: []string{"spare"}}},
		}})
		r.add("d1", "a")
		r.kick()
		r.wantState("d1", alert.StateDead)
		if len(spare.messages()) != 1 {
			t.Errorf("the fallback got %d messages", len(spare.messages()))
		}
	})
}

func TestNotifier_deadNoticesMakeNoLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		permanent := notifier.Permanent(errors.New("answered 410 Gone"))
		a, b := always(permanent), always(permanent)
		r := start(t, notifier.Options{Setup: notifier.Setup{
			Channels: []notifier.Config{config("a", a), config("b", b)},
			Routes:   map[string][]notifier.Route{"default": {{Channel: "a", Recipients: []string{"a"}}, {Channel: "b", Recipients: []string{"b"}}}},
		}})
		r.add("d1", "a")
		r.kick()
		r.pass(100 * time.Hour)
		if n := len(r.outbox.Notices()); n != 1 {
			t.Errorf("%d notices, want 1", n)
		}
		if n := len(a.messages()) + len(b.messages()); n != 2 {
			t.Errorf("%d messages, want 2", n)
		}
	})
}

func TestNotifier_failingChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		slack := &sender{send: func(context.Context, notifier.Message) error {
			if down.Load() {
				return notifier.ChannelFailing(errors.New("answered 404 Not Found: no_service"))
			}
			return nil
		}}
		mail := &sender{}
		var failing []bool
		r := start(t, notifier.Options{
			Metrics: notifier.Metrics{Failing: func(_ string, f bool) { failing = append(failing, f) }},
			Setup: notifier.Setup{
				Channels: []notifier.Config{config("slack", slack), config("mail", mail)},
				Routes:   map[string][]notifier.Route{"default": {{Channel: "slack", Recipients: []string{"slack"}}, {Channel: "mail", Recipients: []string{"x@example.com"}}}},
			},
		})
		for i := range 5 {
			r.add(fmt.Sprintf("d%d", i), "slack")
		}
		r.kick()
		if n := len(slack.messages()); n != 1 {
			t.Fatalf("a failing channel was tried %d times at once, want 1", n)
		}
		if got := mail.messages(); len(got) != 1 || !strings.Contains(got[0].Entries[0].Alert.Detail, "no_service") {
			t.Fatalf("the other channel got %+v", got)
		}
		r.pass(200 * time.Hour)
		if n := r.outbox.Count("slack", alert.StatePending); n != 5 {
			t.Errorf("%d deliveries wait, want 5", n)
		}
		if d := r.outbox.Delivery("d0"); d.Attempts != 0 {
			t.Errorf("waiting counted as %d attempts", d.Attempts)
		}
		if n := len(slack.messages()); n < 180 || n > 250 {
			t.Errorf("%d probes in 200 hours", n)
		}
		if n := len(r.outbox.Notices()); n != 1 {
			t.Errorf("%d announcements, want 1", n)
		}
		down.Store(false)
		r.pass(2 * time.Hour)
		if n := r.outbox.Count("slack", alert.StateSent); n != 5 {
			t.Errorf("%d deliveries sent once mended, want 5", n)
		}
		if status, _ := r.outbox.Channel(t.Context(), "slack"); status.Failing {
			t.Errorf("the status is not cleared: %+v", status)
		}
		if last := failing[len(failing)-1]; last {
			t.Error("the metric still says failing")
		}
	})
}

func TestNotifier_limitPostponesTheChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var limited atomic.Bool
		limited.Store(true)
		s := &sender{send: func(context.Context, notifier.Message) error {
			if limited.Load() {
				return notifier.RetryAfter(errors.New("answered 429"), 10*time.Minute)
			}
			return nil
		}}
		r := start(t, notifier.Options{Setup: notifier.Setup{Channels: []notifier.Config{config("a", s)}}})
		for i := range 3 {
			r.add(fmt.Sprintf("d%d", i), "a")
		}
		r.kick()
		r.kick()
		if n := len(s.messages()); n != 1 {
			t.Fatalf("a limit was run against %d times", n)
		}
		r.pass(10*time.Minute - time.Second)
		if n := len(s.messages()); n != 1 {
			t.Errorf("tried again before Retry-After was over")
		}
		r.pass(200 * time.Hour)
		limited.Store(false)
		r.pass(11 * time.Minute)
		if n := r.outbox.Count("a", alert.StateSent); n != 3 {
			t.Errorf("%d sent: a limit dropped some", n)
		}
	})
}

func TestNotifier_panicIsTransient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sender{send: func(_ context.Context, m notifier.Message) error {
			if m.Attempt == 1 {
				panic("nil map")
			}
			return nil
		}}
		r := start(t, notifier.Options{Setup: notifier.Setup{Channels: []notifier.Config{config("a", s)}}})
		r.add("d1", "a")
		r.kick()
		r.wantState("d1", alert.StateRetrying)
		r.pass(5 * time.Second)
		r.wantState("d1", alert.StateSent)
		if out := r.outbox.Outcomes("d1"); !out[0].Uncertain || out[1].Uncertain {
			t.Errorf("whether the first and the second may have arrived: %t, %t", out[0].Uncertain, out[1].Uncertain)
		}
	})
}

func TestNotifier_sendTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, notifier.Options{SendTimeout: time.Minute, Setup: notifier.Setup{Channels: []notifier.Config{config("a", hang())}}})
		r.add("d1", "a")
		r.kick()
		r.wantState("d1", alert.StateSending)
		r.pass(time.Minute)
		r.wantState("d1", alert.StateRetrying)
	})
}

// While a channel fails, an answer that says nothing new about it is no reason
// to count an attempt: its deliveries never die of the waiting.
func TestNotifier_failingChannelThatFallsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		s := &sender{send: func(context.Context, notifier.Message) error {
			if first {
				first = false
				return notifier.ChannelFailing(errors.New("answered 401"))
			}
			return errors.New("connection refused")
		}}
		r := start(t, notifier.Options{Setup: notifier.Setup{Channels: []notifier.Config{config("a", s)}}})
		r.add("d1", "a")
		r.kick()
		r.pass(200 * time.Hour)
		r.wantState("d1", alert.StatePending)
		status, err := r.outbox.Channel(t.Context(), "a")
		if d := r.outbox.Delivery("d1"); err != nil || d.Attempts != 0 || !status.Failing || status.Reason != "connection refused" {
			t.Errorf("%d attempts, status %+v", d.Attempts, status)
		}
	})
}

// A message that the counterpart judged shows that the channel itself works.
func TestNotifier_permanentAnswerMendsTheChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []error{notifier.ChannelFailing(errors.New("answered 401")), notifier.Permanent(errors.New("answered 400")), nil}
		s := &sender{send: func(context.Context, notifier.Message) error {
			err := answers[0]
			answers = answers[1:]
			return err
		}}
		r := start(t, notifier.Options{Setup: notifier.Setup{Channels: []notifier.Config{config("a", s)}}})
		r.add("d1", "a")
		r.add("d2", "a")
		r.kick()
		r.pass(time.Minute)
		r.wantState("d1", alert.StateDead)
		r.wantState("d2", alert.StateSent)
	})
}

// Two channels of a rule that fail in the same moment are not each announced on
// the other, where it would wait: the fallback hears of both.
func TestNotifier_twoChannelsThatFailAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		refused := func(words string) *sender {
			return &sender{send: func(context.Context, notifier.Message) error {
				<-gate
				return notifier.ChannelFailing(errors.New(words))
			}}
		}
		spare := &sender{}
		r := start(t, notifier.Options{Setup: notifier.Setup{
			Channels: []notifier.Config{config("a", refused("a says 401")), config("b", refused("b says 404")), config("spare", spare)},
			Routes:   map[string][]notifier.Route{"default": {{Channel: "a", Recipients: []string{"a"}}, {Channel: "b", Recipients: []string{"b"}}}},
			Fallback: []notifier.Route{{Channel: "spare", Recipients: []string{"spare"}}},
		}})
		r.add("d1", "a")
		r.add("d2", "b")
		r.kick()
		close(gate)
		r.pass(time.Second)
		got := spare.messages()
		if len(got) != 1 {
			t.Fatalf("the fallback got %d messages, want 1", len(got))
		}
		for _, want := range []string{"a says 401", "b says 404", "fails as well"} {
			if detail := got[0].Entries[0].Alert.Detail; !strings.Contains(detail, want) {
				t.Errorf("it does not say %q:\n%s", want, detail)
			}
		}
	})
}
