package email

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/certvigil/certvigil/notifier"
)

// A session speaks SMTP (RFC 5321). The client of net/smtp would not do: it
// takes a temporary refusal of EHLO for a server without STARTTLS and AUTH, and
// asks for SMTPUTF8 wherever that is offered, with which mails of pure ASCII
// are kept from servers that do not know it.
type session struct {
	text       *textproto.Conn
	extensions map[string]string // parameters by keyword, in upper case
}

func newSession(conn net.Conn) *session { return &session{text: textproto.NewConn(conn)} }

// command sends a line and reads the answer, whose code must begin with the
// digits of want (0 = any). The error of another answer is a *textproto.Error.
func (s *session) command(want int, format string, args ...any) (code int, answer string, err error) {
	id, err := s.text.Cmd(format, args...)
	if err != nil {
		return 0, "", err
	}
	s.text.StartResponse(id)
	defer s.text.EndResponse(id)
	return s.text.ReadResponse(want)
}

func (s *session) greet() error {
	_, _, err := s.text.ReadResponse(220)
	return err
}

// hello says EHLO, and HELO to a server that does not know EHLO (RFC 5321
// §3.2), which then has no extensions.
func (s *session) hello(name string) error {
	s.extensions = map[string]string{}
	_, answer, err := s.command(250, "EHLO %s", name)
	if isRefusal(err) {
		_, _, err = s.command(250, "HELO %s", name)
		return err
	}
	if err != nil {
		return err
	}
	lines := strings.Split(answer, "\n")
	for _, line := range lines[1:] {
		keyword, parameters, _ := strings.Cut(line, " ")
		s.extensions[strings.ToUpper(keyword)] = parameters
	}
	return nil
}

func (s *session) offers(extension string) bool {
	_, ok := s.extensions[extension]
	return ok
}

// maxSize returns the largest message that the server takes (RFC 1870), 0 when
// it does not say.
func (s *session) maxSize() int {
	size, err := strconv.Atoi(s.extensions["SIZE"])
	if err != nil || size < 0 {
		return 0
	}
	return size
}

// authenticate carries out a mechanism of SASL (RFC 4954). A server that does
// not keep to it will not do so the next time: the channel fails.
func (s *session) authenticate(auth smtp.Auth, server *smtp.ServerInfo) error {
	mechanism, initial, err := auth.Start(server)
	if err != nil {
		return notifier.ChannelFailing(err)
	}
	code, answer, err := s.command(0, "%s", strings.TrimSpace("AUTH "+mechanism+" "+base64.StdEncoding.EncodeToString(initial)))
	for err == nil && code == 334 {
		var challenge, response []byte
		if challenge, err = base64.StdEncoding.DecodeString(answer); err != nil {
			return notifier.ChannelFailing(fmt.Errorf("the server asks what is not base64: %w", err))
		}
		if response, err = auth.Next(challenge, true); err != nil {
			return notifier.ChannelFailing(err)
		}
		code, answer, err = s.command(0, "%s", base64.StdEncoding.EncodeToString(response))
	}
	if err == nil && code != 235 {
		err = &textproto.Error{Code: code, Msg: answer}
	}
	return err
}

// mail opens a transaction with a message of that size. A message with an
// address beyond ASCII needs SMTPUTF8 (RFC 6531).
func (s *session) mail(from address, size int, beyondASCII bool) error {
	parameters := ""
	if s.offers("SIZE") {
		parameters += fmt.Sprintf(" SIZE=%d", size)
	}
	if beyondASCII {
		parameters += " SMTPUTF8"
	}
	_, _, err := s.command(25, "MAIL FROM:<%s>%s", from.envelope, parameters)
	return err
}

func (s *session) rcpt(to address) error {
	_, _, err := s.command(25, "RCPT TO:<%s>", to.envelope)
	return err
}

// data begins the message; closing the writer sends the final dot. Lines that
// begin with a dot are stuffed.
func (s *session) data() (io.WriteCloser, error) {
	if _, _, err := s.command(354, "DATA"); err != nil {
		return nil, err
	}
	return s.text.DotWriter(), nil
}

// accepted reads the answer to the final dot.
func (s *session) accepted() error {
	_, _, err := s.text.ReadResponse(250)
	return err
}

func (s *session) reset() error {
	_, _, err := s.command(250, "RSET")
	return err
}

func (s *session) quit() error {
	_, _, err := s.command(221, "QUIT")
	return err
}

// isRefusal reports whether the server refused for good (5yz).
func isRefusal(err error) bool { return answerCode(err)/100 == 5 }

// answerCode is the code of the server's answer, 0 when it gave none.
func answerCode(err error) int {
	if answer, ok := errors.AsType[*textproto.Error](err); ok {
		return answer.Code
	}
	return 0
}

// maxAnswers is how much a server may say in one conversation.
const maxAnswers = 256 << 10

// bounded is a connection to a server that is not trusted to end what it says.
type bounded struct {
	net.Conn
	left int
}

// Read implements [net.Conn].
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the server says more than a mail server has to say")
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
