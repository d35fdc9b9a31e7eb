package notifier_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
)

// A sender is a channel made of a function; it keeps what it was given.
type sender struct {
	send func(ctx context.Context, m notifier.Message) error
	mu   sync.Mutex
	got  []notifier.Message
}

func (s *sender) Send(ctx context.Context, m notifier.Message) error {
	s.mu.Lock()
	s.got = append(s.got, m)
	s.mu.Unlock()
	if s.send == nil {
		return nil
	}
	return s.send(ctx, m)
}

func (s *sender) messages() []notifier.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]notifier.Message(nil), s.got...)
}

func always(err error) *sender {
	return &sender{send: func(context.Context, notifier.Message) error { return err }}
}

// hang never answers until it is cut off.
func hang() *sender {
	return &sender{send: func(ctx context.Context, _ notifier.Message) error {
		<-ctx.Done()
		return ctx.Err()
	}}
}

type rig struct {
	t      *testing.T
	outbox *memoryOutbox
	n      *notifier.Notifier
	stop   func() // ends Run and waits for it
}

func config(name string, s notifier.Channel) notifier.Config {
	return notifier.Config{Name: name, Channel: s, Hash: name + "-1"}
}

// start runs a notifier in a synctest bubble.
func start(t *testing.T, o notifier.Options) *rig {
	t.Helper()
	outbox := &memoryOutbox{}
	if o.Outbox == nil {
		o.Outbox = outbox
	}
	o.AdminURL = "https://certvigil.example.com"
	o.Rand = func() float64 { return 0.5 }
	n, err := notifier.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := n.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	synctest.Wait()
	stop := func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return &rig{t: t, outbox: outbox, n: n, stop: stop}
}

// add enqueues a delivery that is due now.
func (r *rig) add(id, channel string) {
	r.outbox.Add(alert.Delivery{
		ID: id, Channel: channel, Recipient: channel, Rule: "default", State: alert.StatePending,
		NextAttemptAt: time.Now(), CreatedAt: time.Now(),
	})
}

// pass lets time pass in the bubble.
func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) kick() {
	r.n.Kick()
	synctest.Wait()
}

func (r *rig) wantState(id string, want alert.DeliveryState) {
	r.t.Helper()
	if got := r.outbox.Delivery(id).State; got != want {
		r.t.Fatalf("delivery %s is %s, want %s (%s)", id, got, want, r.outbox.Delivery(id).LastError)
	}
}

func TestNotifier_sends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ok := &sender{}
		r := start(t, notifier.Options{Setup: notifier.Setup{Channels: []notifier.Config{config("a", ok)}}})
		r.add("d1", "a")
		r.kick()
		r.wantState("d1", alert.StateSent)
		got := ok.messages()
		if len(got) != 1 {
			t.Fatalf("%d messages", len(got))
		}
		m := got[0]
		if m.ID != "d1" || m.Attempt != 1 || m.Rule != "default" || m.AdminURL != "https://certvigil.example.com" || !m.Now.Equal(time.Now()) || len(m.Entries) != 1 {
			t.Errorf("message %+v", m)
		}
	})
}

func TestNotifier_sleepsUntilNextAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := 0
		flaky := &sender{send: func(context.Context, notifier.Message) error {
			if fails++; fails == 1 {
				return errors.New("connection refused")
			}
			return nil
		}}
		r := start(t, notifier.Options{Setup: notifier.Setup{Channels: []notifier.Config{config("a", flaky)}}})
		r.add("d1", "a")
		r.kick()
		r.wantState("d1", alert.StateRetrying)
		r.pass(5*time.Second - time.Millisecond)
		r.wantState("d1", alert.StateRetrying)
		r.pass(time.Millisecond)
		r.wantState("d1", alert.StateSent)
		if m := flaky.messages(); m[0].ID != m[1].ID || m[1].Attempt != 2 {
			t.Errorf("second attempt has id %s, number %d", m[1].ID, m[1].Attempt)
		}
	})
}

func TestNotifier_pollsWithoutKick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, notifier.Options{Poll: 30 * time.Second, Setup: notifier.Setup{Channels: []notifier.Config{config("a", &sender{})}}})
		r.add("d1", "a")
		r.pass(31 * time.Second)
		r.wantState("d1", alert.StateSent)
	})
}

