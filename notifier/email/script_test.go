package email_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"strings"
	"testing"
)

// The stages of a conversation at which a scripted server may fail, named by
// what the client sends.
const (
	atGreeting = "greeting"
	atTLS      = "TLS"
	atSecure   = "EHLO over TLS"
	atDot      = "."
)

// What a scripted server may do in place of an answer.
const (
	hang    = "hang"
	hangUp  = "hang up"
	endless = "endless"
)

// A script is a server that answers each stage by its rule, and with a plain
// yes where there is none.
type script struct {
	rules    map[string]string
	tls      *tls.Config
	implicit bool // TLS from the first byte on
}

// start returns the address at which the server listens until the test ends.
func (s script) start(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.converse(conn)
		}
	}()
	return l.Addr().String()
}

func (s script) converse(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	secure := false
	if s.implicit {
		if conn, secure = s.encrypt(conn); !secure {
			return
		}
	}
	lines := bufio.NewReader(conn)
	stage, yes, inData := atGreeting, "220 mx ESMTP", false
	for {
		if !s.answer(conn, stage, yes) {
			_, _ = io.Copy(io.Discard, lines) // until the client gives up
			return
		}
		if stage == "STARTTLS" {
			if conn, secure = s.encrypt(conn); !secure {
				return
			}
			lines = bufio.NewReader(conn)
		}
		line := ""
		for line == "" || inData && line != atDot {
			text, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			line = strings.TrimRight(text, "\r\n")
		}
		stage, yes = s.hears(line, secure)
		inData = stage == "DATA" && s.rules["DATA"] == ""
	}
}

// hears returns the stage that a line belongs to, and the plain yes to it.
func (s script) hears(line string, secure bool) (stage, yes string) {
	verb, _, _ := strings.Cut(line, " ")
	switch verb {
	case "EHLO":
		if secure {
			return atSecure, "250-mx\n250 AUTH PLAIN LOGIN"
		}
		return verb, "250-mx\n250 STARTTLS"
	case "STARTTLS":
		return verb, "220 go on"
	case "AUTH":
		return verb, "235 welcome"
	case "DATA":
		return verb, "354 go on"
	case "QUIT":
		return verb, "221 bye"
	}
	return verb, "250 ok"
}

// answer reports whether the conversation goes on.
func (s script) answer(conn io.WriteCloser, stage, yes string) bool {
	if rule, ok := s.rules[stage]; ok {
		yes = rule
	}
	switch yes {
	case hang:
		return false
	case hangUp:
		_ = conn.Close()
		return false
	case endless:
		babble(conn)
		return false
	}
	_, err := io.WriteString(conn, strings.ReplaceAll(yes, "\n", "\r\n")+"\r\n")
	return err == nil
}

// babble answers without an end, until the client hangs up.
func babble(conn io.Writer) {
	line := []byte("250-" + strings.Repeat("x", 500) + "\r\n")
	for {
		if _, err := conn.Write(line); err != nil {
			return
		}
	}
}

// encrypt answers a TLS handshake by the rule for it, once the client has begun:
// what comes before that, the client throws away.
func (s script) encrypt(conn net.Conn) (net.Conn, bool) {
	if _, ok := s.rules[atTLS]; ok {
		_, _ = conn.Read(make([]byte, 1))
		if s.answer(conn, atTLS, "") || s.rules[atTLS] == hang {
			_, _ = io.Copy(io.Discard, conn)
		}
		return conn, false
	}
	secure := tls.Server(conn, s.tls)
	return secure, secure.Handshake() == nil
}

// with returns the script with one more rule.
func (s script) with(stage, answer string) script {
	s.rules = maps.Clone(s.rules)
	if s.rules == nil {
		s.rules = map[string]string{}
	}
	s.rules[stage] = answer
	return s
}
