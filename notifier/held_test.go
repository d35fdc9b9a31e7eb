package notifier_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
)

// While the clock cannot be believed nothing goes out, however long it takes;
// then it does at the first kick.
func TestHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var held atomic.Bool
		held.Store(true)
		mail := &sender{}
		r := start(t, notifier.Options{Setup: notifier.Setup{Channels: []notifier.Config{config("mail", mail)}}, Held: held.Load})
		r.add("d1", "mail")
		r.kick()
		r.pass(14 * time.Minute)
		if got := mail.messages(); len(got) != 0 {
			t.Fatalf("%d messages went out by a clock that is not believed", len(got))
		}
		held.Store(false)
		r.kick()
		r.wantState("d1", alert.StateSent)
	})
}