func TestNotifier_idleIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, notifier.Options{Setup: notifier.Setup{Channels: []notifier.Config{config("a", &sender{})}}})
		before := r.outbox.Calls()
		r.pass(time.Hour)
		if n := r.outbox.Calls() - before; n > 250 {
			t.Errorf("an idle hour took %d calls", n)
		}
	})
}

func TestNotifier_deadChannelDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, notifier.Options{Setup: notifier.Setup{Channels: []notifier.Config{config("dead", hang()), config("live", &sender{})}}})
		begin := time.Now()
		for i := range 100 {
			r.add(fmt.Sprintf("dead-%d", i), "dead")
			r.add(fmt.Sprintf("live-%d", i), "live")
		}
		r.kick()
		if n := r.outbox.Count("live", alert.StateSent); n != 100 {
			t.Errorf("%d of 100 deliveries arrived", n)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("they took %s", took)
		}
	})
}

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

func TestNotifier_reconfigureFreesWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad, kept := always(notifier.ChannelFailing(errors.New("answered 401"))), &sender{}
		r := start(t, notifier.Options{Setup: notifier.Setup{Channels: []notifier.Config{config("a", bad), config("b", kept)}}})
		r.add("d1", "a")
		r.kick()
		r.wantState("d1", alert.StatePending)
		begin, good := time.Now(), &sender{}
		err := r.n.Reconfigure(notifier.Setup{Channels: []notifier.Config{{Name: "a", Channel: good, Hash: "a-2"}, config("b", &sender{})}})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.wantState("d1", alert.StateSent)
		if time.Since(begin) != 0 || len(good.messages()) != 1 {
			t.Errorf("after %s, the new channel got %d messages", time.Since(begin), len(good.messages()))
		}
		r.add("d2", "b")
		r.kick()
		if len(kept.messages()) != 1 {
			t.Error("a channel whose configuration is the same was replaced")
		}
	})
}

func TestNotifier_reconfigureRefusesWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ok := &sender{}
		r := start(t, notifier.Options{Setup: notifier.Setup{Channels: []notifier.Config{config("a", ok)}}})
		if err := r.n.Reconfigure(notifier.Setup{Channels: []notifier.Config{config("b", ok), config("b", ok)}}); err == nil {
			t.Fatal("two channels of one name were taken")
		}
		r.add("d1", "a")
		r.kick()
		r.wantState("d1", alert.StateSent)
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

func TestNotifier_batchNeverOutlivesItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hang()
		r := start(t, notifier.Options{SendTimeout: time.Minute, Lease: 2 * time.Minute, Setup: notifier.Setup{Channels: []notifier.Config{config("a", s)}}})
		for i := range 8 {
			r.add(fmt.Sprintf("d%d", i), "a")
		}
		r.kick()
		r.pass(time.Hour)
		seen := map[string]int{}
		for _, m := range s.messages() {
			if m.Attempt == 1 {
				seen[m.ID]++
			}
		}
		if len(seen) != 8 {
			t.Errorf("%d of 8 were tried", len(seen))
		}
		for id, n := range seen {
			if n != 1 {
				t.Errorf("%s was begun %d times as the first attempt: its lease had ended", id, n)
			}
		}
	})
}

func TestNotifier_stopLetsASendFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &sender{send: func(ctx context.Context, _ notifier.Message) error {
			select {
			case <-time.After(5 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		r := start(t, notifier.Options{Setup: notifier.Setup{Channels: []notifier.Config{config("a", slow)}}})
		r.add("d1", "a")
		r.add("d2", "a")
		r.kick()
		begin := time.Now()
		r.stop()
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("stopping took %s", took)
		}
		r.wantState("d1", alert.StateSent)
		r.wantState("d2", alert.StatePending)
		if d := r.outbox.Delivery("d2"); d.Attempts != 0 || d.NextAttemptAt.After(time.Now()) {
			t.Errorf("what was not begun is given back as %+v", d)
		}
	})
}

