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
