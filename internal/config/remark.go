package config

import (
	"crypto/x509"
	"net"
	"net/url"
	"slices"
	"strings"
)

// remark warns about what is allowed and probably not meant.
func (c *checker) remark(cfg *Config) {
	c.remarkSilence(cfg)
	c.remarkLinks(cfg)
	c.remarkPlaintext(cfg.Channels)
	if cfg.Enforcer.Listen != "" {
		c.remarkServerCertificates(cfg)
		c.remarkGuard(cfg)
	}
}

// remarkSilence tells what nobody would hear of.
func (c *checker) remarkSilence(cfg *Config) {
	if len(cfg.Channels) == 0 {
		c.warn("no [[channel]] is configured: nothing would be sent, but to destinations made by the API")
		return
	}
	covered := map[string]bool{}
	for _, a := range cfg.Alerts {
		channels := a.ChannelNames()
		if len(channels) == 0 {
			c.warn("alert %q names no channels: it tells nobody", a.Name)
			continue
		}
		if only := channels[0]; !slices.ContainsFunc(slices.Concat(channels, cfg.Notifier.Fallback), func(name string) bool { return name != only }) {
			c.warn("alert %q has the one channel %q, and notifier.fallback names no other: nobody would be told when it fails", a.Name, only)
		}
		if len(a.Match)+len(a.Hostnames)+len(a.CAs) > 0 {
			continue // it covers some items only
		}
		for _, k := range a.Kinds {
			covered[k] = true
		}
	}
	for _, k := range kinds {
		if !covered[k] {
			c.warn("no alert covers every item of kind %q: some may expire unnoticed, unless a policy made by the API covers them", k)
		}
	}
}

func (c *checker) remarkLinks(cfg *Config) {
	u, err := url.Parse(cfg.Admin.PublicURL)
	if err != nil || !isLoopback(u.Hostname()) {
		return
	}
	if slices.ContainsFunc(cfg.Channels, Channel.remote) {
		c.warn("admin.public_url %q is loopback: links in messages will not work elsewhere", cfg.Admin.PublicURL)
	}
	if _, port, err := net.SplitHostPort(cfg.Admin.Listen); err == nil && port != "0" && port != u.Port() && len(cfg.Channels) > 0 {
		c.warn("admin.public_url %q is not the port of admin.listen %q: links in messages lead nowhere", cfg.Admin.PublicURL, cfg.Admin.Listen)
	}
}

// remote reports whether the channel's messages leave the machine.
func (c Channel) remote() bool {
	host, _, _ := net.SplitHostPort(c.SMTP)
	switch {
	case c.Type == TypeEmail:
	case c.Token != "":
		return true
	default:
		host = c.target().Hostname()
	}
	return !isLoopback(host)
}

// Origin is the scheme and the host of what a channel posts to, "" for mail. The
// rest of the address may be a secret.
func (c Channel) Origin() string {
	u := c.target()
	switch {
	case c.Type == TypeSlack && c.Token != "":
		return "https://slack.com"
	case u.Host == "":
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// target returns the URL that is posted to, an empty one without it.
func (c Channel) target() *url.URL {
	u, err := url.Parse(or(c.WebhookURL.Reveal(), c.URL.Reveal()))
	if err != nil {
		return &url.URL{}
	}
	return u
}

func (c *checker) remarkPlaintext(channels []Channel) {
	for _, ch := range channels {
		switch {
		case !ch.remote():
		case ch.Type == TypeEmail && ch.TLS == "none" && ch.Username != "":
			c.warn("channel %q sends its password unencrypted: set tls to starttls or tls", ch.Name)
		case ch.target().Scheme == "http":
			c.warn("channel %q posts over http, unencrypted", ch.Name)
		}
	}
}

// remarkServerCertificates tells which host name no server certificate has.
func (c *checker) remarkServerCertificates(cfg *Config) {
	for _, a := range cfg.Applications {
		if !cfg.Enforcer.Serves(a.Hostname) {
			c.warn("no server certificate names %s: clients of application %q will refuse the connection", a.Hostname, a.Name)
		}
	}
}

// Serves reports whether any server certificate is good for a host name, or for
// any name under a wildcard.
func (e Enforcer) Serves(host string) bool {
	return slices.ContainsFunc(e.Certificates, func(s Certificate) bool { return names(s.Pair.Leaf, host) })
}

// names reports whether a certificate is good for a name, or for any name
// under a wildcard.
func names(leaf *x509.Certificate, host string) bool {
	if rest, ok := strings.CutPrefix(host, "*."); ok {
		host = "any." + rest
	}
	return leaf != nil && leaf.VerifyHostname(host) == nil
}
