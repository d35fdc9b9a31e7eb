// Package email sends messages by SMTP, one transaction for each recipient.
//
// The MIME message is built by gomail; the conversation is our own, because
// every stage of it has a deadline and because STARTTLS, where it is asked for,
// is mandatory: a server that does not offer it gets neither a password nor a
// message.
package email

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/templates"
)

// A TLSMode says how a connection is encrypted.
type TLSMode string

// The modes.
const (
	StartTLS    TLSMode = "starttls" // refuses a server that does not offer it
	ImplicitTLS TLSMode = "tls"      // from the first byte on (RFC 8314)
	NoTLS       TLSMode = "none"
)

// Options configure a channel.
type Options struct {
	Server   string  // host:port
	TLS      TLSMode // default StartTLS
	Username string  // "" = no AUTH
	Password string
	From     string // an RFC 5322 address, with or without a name
	Hello    string // the name given in EHLO; default the host's name
	Timeouts Timeouts
	// TLSConfig holds the roots to trust; nil = the system's.
	TLSConfig *tls.Config
}

// Timeouts bound the stages of a conversation; zero ones have defaults.
type Timeouts struct {
	Connect time.Duration // default 10 s
	Command time.Duration // the greeting, a TLS handshake, and each command; default 20 s
	Data    time.Duration // writing the message, and again the answer to it; default 40 s
}

// A Channel sends to any recipient through one server.
type Channel struct {
	options Options
	host    string
	from    address
	secrets []string
}

// New returns a channel, or an error that says what is wrong with the options.
func New(o Options) (*Channel, error) {
	if o.TLS == "" {
		o.TLS = StartTLS
	}
	if o.Hello == "" {
		o.Hello = hostname()
	}
	for _, t := range []struct {
		value *time.Duration
		or    time.Duration
	}{{&o.Timeouts.Connect, 10 * time.Second}, {&o.Timeouts.Command, 20 * time.Second}, {&o.Timeouts.Data, 40 * time.Second}} {
		if *t.value <= 0 {
			*t.value = t.or
		}
	}
	host, _, err := net.SplitHostPort(o.Server)
	if err != nil || host == "" {
		return nil, fault.New(fault.Invalid, "smtp", "the SMTP server %q is not host:port", o.Server).WithField("smtp")
	}
	from, err := parseAddress(o.From)
	if err != nil {
		return nil, fault.New(fault.Invalid, "from", "the sender %q is not a mail address: %w", o.From, err).WithField("from")
	}
	switch o.TLS {
	case StartTLS, ImplicitTLS:
	case NoTLS:
		if o.Username != "" && !isLoopback(host) {
			return nil, fault.New(fault.Invalid, "tls", "a password would go in clear text to %q", host).WithField("tls").
				WithHint("set tls to starttls or tls, or leave username out")
		}
	default:
		return nil, fault.New(fault.Invalid, "tls", "unknown tls mode %q", o.TLS).WithField("tls").WithHint("use starttls, tls or none")
	}
	return &Channel{options: o, host: host, from: from, secrets: []string{
		o.Password,
		base64.StdEncoding.EncodeToString([]byte(o.Password)),
		base64.StdEncoding.EncodeToString([]byte("\x00" + o.Username + "\x00" + o.Password)),
	}}, nil
}

// Send delivers one message to its one recipient. It implements
// [notifier.Channel]. A message whose acceptance was not heard of may arrive
// twice; both then have the same Message-ID.
func (c *Channel) Send(ctx context.Context, m notifier.Message) error {
	if c.options.Password == "" {
		return c.send(ctx, m)
	}
	return notifier.Redact(c.send(notifier.Hiding(ctx, c.secrets...), m), c.secrets...)
}

func (c *Channel) send(ctx context.Context, m notifier.Message) error {
	to, err := parseAddress(m.Recipient)
	if err != nil {
		return notifier.Permanent(fmt.Errorf("the recipient is not a mail address: %w", err))
	}
	whole, err := build(m, c.from, to, true)
	if err != nil {
		return notifier.Permanent(fmt.Errorf("building the mail: %w", err))
	}
	conv, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer conv.close()
	if err := conv.prepare(ctx); err != nil {
		return err
	}
	if err := c.fit(ctx, conv, m, to, whole); err != nil {
		return err
	}
	conv.end(ctx)
	return nil
}

// fit hands the message over, and without its attachment to a server that takes
// no mail of that size: an alert without its table is better than none.
func (c *Channel) fit(ctx context.Context, conv *conversation, m notifier.Message, to address, whole []byte) error {
	most, attached := conv.smtp.maxSize(), len(m.Entries) > templates.Spelled
	if !attached || most == 0 || len(whole) <= most {
		err := conv.transact(ctx, c.from, to, whole)
		if !attached || answerCode(err) != codeTooLarge {
			return err
		}
		if conv.again(ctx) != nil {
			return err
		}
	}
	bare, err := build(m, c.from, to, false)
	if err != nil {
		return notifier.Permanent(fmt.Errorf("building the mail: %w", err))
	}
	return conv.transact(ctx, c.from, to, bare)
}

// codeTooLarge is the answer to a message of more than the server takes
// (RFC 1870 §6), and to a mailbox that is full.
const codeTooLarge = 552

// isLoopback is what net/smtp takes for a host to which clear text may go.
func isLoopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

// hostname is the host's name if it can stand in EHLO.
func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "localhost"
	}
	return name
}
