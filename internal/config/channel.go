package config

import (
	"fmt"
	"net/mail"
	"slices"
	"strings"
)

func (c *checker) validateChannels(channels []Channel) {
	names := map[string]bool{}
	transport := ""
	for i := range channels {
		ch, at := &channels[i], fmt.Sprintf("channel[%d]", i)
		c.validateName(at, ch.Name, names)
		if !c.validateChoice(at+".type", ch.Type, TypeEmail, TypeSlack, TypeWebhook) {
			continue
		}
		c.validateForeignKeys(at, ch)
		if ch.Report != "" {
			c.validateChoice(at+".report", ch.Report, ReportWeekly)
		}
		switch ch.Type {
		case TypeEmail:
			c.validateEmail(at, ch)
		case TypeSlack:
			c.validateSlack(at, ch)
		case TypeWebhook:
			c.validateWebhook(at, ch)
		}
		if ch.DefaultTransport && transport != "" {
			c.fail(at+".default_transport", "keep it on one channel", "channel %q has it as well", transport)
		}
		if ch.DefaultTransport {
			transport = ch.Name
		}
	}
}

// A typedKey is a key that belongs to one type of channel, or to one format.
type typedKey struct {
	typ, key string
	set      bool
}

// validateForeignKeys refuses keys that the channel's type has no use for.
func (c *checker) validateForeignKeys(at string, ch *Channel) {
	for _, k := range []typedKey{
		{TypeEmail, "smtp", ch.SMTP != ""},
		{TypeEmail, "tls", ch.TLS != ""},
		{TypeEmail, "username", ch.Username != ""},
		{TypeEmail, "password", ch.Password != ""},
		{TypeEmail, "password_file", ch.PasswordFile != ""},
		{TypeEmail, "from", ch.From != ""},
		{TypeEmail, "to", ch.To != nil},
		{TypeEmail, "default_transport", ch.DefaultTransport},
		{TypeSlack, "webhook_url", ch.WebhookURL != ""},
		{TypeSlack, "webhook_url_file", ch.WebhookURLFile != ""},
		{TypeSlack, "token", ch.Token != ""},
		{TypeSlack, "token_file", ch.TokenFile != ""},
		{TypeSlack, "channel", ch.Channel != ""},
		{TypeWebhook, "url", ch.URL != ""},
		{TypeWebhook, "url_file", ch.URLFile != ""},
		{TypeWebhook, "format", ch.Format != ""},
		{TypeWebhook, "secret", ch.Secret != ""},
		{TypeWebhook, "secret_file", ch.SecretFile != ""},
		{TypeWebhook, "previous_secret", ch.PreviousSecret != ""},
		{TypeWebhook, "previous_secret_file", ch.PreviousSecretFile != ""},
		{TypeWebhook, "authorization", ch.Authorization != ""},
		{TypeWebhook, "authorization_file", ch.AuthorizationFile != ""},
		{TypeWebhook, "template_file", ch.TemplateFile != ""},
		{TypeWebhook, "content_type", ch.ContentType != ""},
	} {
		if k.set && k.typ != ch.Type {
			c.fail(join(at, k.key), "remove it", "only channels of type %s have this key", k.typ)
		}
	}
}

func (c *checker) validateEmail(at string, ch *Channel) {
	c.secret(at, "password", &ch.Password, &ch.PasswordFile)
	if host, err := splitHostPort(ch.SMTP); err != nil || host == "" {
		c.fail(at+".smtp", `write host:port, such as "smtp.example.com:587"`, "%q is not host:port", ch.SMTP)
	}
	c.validateChoice(at+".tls", ch.TLS, "starttls", "tls", "none")
	if (ch.Username == "") != (ch.Password == "") && !c.failed(at+".password_file") {
		c.fail(at+".username", "set both, or neither for a server that asks for none", "username and password belong together")
	}
	if _, err := mail.ParseAddress(ch.From); err != nil {
		c.fail(at+".from", `write it as "Certvigil <certvigil@example.com>"`, "%q is no e-mail address", ch.From)
	}
	c.validateRecipients(at+".to", ch.To)
}

// validateRecipients brings each recipient into the form of a bare address,
// which is its identity.
func (c *checker) validateRecipients(key string, to []string) {
	if len(to) == 0 {
		c.fail(key, `write at least one address, such as ["oncall@example.com"]`, "nobody is named")
	}
	for i, recipient := range to {
		at := fmt.Sprintf("%s[%d]", key, i)
		addr, err := mail.ParseAddress(recipient)
		if err != nil {
			c.fail(at, `write it as "oncall@example.com"`, "%q is no e-mail address", recipient)
			continue
		}
		to[i] = addr.Address
		if slices.ContainsFunc(to[:i], func(other string) bool { return strings.EqualFold(other, to[i]) }) {
			c.fail(at, "remove it", "%q is listed twice", to[i])
		}
	}
}

func (c *checker) validateSlack(at string, ch *Channel) {
	c.secret(at, "webhook_url", &ch.WebhookURL, &ch.WebhookURLFile)
	c.secret(at, "token", &ch.Token, &ch.TokenFile)
	hook := ch.WebhookURL != "" || ch.WebhookURLFile != ""
	token := ch.Token != "" || ch.TokenFile != ""
	switch {
	case hook == token:
		c.fail(at, "set exactly one of webhook_url_file, or token_file with channel", "a Slack channel needs one way to post")
	case token && ch.Channel == "":
		c.fail(at+".channel", `name the Slack channel, such as "#ops" or "C0123456789"`, "a token needs a channel to post to")
	case hook && ch.Channel != "":
		c.fail(at+".channel", "remove it, or use token_file", "an incoming webhook has its own channel")
	}
	if ch.WebhookURL != "" {
		c.validateSecretURL(at+".webhook_url", ch.WebhookURL)
	}
}
