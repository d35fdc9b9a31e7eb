package crash_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

const (
	items      = 500 // certificates, each one alert
	renewedOf  = 5   // every fifth of them is renewed during the run
	longLife   = 1200 * time.Millisecond
	scanSoon   = 300 * time.Millisecond // after an upload its alerts are on their way
	drainLimit = 4 * time.Minute
)

// TestCrash kills the daemon while it sends, then lets it finish, and holds
// what arrived against what the store says was to be told.
func TestCrash(t *testing.T) {
	kills, seed := setting(t, "CRASH_KILLS", 20), setting(t, "CRASH_SEED", time.Now().UnixNano())
	t.Logf("%d kills; repeat by CRASH_SEED=%d", kills, seed)
	chance := rand.New(rand.NewPCG(uint64(seed), 0))
	w := newWorld(t, seed)
	for kill := range kills {
		d := w.start()
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.retry()
			for range share(items, kills, kill) {
				w.upload()
				w.renew(d, scanSoon)
			}
		}()
		time.Sleep(time.Duration(chance.Int64N(int64(longLife)))) // the instant of a crash is nobody's to choose
		d.kill()
		<-done
	}
	w.calm()
	d := w.start()
	for w.renew(d, 0) { // what a crash did not answer
	}
	w.drain(drainLimit)
	d.kill()
	w.judge()
}

// share is how many of all fall to one round.
func share(all, rounds int64, round int64) int {
	return int(all*(round+1)/rounds - all*round/rounds)
}

func setting(t *testing.T, name string, or int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return or
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no number from 1 on", name, text)
	}
	return n
}
