// Package webhook sends messages over HTTP POST, in formats by name.
//
// "access" is the reference product's notification, one item a message;
// "standard" follows Standard Webhooks, "cloudevents" CloudEvents 1.0;
// "pagerduty", "alertmanager" and "teams" are what those take; "template" is
// what a template of one's own makes. Whatever a certificate holds, a body is
// valid UTF-8, keeps the receiver's documented limits and counts what it leaves
// out.
//
// Whenever a secret is set that is not the receiver's own key, a message bears
// the Standard Webhooks headers, whose webhook-id is the delivery's id and the
// same in every attempt. Redirects are not followed and 2xx alone is success; of
// an answer, a bounded part is read within a bounded time. The URL and the
// secrets are never part of an error.
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/templates"
)

// Options configure a channel.
type Options struct {
	URL            string          // may be empty where the format knows its own
	Format         string          // default FormatAccess
	Secret         string          // raw text, or "whsec_" and base64; PagerDuty's routing key; may be empty elsewhere
	PreviousSecret string          // signs beside Secret while that replaces it; may be empty
	Authorization  string          // value of that header; may be empty
	AccountID      string          // account_id of the access format; may be empty
	Template       *templates.Body // of the format template
	ContentType    string          // of the format template; default application/json
	Timeout        time.Duration
	TLS            *tls.Config      // nil = the system's roots
	Control        notifier.Control // of what is dialled; nil = anything, also through a proxy
	Now            func() time.Time
}

// A Channel posts messages to one URL.
type Channel struct {
	url     string
	secrets []string // that no error may tell
	header  http.Header
	encode  encoder
	sign    *signer // nil without a secret to sign with
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
	o.Format = orAccess(o.Format)
	d, ok := definitions[o.Format]
	if !ok {
		return nil, fault.New(fault.Invalid, "format", "unknown webhook format %q", o.Format).
			WithField("format").WithHint("use one of %s", strings.Join(Formats(), ", "))
	}
	u, err := url.Parse(cmp.Or(o.URL, d.url))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// The URL may be a secret: it is not repeated.
		return nil, fault.New(fault.Invalid, "url", "the webhook's URL is not an absolute http or https URL").WithField("url")
	}
	if err := d.check(o); err != nil {
		return nil, err
	}
	var sign *signer
	if !d.ownKey {
		if sign, err = newSigner(o.Secret, o.PreviousSecret); err != nil {
			return nil, err
		}
	}
	c := &Channel{
		url: d.target(u), header: d.headers(o), encode: d.encoder(o), sign: sign,
		client: notifier.NewHTTPClient(o.Timeout, o.TLS), now: o.Now,
	}
	notifier.Guard(c.client, o.Control)
	c.secrets = append(notifier.URLSecrets(u), o.URL, o.Secret, o.PreviousSecret, o.Authorization)
	if _, credentials, ok := strings.Cut(o.Authorization, " "); ok {
		c.secrets = append(c.secrets, credentials)
	}
	return c, nil
}

// check refuses options that the format cannot do with.
func (d definition) check(o Options) error {
	switch {
	case d.ownKey && o.Secret == "":
		return fault.New(fault.Invalid, "secret", "the format %s needs the receiver's key as its secret", o.Format).WithField("secret")
	case o.Format == FormatTemplate && o.Template == nil:
		return fault.New(fault.Invalid, "template_file", "the format template needs a template").WithField("template_file")
	case strings.ContainsFunc(o.Authorization, unicode.IsControl):
		return fault.New(fault.Invalid, "authorization", "the value of the header Authorization contains a control character").
			WithField("authorization")
	}
	return nil
}

// headers are the same for every message.
func (d definition) headers(o Options) http.Header {
	h := http.Header{}
	h.Set("Content-Type", cmp.Or(d.contentType, o.ContentType, "application/json"))
	h.Set("User-Agent", "certvigil")
	if o.Authorization != "" {
		h.Set("Authorization", o.Authorization)
	}
	if d.plainHeader != "" && o.Secret != "" {
		h.Set(d.plainHeader, o.Secret)
	}
	return h
}

// Send posts one message. It implements [notifier.Channel].
func (c *Channel) Send(ctx context.Context, m notifier.Message) error {
	return notifier.Redact(c.send(notifier.Hiding(ctx, c.secrets...), m), c.secrets...)
}

func (c *Channel) send(ctx context.Context, m notifier.Message) error {
	bodies, err := c.encode(m)
	if err != nil {
		return notifier.Permanent(fmt.Errorf("encoding the message: %w", err))
	}
	for i, body := range bodies {
		err := c.post(ctx, m.ID, body)
		if err != nil && i > 0 {
			return notifier.MayHaveArrived(err) // what came before this part did
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// SendText posts {"text": text} and nothing else, under an id: what the
// reference product sends when a destination is made.
func (c *Channel) SendText(ctx context.Context, id, text string) error {
	body, err := templates.EncodeJSON(textBody{text})
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
	req.Header = c.header.Clone()
	req.Header.Set("webhook-id", id) // signed or not: by it a receiver knows a repetition
	if c.sign != nil {
		c.sign.header(req.Header, id, c.now(), body)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return notifier.TransportError(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return notifier.ResponseError(resp.StatusCode, resp.Header, notifier.ReadAnswer(resp.Body, c.secrets...), c.now())
}
