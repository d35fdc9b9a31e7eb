package crash_test

import (
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// A receipt is a message as a receiver had it.
type receipt struct {
	channel, recipient string
	id                 string   // the delivery's, as the message bears it
	names              []string // common names that it tells of
	alerts             []string // ids of alerts, where the format has them
	connected          time.Time
	begun              time.Time
	accepted           bool // the receiver took it, whatever it answered
}

// A ledger keeps what all receivers had.
type ledger struct {
	mu       sync.Mutex
	receipts []receipt
}

func (l *ledger) add(r receipt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.receipts = append(l.receipts, r)
}

// A mood is what a receiver does with one message.
type mood int

const (
	take      mood = iota
	takeLate       // after a while in which the daemon may be killed
	takeMute       // and hang up without an answer
	hangUp         // without having taken it
	hangUpNow      // before a word was said
	busy           // try again later
	limited        // try again in a second
	refuse         // this message, for good
	forbid         // everything, for good
	moods
)

// weights are how often each mood comes, in hundredths.
var weights = [moods]int{take: 46, takeLate: 20, takeMute: 8, hangUp: 6, hangUpNow: 6, busy: 6, limited: 2, refuse: 3, forbid: 3}

// A fickle draws moods by chance, until it is calmed.
type fickle struct {
	mu     sync.Mutex
	chance *rand.Rand
	calm   bool
	drawn  [moods]int
}

func newFickle(seed int64, of uint64) *fickle {
	return &fickle{chance: rand.New(rand.NewPCG(uint64(seed), of))}
}

func (f *fickle) mood() mood {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calm {
		return take
	}
	n := f.chance.IntN(100)
	for m, weight := range weights {
		if n -= weight; n < 0 {
			f.drawn[m]++
			return mood(m)
		}
	}
	panic("the weights do not add up to a hundred")
}

// pause is how long a late receiver takes.
func (f *fickle) pause() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Duration(f.chance.Int64N(int64(300 * time.Millisecond)))
}

func (f *fickle) soothe() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calm = true
}

// A receiver listens on loopback for one channel.
type receiver struct {
	*fickle

	channel string
	ledger  *ledger
	ln      net.Listener
}

func (r *receiver) addr() string { return r.ln.Addr().String() }