func TestNotifier_stopCutsAHangingSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, notifier.Options{Grace: 8 * time.Second, Setup: notifier.Setup{Channels: []notifier.Config{config("a", hang())}}})
		r.add("d1", "a")
		r.kick()
		begin := time.Now()
		r.stop()
		if took := time.Since(begin); took != 8*time.Second {
			t.Errorf("stopping took %s, want the grace time", took)
		}
		r.wantState("d1", alert.StatePending)
		if d := r.outbox.Delivery("d1"); d.Attempts != 0 {
			t.Errorf("cutting off counted as an attempt: %+v", d)
		}
	})
}

func TestNotifier_outboxOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ok := &sender{}
		r := start(t, notifier.Options{Setup: notifier.Setup{Channels: []notifier.Config{config("a", ok)}}})
		r.outbox.Break(errors.New("disk full"))
		r.add("d1", "a")
		before := r.outbox.Calls()
		r.kick()
		r.pass(10 * time.Minute)
		if n := r.outbox.Calls() - before; n < 10 || n > 60 {
			t.Errorf("%d calls in ten minutes of a broken outbox", n)
		}
		r.outbox.Break(nil)
		r.pass(time.Minute)
		r.wantState("d1", alert.StateSent)
	})
}

func TestNotifier_settlesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *rig
		s := &sender{send: func(context.Context, notifier.Message) error {
			r.outbox.Break(errors.New("database is locked"))
			return nil
		}}
		r = start(t, notifier.Options{Setup: notifier.Setup{Channels: []notifier.Config{config("a", s)}}})
		r.add("d1", "a")
		r.kick()
		r.wantState("d1", alert.StateSending)
		r.outbox.Break(nil)
		r.pass(2 * time.Second)
		r.wantState("d1", alert.StateSent)
		if n := len(s.messages()); n != 1 {
			t.Errorf("sent %d times", n)
		}
	})
}

func TestNotifier_leaseLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *rig
		s := &sender{send: func(context.Context, notifier.Message) error {
			r.outbox.Steal("d1")
			return nil
		}}
		r = start(t, notifier.Options{Setup: notifier.Setup{Channels: []notifier.Config{config("a", s)}}})
		r.add("d1", "a")
		r.kick()
		r.add("d2", "a")
		r.kick()
		r.wantState("d2", alert.StateSent)
		if n := len(r.outbox.Outcomes("d1")); n != 0 {
			t.Errorf("%d outcomes written without a lease", n)
		}
	})
}

func TestNotifier_Drained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		s := &sender{send: func(context.Context, notifier.Message) error {
			if down.Load() {
				return errors.New("connection refused")
			}
			return nil
		}}
		r := start(t, notifier.Options{Setup: notifier.Setup{Channels: []notifier.Config{config("a", s)}}})
		if err := r.n.Drained(t.Context()); err != nil {
			t.Errorf("empty: %v", err)
		}
		r.add("d1", "a")
		if err := r.n.Drained(t.Context()); err == nil || !strings.Contains(err.Error(), `"a"`) {
			t.Errorf("with a delivery waiting for its retry: %v", err)
		}
		down.Store(false)
		r.pass(time.Minute)
		if err := r.n.Drained(t.Context()); err != nil {
			t.Errorf("after the retry: %v", err)
		}
		r.stop()
		if err := r.n.Drained(t.Context()); err != nil {
			t.Errorf("after stopping: %v", err)
		}
	})
}

func TestNotifier_Drained_hanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, notifier.Options{Setup: notifier.Setup{Channels: []notifier.Config{config("a", hang())}}})
		r.add("d1", "a")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := r.n.Drained(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestNew_refuses(t *testing.T) {
	t.Parallel()
	outbox := &memoryOutbox{}
	for _, tc := range []struct {
		name string
		o    notifier.Options
		want string
	}{
		{"no outbox", notifier.Options{}, "no outbox"},
		{"lease as long as the send timeout", notifier.Options{Outbox: outbox, SendTimeout: time.Minute, Lease: time.Minute}, "the lease (1m0s) must outlive the send timeout (1m0s)"},
		{"channel without a name", notifier.Options{Outbox: outbox, Setup: notifier.Setup{Channels: []notifier.Config{config("", &sender{})}}}, "no name"},
		{"two of one name", notifier.Options{Outbox: outbox, Setup: notifier.Setup{Channels: []notifier.Config{config("a", &sender{}), config("a", &sender{})}}}, `named "a"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if _, err := notifier.New(tc.o); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
