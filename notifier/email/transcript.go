package email

import (
	"bytes"
	"fmt"
	"net"
	"strings"

	"github.com/certvigil/certvigil/notifier"
)

// A transcript is a connection that tells a session to who listens: commands
// and answers as they are, AUTH without what it gives away, the message by its
// size.
type transcript struct {
	net.Conn

	tell        notifier.Listener
	said, heard []byte // lines that are not complete yet
	await       string // the command whose answer says what comes next
	size        int    // of the message, as far as it was said
}

// What a transcript may await.
const (
	awaitAuth = "AUTH"
	awaitData = "DATA"
	inMessage = "message" // until the final dot
)

// overheard returns a connection on which a session begins, told to who listens.
func overheard(conn net.Conn, tell notifier.Listener) net.Conn {
	if tell == nil {
		return conn
	}
	return &transcript{Conn: conn, tell: tell}
}

// note tells what happens in between.
func note(tell notifier.Listener, line string) {
	if tell != nil {
		tell(notifier.Aside, line)
	}
}

// Read implements [net.Conn].
func (t *transcript) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.heard = eachLine(append(t.heard, p[:n]...), t.hear)
	return n, err
}

// Write implements [net.Conn].
func (t *transcript) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	t.said = eachLine(append(t.said, p[:n]...), t.say)
	return n, err
}

// eachLine hands on the complete lines and returns the rest.
func eachLine(p []byte, each func(string)) []byte {
	for {
		line, rest, ok := bytes.Cut(p, []byte("\n"))
		if !ok {
			return p
		}
		each(strings.TrimSuffix(string(line), "\r"))
		p = rest
	}
}

func (t *transcript) say(line string) {
	switch verb, rest, _ := strings.Cut(line, " "); {
	case t.await == inMessage && line != ".":
		t.size += len(line) + len("\r\n")
		return
	case t.await == inMessage:
		t.tell(notifier.We, fmt.Sprintf("(the message, %d bytes)", t.size))
		t.await = ""
	case t.await == awaitAuth: // the answer to a challenge
		line = notifier.Redacted
	case verb == awaitAuth:
		mechanism, initial, _ := strings.Cut(rest, " ")
		if line = verb + " " + mechanism; initial != "" {
			line += " " + notifier.Redacted
		}
		t.await = awaitAuth
	case verb == awaitData:
		t.await = awaitData
	}
	t.tell(notifier.We, line)
}

func (t *transcript) hear(line string) {
	t.tell(notifier.They, line)
	code, more := line[:min(len(line), 3)], len(line) > 3 && line[3] == '-'
	switch {
	case more, t.await == awaitAuth && code == "334":
	case t.await == awaitData && code == "354":
		t.await, t.size = inMessage, 0
	default:
		t.await = ""
	}
}
