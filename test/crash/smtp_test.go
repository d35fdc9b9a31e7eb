package crash_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"time"
)

// serveSMTP answers mail as the mood says, one mood for each connection.
func (r *receiver) serveSMTP() func() {
	go func() {
		for {
			conn, err := r.ln.Accept()
			if err != nil {
				return
			}
			go r.session(conn, time.Now())
		}
	}()
	return func() { _ = r.ln.Close() }
}

func (r *receiver) session(conn net.Conn, connected time.Time) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(connected.Add(20 * time.Second))
	mood := r.mood()
	if mood == hangUpNow {
		return
	}
	text := textproto.NewConn(conn)
	say := func(line string) { _ = text.PrintfLine("%s", line) } // a daemon that is gone hears nothing
	say("220 crash.example.com")
	recipient := ""
	for {
		line, err := text.ReadLine()
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(line); {
		case strings.HasPrefix(verb, "EHLO"):
			say("250 crash.example.com")
		case strings.HasPrefix(verb, "MAIL"):
			say(map[bool]string{true: "550 not from you", false: "250 ok"}[mood == forbid])
		case strings.HasPrefix(verb, "RCPT"):
			recipient = line[strings.Index(line, "<")+1 : strings.Index(line, ">")]
			say(map[bool]string{true: "550 nobody", false: "250 ok"}[mood == refuse])
		case verb == "DATA":
			say("354 go on")
			if !r.data(text, mood, receipt{channel: r.channel, recipient: recipient, connected: connected, begun: time.Now()}) {
				return
			}
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// data takes one mail and reports whether the session goes on.
func (r *receiver) data(text *textproto.Conn, m mood, got receipt) bool {
	body, err := text.ReadDotBytes()
	if err != nil {
		return false // the daemon was killed while it wrote
	}
	got.id, got.names = readMail(body)
	got.accepted = m == take || m == takeLate || m == takeMute
	r.ledger.add(got)
	answer := "250 taken"
	switch m {
	case takeMute, hangUp:
		return false
	case takeLate:
		time.Sleep(r.pause())
	case busy, limited:
		answer = "451 not now"
	}
	return text.PrintfLine("%s", answer) == nil
}

// readMail returns the delivery's id and the common names of a mail.
func readMail(raw []byte) (id string, names []string) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return "no mail: " + err.Error(), nil
	}
	id, _, _ = strings.Cut(strings.Trim(m.Header.Get("Message-Id"), "<>"), "@")
	return id, commonName.FindAllString(allText(textproto.MIMEHeader(m.Header), m.Body), -1)
}

// allText is the decoded text of every part of a mail.
func allText(header textproto.MIMEHeader, body io.Reader) string {
	kind, params, _ := mime.ParseMediaType(header.Get("Content-Type"))
	if !strings.HasPrefix(kind, "multipart/") {
		return decoded(header.Get("Content-Transfer-Encoding"), body)
	}
	var all strings.Builder
	for parts := multipart.NewReader(body, params["boundary"]); ; {
		part, err := parts.NextRawPart()
		if err != nil {
			return all.String()
		}
		all.WriteString(allText(part.Header, part))
	}
}

func decoded(encoding string, body io.Reader) string {
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, _ := io.ReadAll(body) // what cannot be decoded names nobody, and is missed
	return string(text)
}
