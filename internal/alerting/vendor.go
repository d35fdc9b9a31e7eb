package alerting

import (
	"net/url"
	"strings"

	"github.com/certvigil/certvigil/internal/fault"
)

// The types of destinations, which follow from their URL.
const (
	TypeGeneric = "generic"
	TypeSlack   = "slack"
)

// A vendor is whose endpoint a URL is. Its endpoints refuse the generic body,
// so that a destination there would never tell anybody.
type vendor struct {
	kind  string
	hosts []string // and the hosts below them
	path  string   // that the path begins with; "" = any
}

var foreign = []vendor{
	{"datadog", []string{"datadoghq.com", "datadoghq.eu", "ddog-gov.com"}, ""},
	{"discord", []string{"discord.com", "discordapp.com"}, "/api/"},
	{"feishu", []string{"open.feishu.cn", "open.larksuite.com"}, ""},
	{"gchat", []string{"chat.googleapis.com"}, ""},
	{"opsgenie", []string{"api.opsgenie.com", "api.eu.opsgenie.com"}, ""},
	{"splunk", []string{"splunkcloud.com"}, ""},
	{"teams", []string{"webhook.office.com", "outlook.office.com", "logic.azure.com", "api.powerplatform.com"}, ""},
	{"pagerduty", []string{"events.pagerduty.com", "events.eu.pagerduty.com"}, ""},
}

var slackHosts = []string{"hooks.slack.com", "hooks.slack-gov.com"}

// typeOf returns the type that follows from a URL, or why it is of no use.
func typeOf(e Endpoint) (string, error) {
	u, err := url.Parse(e.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Fragment != "" || len(e.URL) > maxURL {
		return "", badURL()
	}
	if u.User != nil {
		return "", fault.New(fault.Invalid, "url_credentials", "the URL holds a user or a password, which everybody who may read it would see").
			WithField("url").WithHint("send the credential as secret: it goes in the header cf-webhook-auth")
	}
	if within(u.Hostname(), slackHosts) {
		return TypeSlack, nil
	}
	for _, v := range foreign {
		if within(u.Hostname(), v.hosts) && strings.HasPrefix(u.Path, v.path) || v.kind == "splunk" && strings.HasPrefix(u.Path, "/services/collector") {
			return "", fault.New(fault.Unprocessable, "destination_type", "destinations of type %q are not supported: that service does not take the generic message", v.kind).
				WithField("url").WithHint("use a generic endpoint or Slack; for other services put a relay in between, or see the formats that a [[channel]] in the configuration file has")
		}
	}
	return TypeGeneric, nil
}

func within(host string, hosts []string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, h := range hosts {
		if host == h || strings.HasSuffix(host, "."+h) {
			return true
		}
	}
	return false
}

// ShownURL is the URL as it is told to whoever may read the destination. The
// last part of a Slack webhook's path is its secret and is left out, unless a
// secret was given apart: then the URL is told as it was given, as the
// reference does.
func (d Destination) ShownURL() string {
	if d.Type != TypeSlack || d.Endpoint.Secret != "" || d.Declared {
		return d.Endpoint.URL
	}
	u, err := url.Parse(d.Endpoint.URL)
	if err != nil {
		return ""
	}
	u.RawQuery = ""
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	u.Path, u.RawPath = path[:max(strings.LastIndexByte(path, '/'), 0)], ""
	return u.String()
}

// Address is the URL that is posted to. A Slack webhook whose secret was given
// apart and is not in its URL has it as the last part of the path.
func (d Destination) Address() string {
	u, err := url.Parse(d.Endpoint.URL)
	if err != nil || d.Type != TypeSlack || d.Endpoint.Secret == "" || strings.HasSuffix(u.Path, "/"+d.Endpoint.Secret) {
		return d.Endpoint.URL
	}
	const whole = 4 // /services/T…/B…/SECRET
	if strings.Count(strings.Trim(u.Path, "/"), "/")+1 >= whole {
		return d.Endpoint.URL
	}
	return u.JoinPath(url.PathEscape(d.Endpoint.Secret)).String()
}
