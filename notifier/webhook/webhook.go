// Package webhook sends messages as JSON over HTTP POST.
//
// Formats are named: "access" is the reference product's notification, one
// item a message; "standard" follows Standard Webhooks. Whenever a secret is
// set, both bear the Standard Webhooks headers, whose webhook-id is the
// delivery's id and the same in every attempt. Redirects are not followed and
// 2xx alone is success. The URL and the secret are never part of an error.
package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/notifier"
)

// Options configure a channel.
type Options struct {
	URL       string
	Format    string // default FormatAccess
	Secret    string // raw text, or "whsec_" and base64; may be empty
	AccountID string // account_id of the access format; may be empty
	Timeout   time.Duration
	TLS       *tls.Config      // nil = the system's roots
	Control   notifier.Control // of what is dialled; nil = anything, also through a proxy
	Now       func() time.Time
}

// A Channel posts messages to one URL.
type Channel struct {
	url     string
	secrets []string // that no error may tell
	format  format
	sign    *signer // nil without a secret
	client  *http.Client
	now     func() time.Time
}

// New returns a channel, or an error that says what is wrong with the options.
func New(o Options) (*Channel, error) {
	if o.Timeout <= 0 {
		o.Timeout = 20 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Format == "" {
		o.Format = FormatAccess
	}
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// The URL may be a secret: it is not repeated.
		return nil, fault.New(fault.Invalid, "url", "the webhook's URL is not an absolute http or https URL").WithField("url")
	}
	makeFormat, ok := formats[o.Format]
	if !ok {
		return nil, fault.New(fault.Invalid, "format", "unknown webhook format %q", o.Format).
			WithField("format").WithHint("use one of %s", strings.Join(Formats(), ", "))
	}
	sign, err := newSigner(o.Secret)
	if err != nil {
		return nil, err
	}
	client := notifier.NewHTTPClient(o.Timeout, o.TLS)
	notifier.Guard(client, o.Control)
	return &Channel{
		url: o.URL, secrets: append(notifier.URLSecrets(u), o.URL, o.Secret), format: makeFormat(o), sign: sign,
		client: client, now: o.Now,
	}, nil
}

// Send posts one message. It implements [notifier.Channel].
func (c *Channel) Send(ctx context.Context, m notifier.Message) error {
	return notifier.Redact(c.send(notifier.Hiding(ctx, c.secrets...), m), c.secrets...)
}

func (c *Channel) send(ctx context.Context, m notifier.Message) error {
	body, err := c.format.body(m)
	if err != nil {
		return notifier.Permanent(fmt.Errorf("encoding the message: %w", err))
	}
	return c.post(ctx, m.ID, body)
}

// SendText posts {"text": text} and nothing else, under an id: what the
// reference product sends when a destination is made.
func (c *Channel) SendText(ctx context.Context, id, text string) error {
	body, err := encode(textBody{text})
	if err != nil {
		return err
	}
	return notifier.Redact(c.post(ctx, id, body), c.secrets...)
}

func (c *Channel) post(ctx context.Context, id string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return notifier.TransportError(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "certvigil")
	if c.sign != nil {
		c.format.authorize(req.Header, c.sign.secret)
		c.sign.header(req.Header, id, c.now(), body)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return notifier.TransportError(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return notifier.ResponseError(resp.StatusCode, resp.Header, notifier.ReadAnswer(resp.Body, c.secrets...), c.now())
}
