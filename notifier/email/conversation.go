package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"net/textproto"
	"time"

	"github.com/certvigil/certvigil/notifier"
)

// A conversation is one SMTP session.
type conversation struct {
	options Options
	host    string
	conn    net.Conn
	smtp    *smtp.Client
}

// longAgo is a deadline that has passed: it ends what blocks on a connection.
var longAgo = time.Unix(1, 0)

// dial connects and, with implicit TLS, encrypts.
func (c *Channel) dial(ctx context.Context) (*conversation, error) {
	o := c.options
	connectCtx, cancel := context.WithTimeout(ctx, o.Timeouts.Connect)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(connectCtx, "tcp", o.Server)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", o.Server, err)
	}
	conv := &conversation{options: o, host: c.host, conn: conn}
	if o.TLS != ImplicitTLS {
		return conv, nil
	}
	secure := tls.Client(conn, conv.tlsConfig())
	if err := conv.stage(ctx, "negotiating TLS", o.Timeouts.Command, secure.Handshake); err != nil {
		conv.close()
		return nil, err
	}
	conv.conn = secure
	return conv, nil
}

func (c *conversation) tlsConfig() *tls.Config {
	config := &tls.Config{}
	if c.options.TLSConfig != nil {
		config = c.options.TLSConfig.Clone()
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	if config.ServerName == "" {
		config.ServerName = c.host
	}
	return config
}

// stage runs one step that must end within timeout. A stage outlasted or a
// context done cuts the connection's reads and writes off.
func (c *conversation) stage(ctx context.Context, doing string, timeout time.Duration, step func() error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(longAgo) })
	err := step()
	switch {
	case !stop() && err != nil:
		return fmt.Errorf("%s: no answer in time: %w", doing, context.Cause(ctx))
	case err == nil:
		return nil
	case notifier.IsTLSTrouble(err):
		return notifier.ChannelFailing(fmt.Errorf("%s: %w", doing, err))
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// prepare goes through greeting, EHLO, STARTTLS and AUTH. What the server
// refuses for good here concerns the channel and not the message.
func (c *conversation) prepare(ctx context.Context) error {
	o := c.options
	steps := []struct {
		doing string
		step  func() error
	}{
		{"waiting for the greeting", c.greet},
		{"saying EHLO", func() error { return c.smtp.Hello(o.Hello) }},
		{"starting TLS", c.startTLS},
		{"authenticating", c.authenticate},
	}
	for _, s := range steps {
		if err := c.stage(ctx, s.doing, o.Timeouts.Command, s.step); err != nil {
			return refused(err, notifier.ChannelFailing)
		}
	}
	return nil
}

func (c *conversation) greet() (err error) {
	c.smtp, err = smtp.NewClient(c.conn, c.host)
	return err
}

func (c *conversation) startTLS() error {
	if c.options.TLS != StartTLS {
		return nil
	}
	if ok, _ := c.smtp.Extension("STARTTLS"); !ok {
		return notifier.ChannelFailing(errors.New("the server does not offer STARTTLS"))
	}
	return c.smtp.StartTLS(c.tlsConfig())
}

func (c *conversation) authenticate() error {
	if c.options.Username == "" {
		return nil
	}
	ok, mechanisms := c.smtp.Extension("AUTH")
	if !ok {
		return notifier.ChannelFailing(errors.New("the server does not offer AUTH"))
	}
	auth := chooseAuth(mechanisms, c.options.Username, c.options.Password, c.host)
	if auth == nil {
		return notifier.ChannelFailing(fmt.Errorf("the server offers AUTH %s, and neither PLAIN nor LOGIN", mechanisms))
	}
	return c.smtp.Auth(auth)
}

// transact hands one message over for one recipient. Once the final dot is
// answered the message is accepted, whatever becomes of QUIT.
func (c *conversation) transact(ctx context.Context, from, to string, raw []byte) error {
	t := c.options.Timeouts
	mail := func() error { return c.smtp.Mail(from) }
	if err := c.stage(ctx, "giving the sender", t.Command, mail); err != nil {
		return refused(err, notifier.ChannelFailing)
	}
	rcpt := func() error { return c.smtp.Rcpt(to) }
	if err := c.stage(ctx, "giving the recipient", t.Command, rcpt); err != nil {
		return refused(err, notifier.Permanent)
	}
	if err := c.data(ctx, raw); err != nil {
		return refused(err, notifier.Permanent)
	}
	_ = c.stage(ctx, "ending the session", t.Command/4, c.smtp.Quit)
	return nil
}

func (c *conversation) data(ctx context.Context, raw []byte) error {
	t := c.options.Timeouts
	text, err := c.beginData(ctx)
	if err != nil {
		return err
	}
	write := func() error {
		_, err := text.Write(raw)
		return err
	}
	if err := c.stage(ctx, "sending the message", t.Data, write); err != nil {
		return err
	}
	return c.stage(ctx, "waiting for the message to be accepted", t.Data, text.Close)
}

func (c *conversation) beginData(ctx context.Context) (text io.WriteCloser, err error) {
	err = c.stage(ctx, "opening the message", c.options.Timeouts.Command, func() (err error) {
		text, err = c.smtp.Data()
		return err
	})
	return text, err
}

func (c *conversation) close() { _ = c.conn.Close() }

// refused applies mark to what the server refused for good (5yz); 4yz and
// everything that broke is transient.
func refused(err error, mark func(error) error) error {
	if answer, ok := errors.AsType[*textproto.Error](err); ok && answer.Code >= 500 && answer.Code < 600 {
		return mark(err)
	}
	return err
}
