// Package accesslog writes one JSON object a line for each request that ended
// on the guarding listener.
//
// A request never waits for it: lines are kept in a bounded buffer that is
// written beside the requests, and dropped, and counted, when the disk does not
// keep up. It fails open, therefore: a log that cannot be written is an alarm,
// and no reason to turn clients away.
package accesslog

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/certvigil/certvigil/enforcer"
)

// Stdout is the path that stands for the standard output.
const Stdout = "-"

const (
	flushEvery = 500 * time.Millisecond // a line is written at most a second late
	flushAt    = 64 << 10               // bytes that are written at once, without waiting
	maxPending = 4 << 20                // bytes that wait for the disk; more is dropped
	stopWithin = 2 * time.Second        // for the last lines
)

// Options are what a log needs. Path is required.
type Options struct {
	Path   string  // of the file, or Stdout
	Sample float64 // 0 to 1: the share of admitted requests that is written; all others always are
	Logger *slog.Logger

	Dropped func(lines int)    // lines that were lost; nil is skipped
	Failing func(failing bool) // whether the last attempt to write failed; nil is skipped
}

// A Log is an open access log. Its methods may be called concurrently.
type Log struct {
	o      Options
	sample atomic.Uint64 // the share in parts of 2^32
	wake   chan struct{} // of one element: there is much to write
	reopen chan opening
	stop   chan struct{}
	done   chan struct{}
	ended  sync.Once

	mu      sync.Mutex
	pending []byte
	closed  bool
}

// Open opens the file, for appending and with mode 0640 if it is new, and
// begins to write. A file that cannot be opened is a fault.Unprocessable.
func Open(o Options) (*Log, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	f, err := open(o.Path)
	if err != nil {
		return nil, err
	}
	l := &Log{
		o: o, wake: make(chan struct{}, 1), reopen: make(chan opening),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	l.setSample(o.Sample)
	go l.run(&sink{path: o.Path, file: f, log: o.Logger})
	return l, nil
}

func (l *Log) setSample(share float64) { l.sample.Store(uint64(share * (1 << 32))) }

// Write adds the line of a request. It never blocks on the disk, and keeps
// nothing of a.
func (l *Log) Write(a *enforcer.Access) {
	if a.Reason == "" && !l.drawn() {
		return
	}
	buf := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buf)
	buf.Reset()
	encode(buf, a)

	l.mu.Lock()
	fits := !l.closed && len(l.pending)+buf.Len() <= maxPending
	if fits {
		l.pending = append(l.pending, buf.Bytes()...)
	}
	much := len(l.pending) >= flushAt
	l.mu.Unlock()
	if !fits {
		l.dropped(1)
	}
	if much {
		select {
		case l.wake <- struct{}{}:
		default: // it is awake
		}
	}
}

// drawn reports whether an admitted request is among those that are written.
func (l *Log) drawn() bool {
	return uint64(rand.Uint32()) < l.sample.Load() //nolint:gosec // G404: nothing is guarded by it
}

func (l *Log) dropped(lines int) {
	if lines > 0 && l.o.Dropped != nil {
		l.o.Dropped(lines)
	}
}

// An opening is a file that is to take the place of the one that is open.
type opening struct {
	path string
	file *os.File
}

// Reopen goes on in the file of that path, made anew if need be, and with
// another share of admitted requests. On an error everything stays as it was.
func (l *Log) Reopen(path string, sample float64) error {
	f, err := open(path)
	if err != nil {
		return err
	}
	l.setSample(sample)
	go func() { // the writer may be waiting for the disk, and whoever reloads must not
		select {
		case l.reopen <- opening{path, f}:
		case <-l.done:
			closeFile(f)
		}
	}()
	return nil
}

// Close writes what is left, for at most two seconds, and ends the log.
func (l *Log) Close() error {
	l.ended.Do(func() {
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
		close(l.stop)
	})
	select {
	case <-l.done:
		return nil
	case <-time.After(stopWithin):
		return errors.New("the last lines could not be written in time")
	}
}

// run writes what is pending, until the log is closed.
func (l *Log) run(s *sink) {
	defer close(l.done)
	defer s.close()
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	var spare []byte
	for {
		select {
		case <-l.stop:
			l.flush(s, spare)
			return
		case next := <-l.reopen:
			spare = l.flush(s, spare) // what came before belongs into the old file
			s.replace(next)
		case <-tick.C:
			s.follow()
			spare = l.flush(s, spare)
		case <-l.wake:
			spare = l.flush(s, spare)
		}
	}
}

// flush writes what is pending, and returns its memory for what comes next.
func (l *Log) flush(s *sink, spare []byte) []byte {
	l.mu.Lock()
	lines := l.pending
	l.pending = spare[:0]
	l.mu.Unlock()
	if len(lines) == 0 {
		return lines
	}
	lost, failing := s.write(lines)
	l.dropped(lost)
	if l.o.Failing != nil {
		l.o.Failing(failing)
	}
	if cap(lines) > 4*flushAt {
		return nil // what a burst needed is not kept for good
	}
	return lines
}
