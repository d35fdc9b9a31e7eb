// Package crash holds the crash test: a daemon that is killed again and again,
// at random instants, while it sends to receivers that refuse, delay and drop at
// random. Whatever is lost, doubled under another id or told of what had been
// renewed fails it.
//
// Its environment: CRASH_KILLS says how often (20), CRASH_SEED repeats what was
// drawn by chance, as the log of a run names it, and CERTVIGIL_BIN names a
// certvigil to test in place of a freshly built one.
package crash
