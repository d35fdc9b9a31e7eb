package config

import (
	"mime"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/certvigil/certvigil/templates"
)

// The formats of webhooks.
const (
	FormatAccess       = "access"
	FormatStandard     = "standard"
	FormatCloudEvents  = "cloudevents"
	FormatPagerDuty    = "pagerduty"
	FormatAlertmanager = "alertmanager"
	FormatTeams        = "teams"
	FormatTemplate     = "template"
)

// Formats are all of them, in the order in which they are documented.
var Formats = []string{FormatAccess, FormatStandard, FormatCloudEvents, FormatPagerDuty, FormatAlertmanager, FormatTeams, FormatTemplate}

// maxTemplate is how large a template of one's own may be.
const maxTemplate = 256 << 10

func (c *checker) validateWebhook(at string, ch *Channel) {
	c.secret(at, "url", &ch.URL, &ch.URLFile)
	c.secret(at, "secret", &ch.Secret, &ch.SecretFile)
	c.secret(at, "previous_secret", &ch.PreviousSecret, &ch.PreviousSecretFile)
	c.secret(at, "authorization", &ch.Authorization, &ch.AuthorizationFile)
	if strings.ContainsFunc(ch.Authorization.Reveal(), unicode.IsControl) {
		c.fail(at+".authorization", "write the value of the header alone, on one line", "it holds control characters")
	}
	if !c.validateChoice(at+".format", ch.Format, Formats...) {
		ch.Format = ""
	}
	c.validateWebhookURL(at, ch)
	c.validateFormatKeys(at, ch)
	if ch.Format == FormatTemplate {
		c.validateTemplate(at, ch)
	}
}

// validateWebhookURL wants a URL, but where the format knows its own.
func (c *checker) validateWebhookURL(at string, ch *Channel) {
	switch {
	case ch.URL != "":
		c.validateSecretURL(at+".url", ch.URL)
	case ch.URLFile == "" && ch.Format != FormatPagerDuty:
		c.fail(at+".url", "set url, or url_file when the URL itself is a secret", "the URL is missing")
	}
}

// validateFormatKeys wants what a format needs, and refuses what only another
// has a use for.
func (c *checker) validateFormatKeys(at string, ch *Channel) {
	if ch.Format == FormatPagerDuty && ch.Secret == "" && !c.failed(at+".secret_file") {
		c.fail(at+".secret_file", "name a file with the integration key of an Events API v2 integration", "the format pagerduty needs its routing key")
	}
	previous := ch.PreviousSecret != "" || ch.PreviousSecretFile != ""
	switch {
	case previous && ch.Format == FormatPagerDuty:
		c.fail(at+".previous_secret", "remove it", "the format pagerduty signs nothing")
	case previous && ch.Secret == "" && ch.SecretFile == "":
		c.fail(at+".previous_secret", "set secret_file to the secret in force", "there is no secret that replaces it")
	}
	if ch.Format == FormatPagerDuty && (ch.Authorization != "" || ch.AuthorizationFile != "") {
		c.fail(at+".authorization", "remove it", "the format pagerduty sends its routing key in the message")
	}
	for _, k := range []typedKey{
		{FormatTemplate, "template_file", ch.TemplateFile != ""},
		{FormatTemplate, "content_type", ch.ContentType != ""},
	} {
		if k.set && ch.Format != "" && ch.Format != k.typ {
			c.fail(join(at, k.key), `remove it, or set format = "template"`, "only the format %s has this key", k.typ)
		}
	}
}

func (c *checker) validateTemplate(at string, ch *Channel) {
	media, _, err := mime.ParseMediaType(ch.ContentType)
	if err != nil || !strings.Contains(media, "/") || strings.ContainsFunc(ch.ContentType, unicode.IsControl) {
		c.fail(at+".content_type", `write a media type such as "application/json" or "text/plain; charset=utf-8"`, "%q is no media type", ch.ContentType)
		return
	}
	key := at + ".template_file"
	if ch.TemplateFile == "" {
		c.fail(key, "name a file with a text/template: docs/webhooks.md shows some", "the format template needs one")
		return
	}
	ch.TemplateFile = c.abs(ch.TemplateFile)
	text, _, err := readFile(ch.TemplateFile, maxTemplate)
	if err != nil {
		c.fail(key, "see that the file is there, that this user may read it and that it is at most 256 KiB", "%s", err)
		return
	}
	body, err := templates.ParseBody(filepath.Base(ch.TemplateFile), string(text), ch.ContentType)
	if err != nil {
		c.fail(key, "docs/webhooks.md lists the fields and functions; end a value of JSON with | json", "%s", err)
		return
	}
	ch.Template, ch.TemplateText = body, string(text)
}
