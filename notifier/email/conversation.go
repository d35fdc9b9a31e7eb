package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"slices"
	"time"

	"github.com/certvigil/certvigil/notifier"
)

// A conversation is an SMTP session whose every stage has a deadline.
type conversation struct {
	options Options
	host    string
	conn    net.Conn
	smtp    *session
	secure  bool // over TLS
	tell    notifier.Listener
}

// longAgo is a deadline that has passed: it ends what blocks on a connection.
var longAgo = time.Unix(1, 0)

// dial connects and, with implicit TLS, encrypts.
func (c *Channel) dial(ctx context.Context) (*conversation, error) {
	o := c.options
	tell := notifier.ListenerOf(ctx)
	note(tell, "connecting to "+o.Server)
	connectCtx, cancel := context.WithTimeout(ctx, o.Timeouts.Connect)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(connectCtx, "tcp", o.Server)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", o.Server, err)
	}
	conv := &conversation{options: o, host: c.host, conn: &bounded{Conn: conn, left: maxAnswers}, tell: tell}
	if o.TLS != ImplicitTLS {
		return conv, nil
	}
	if err := conv.encrypt(ctx); err != nil {
		conv.close()
		return nil, err
	}
	return conv, nil
}

// encrypt goes on over TLS. What the server sent in the clear beyond its last
// answer is not read: it may be somebody else's.
func (c *conversation) encrypt(ctx context.Context) error {
	secure := tls.Client(c.conn, c.tlsConfig())
	if err := c.stage(ctx, "negotiating TLS", c.options.Timeouts.Command, secure.Handshake); err != nil {
		return err
	}
	c.conn, c.secure = secure, true
	note(c.tell, tls.VersionName(secure.ConnectionState().Version)+" from here on")
	return nil
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
	if err := c.greet(ctx); err != nil {
		return err
	}
	if c.options.TLS == StartTLS {
		if err := c.startTLS(ctx); err != nil {
			return err
		}
	}
	return c.command(ctx, "authenticating", c.authenticate)
}

// command runs a stage of the preparation.
func (c *conversation) command(ctx context.Context, doing string, step func() error) error {
	return refused(c.stage(ctx, doing, c.options.Timeouts.Command, step), notifier.ChannelFailing)
}

func (c *conversation) greet(ctx context.Context) error {
	c.smtp = newSession(overheard(c.conn, c.tell))
	if err := c.command(ctx, "waiting for the greeting", c.smtp.greet); err != nil {
		return err
	}
	return c.hello(ctx)
}

func (c *conversation) hello(ctx context.Context) error {
	return c.command(ctx, "saying EHLO", func() error { return c.smtp.hello(c.options.Hello) })
}

func (c *conversation) startTLS(ctx context.Context) error {
	if !c.smtp.offers("STARTTLS") {
		return notifier.ChannelFailing(errors.New("starting TLS: the server does not offer STARTTLS"))
	}
	err := c.command(ctx, "starting TLS", func() error {
		_, _, err := c.smtp.command(220, "STARTTLS")
		return err
	})
	if err != nil {
		return err
	}
	if err := c.encrypt(ctx); err != nil {
		return err
	}
	c.smtp = newSession(overheard(c.conn, c.tell))
	return c.hello(ctx)
}

func (c *conversation) authenticate() error {
	o := c.options
	if o.Username == "" {
		return nil
	}
	mechanisms, ok := c.smtp.extensions["AUTH"]
	if !ok {
		return notifier.ChannelFailing(errors.New("the server does not offer AUTH"))
	}
	auth := chooseAuth(mechanisms, o.Username, o.Password, c.host)
	if auth == nil {
		return notifier.ChannelFailing(fmt.Errorf("the server offers AUTH %s, and neither PLAIN nor LOGIN", mechanisms))
	}
	return c.smtp.authenticate(auth, &smtp.ServerInfo{Name: c.host, TLS: c.secure})
}

// transact hands one message over for one recipient.
func (c *conversation) transact(ctx context.Context, from, to address, raw []byte) error {
	t, beyond := c.options.Timeouts, from.beyond || to.beyond
	if beyond && !c.smtp.offers("SMTPUTF8") {
		return c.cannotSpeak(from)
	}
	mail := func() error { return c.smtp.mail(from, len(raw), beyond) }
	if err := c.stage(ctx, "giving the sender", t.Command, mail); err != nil {
		return refused(err, notifier.ChannelFailing)
	}
	rcpt := func() error { return c.smtp.rcpt(to) }
	if err := c.stage(ctx, "giving the recipient", t.Command, rcpt); err != nil {
		return refused(err, notifier.Permanent)
	}
	return refused(c.data(ctx, raw), notifier.Permanent)
}

// cannotSpeak blames whoever has an address that the server cannot handle.
func (*conversation) cannotSpeak(from address) error {
	err := errors.New("the server does not offer SMTPUTF8, which an address beyond ASCII needs before its @")
	if from.beyond {
		return notifier.ChannelFailing(err)
	}
	return notifier.Permanent(err)
}

func (c *conversation) data(ctx context.Context, raw []byte) error {
	t := c.options.Timeouts
	var text io.WriteCloser
	err := c.stage(ctx, "opening the message", t.Command, func() (err error) {
		text, err = c.smtp.data()
		return err
	})
	if err != nil {
		return err
	}
	write := func() error {
		if _, err := text.Write(raw); err != nil {
			return err
		}
		return text.Close()
	}
	if err := c.stage(ctx, "sending the message", t.Data, write); err != nil {
		return err
	}
	err = c.stage(ctx, "waiting for the message to be accepted", t.Data, c.smtp.accepted)
	if err != nil && answerCode(err) == 0 {
		return notifier.MayHaveArrived(err) // RFC 5321 §4.5.3.2.6: nobody knows
	}
	return err
}

// again makes ready for another transaction.
func (c *conversation) again(ctx context.Context) error {
	return c.stage(ctx, "starting over", c.options.Timeouts.Command, c.smtp.reset)
}

// end says QUIT. Once the final dot is answered the message is accepted,
// whatever becomes of this.
func (c *conversation) end(ctx context.Context) {
	_ = c.stage(ctx, "ending the session", c.options.Timeouts.Command/4, c.smtp.quit)
}

func (c *conversation) close() { _ = c.conn.Close() }

// refused applies mark to what the server refused for good (5yz); 4yz and
// everything that broke is transient. That a password is asked for (RFC 4954
// §6) concerns the channel, at whatever stage the server finds out.
func refused(err error, mark func(error) error) error {
	switch {
	case !isRefusal(err):
		return err
	case slices.Contains([]int{530, 534, 535, 538}, answerCode(err)):
		return notifier.ChannelFailing(err)
	}
	return mark(err)
}
