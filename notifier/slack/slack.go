// Package slack sends messages to Slack, by an incoming webhook or as a bot by
// chat.postMessage, with slack-go over an HTTP client whose every step has a
// deadline. Neither the webhook's URL nor the token is ever part of an error.
package slack

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"time"

	slackapi "github.com/slack-go/slack"

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
	Now        func() time.Time
}

// A Channel posts to one webhook or conversation.
type Channel struct {
	options Options
	client  *http.Client
	api     *slackapi.Client // nil with a webhook
	secrets []string
}

// New returns a channel, or an error that says what is wrong with the options.
func New(o Options) (*Channel, error) {
	if o.Timeout <= 0 {
		o.Timeout = 20 * time.Second
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
	c := &Channel{options: o, client: notifier.NewHTTPClient(o.Timeout, o.TLS)}
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

func (c *Channel) send(ctx context.Context, m notifier.Message) error {
	words, err := templates.RenderSlack(m.Words())
	if err != nil {
		return notifier.Permanent(err)
	}
	var got recorded
	ctx = context.WithValue(ctx, recordKey{}, &got)
	if c.api != nil {
		_, _, err = c.api.PostMessageContext(ctx, c.options.Channel,
			slackapi.MsgOptionText(words.Fallback, false), slackapi.MsgOptionBlocks(blocks(words)...),
			slackapi.MsgOptionDisableLinkUnfurl())
	} else {
		err = slackapi.PostWebhookCustomHTTPContext(ctx, c.options.WebhookURL, c.client, &slackapi.WebhookMessage{
			Text: words.Fallback, Blocks: &slackapi.Blocks{BlockSet: blocks(words)},
		})
	}
	return c.judge(err, got)
}

// judge says what to do about an error. slack-go throws the counterpart's
// words and an HTTP date in Retry-After away, so the recorder's word counts.
func (c *Channel) judge(err error, got recorded) error {
	switch {
	case err == nil:
		return nil
	case got.status == 0:
		return notifier.TransportError(err)
	case got.status != http.StatusOK:
		if answer := notifier.ResponseError(got.status, got.header, got.answer, c.options.Now()); answer != nil {
			return answer
		}
		return err
	}
	return judgeAPI(err)
}

// blocks lays the parts out in Block Kit.
func blocks(s templates.Slack) []slackapi.Block {
	out := []slackapi.Block{slackapi.NewHeaderBlock(slackapi.NewTextBlockObject(slackapi.PlainTextType, s.Header, false, false))}
	for _, text := range s.Sections {
		out = append(out, slackapi.NewSectionBlock(slackapi.NewTextBlockObject(slackapi.MarkdownType, text, false, false), nil, nil))
	}
	return append(out, slackapi.NewContextBlock("", slackapi.NewTextBlockObject(slackapi.MarkdownType, s.Footer, false, false)))
}
