package notifier_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/templates"
)

func TestNotifier_sends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ok := &sender{}
		r := start(t, notifier.Options{
			Setup: notifier.Setup{Channels: []notifier.Config{config("a", ok)}},
			Links: func(adminURL string, i alert.Item) []templates.Link {
				return []templates.Link{{For: templates.LinkRenew, URL: adminURL + "/link-of-" + i.ID}}
			},
		})
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
		if i := m.Entries[0].Item; i == nil || m.Words().LinkFor(i.ID, templates.LinkRenew) != "https://certvigil.example.com/link-of-"+i.ID {
			t.Errorf("links %v of %+v", m.Links, i)
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

// A batch is claimed at once; what is renewed while a slow receiver keeps its
// first messages is not told when its turn comes.
func TestNotifier_whatIsRenewedBehindASlowMessageIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &sender{send: func(context.Context, notifier.Message) error {
			time.Sleep(3 * time.Second)
			return nil
		}}
		r := start(t, notifier.Options{Setup: notifier.Setup{Channels: []notifier.Config{config("a", slow)}}})
		for _, id := range []string{"d1", "d2", "d3"} {
			r.add(id, "a")
		}
		r.kick()
		r.pass(time.Second)
		r.wantState("d2", alert.StateSending)
		r.outbox.Renew("d2")
		r.pass(time.Minute)
		r.wantState("d1", alert.StateSent)
		r.wantState("d2", alert.StateCancelled)
		r.wantState("d3", alert.StateSent)
		if got := slow.messages(); len(got) != 2 || got[0].ID != "d1" || got[1].ID != "d3" {
			t.Errorf("sent %+v", got)
		}
	})
}
