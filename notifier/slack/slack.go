// Package slack sends messages to Slack, by an incoming webhook or as a bot by
// chat.postMessage, with slack-go over an HTTP client whose every step has a
// deadline. Neither the webhook's URL nor the token is ever part of an error.
package slack

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	slackapi "github.com/slack-go/slack"
	"golang.org/x/time/rate"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/templates"
)

// Options configure a channel: either WebhookURL, or Token and Channel.
type Options struct {
	WebhookURL string
	Token      string
	Channel    string // a conversation's name or id
	APIURL     string // of the Web API; default Slack's
	Timeout    time.Duration
	TLS        *tls.Config      // nil = the system's roots
	Control    notifier.Control // of what is dialled; nil = anything, also through a proxy
	Threads    Threads          // for a token; nil = no message answers another
	Interval   time.Duration    // between two messages; default 1 s, Slack's limit
	Now        func() time.Time
}

// A Channel posts to one webhook or conversation.
type Channel struct {
	options Options
	client  *http.Client
	api     *slackapi.Client // nil with a webhook
	secrets []string
	pace    *rate.Limiter
}

// New returns a channel, or an error that says what is wrong with the options.
func New(o Options) (*Channel, error) {
	if o.Timeout <= 0 {
		o.Timeout = 20 * time.Second
	}
	if o.Interval <= 0 {
		o.Interval = time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.APIURL == "" {
		o.APIURL = slackapi.APIURL
	}
	if (o.WebhookURL == "") == (o.Token == "") {
		return nil, fault.New(fault.Invalid, "slack", "set exactly one of webhook_url and token")
	}
	c := &Channel{options: o, client: notifier.NewHTTPClient(o.Timeout, o.TLS), pace: rate.NewLimiter(rate.Every(o.Interval), 1)}
	notifier.Guard(c.client, o.Control)
	c.client.Transport = recorder{next: c.client.Transport, of: c}
	if o.Token != "" {
		if o.Channel == "" {
			return nil, fault.New(fault.Invalid, "slack", "a token needs the conversation to post to").WithField("channel")
		}
		c.secrets = []string{o.Token}
		c.api = slackapi.New(o.Token, slackapi.OptionHTTPClient(c.client), slackapi.OptionAPIURL(strings.TrimSuffix(o.APIURL, "/")+"/"))
		return c, nil
	}
	u, err := url.Parse(o.WebhookURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		// The URL is a secret: it is not repeated.
		return nil, fault.New(fault.Invalid, "url", "the Slack webhook's URL is not an absolute https URL").WithField("webhook_url")
	}
	c.secrets = append(notifier.URLSecrets(u), o.WebhookURL)
	return c, nil
}

// Send posts one message. It implements [notifier.Channel].
func (c *Channel) Send(ctx context.Context, m notifier.Message) error {
	return notifier.Redact(c.send(notifier.Hiding(ctx, c.secrets...), m), c.secrets...)
}

// send posts the message, in the thread of its item where there is one. Slack's
// offence at the thread or at the form must not cost the alert: it then goes
// without.
func (c *Channel) send(ctx context.Context, m notifier.Message) error {
	words, err := templates.RenderSlack(m.Words())
	if err != nil {
		return notifier.Permanent(err)
	}
	p := posting{words: words, thread: c.thread(ctx, m)}
	p.broadcast = p.thread != "" && broadcasts(m)
	ts, err := c.post(ctx, p)
	if p.thread != "" && threadRefused(err) {
		p.thread, p.broadcast = "", false
		ts, err = c.post(ctx, p)
	}
	if layoutRefused(err) {
		p.plain = refusedAs(err)
		ts, err = c.post(ctx, p)
	}
	if err == nil && p.thread == "" {
		c.began(ctx, m, ts)
	}
	return err
}

// A posting is one way to say a message.
type posting struct {
	words     templates.Slack
	thread    string // what Slack names the message by that this one answers; "" = none
	broadcast bool   // an answer is shown outside its thread too
	plain     string // why it goes in words alone; "" = it goes in blocks
}

// text is what is shown where blocks are not.
func (p posting) text() string {
	if p.plain == "" {
		return p.words.Fallback
	}
	return p.words.Plain + "\n_Without its layout, which Slack refused (" + p.plain + ")._"
}

// post waits for its turn and posts, and returns what Slack names the message
// by, which a webhook does not say.
func (c *Channel) post(ctx context.Context, p posting) (ts string, err error) {
	if err := c.pace.Wait(ctx); err != nil {
		return "", fmt.Errorf("waiting for the turn to post: %w", err)
	}
	var got recorded
	ctx = context.WithValue(ctx, recordKey{}, &got)
	if c.api != nil {
		_, ts, err = c.api.PostMessageContext(ctx, c.options.Channel, p.options()...)
	} else {
		err = slackapi.PostWebhookCustomHTTPContext(ctx, c.options.WebhookURL, c.client, p.webhook())
	}
	return ts, c.judge(err, got)
}

func (p posting) options() []slackapi.MsgOption {
	options := []slackapi.MsgOption{
		slackapi.MsgOptionText(p.text(), false), slackapi.MsgOptionDisableLinkUnfurl(), slackapi.MsgOptionDisableMediaUnfurl(),
	}
	if p.plain == "" {
		options = append(options, slackapi.MsgOptionBlocks(blocks(p.words)...))
	}
	if p.thread != "" {
		options = append(options, slackapi.MsgOptionTS(p.thread))
	}
	if p.broadcast {
		options = append(options, slackapi.MsgOptionBroadcast())
	}
	return options
}

func (p posting) webhook() *slackapi.WebhookMessage {
	no := false
	m := &slackapi.WebhookMessage{Text: p.text(), UnfurlLinks: &no, UnfurlMedia: &no}
	if p.plain == "" {
		m.Blocks = &slackapi.Blocks{BlockSet: blocks(p.words)}
	}
	return m
}

// blocks lays the parts out in Block Kit. Texts are verbatim: Slack makes no
// links of what looks like an address or a name in a certificate.
func blocks(s templates.Slack) []slackapi.Block {
	mrkdwn := func(text string) *slackapi.TextBlockObject {
		return slackapi.NewTextBlockObject(slackapi.MarkdownType, text, false, true)
	}
	out := []slackapi.Block{slackapi.NewHeaderBlock(slackapi.NewTextBlockObject(slackapi.PlainTextType, s.Header, false, false))}
	for _, text := range s.Sections {
		out = append(out, slackapi.NewSectionBlock(mrkdwn(text), nil, nil))
	}
	return append(out, slackapi.NewContextBlock("", mrkdwn(s.Footer)))
}
