package config

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// validate checks every rule of a complete configuration and brings names and
// paths into their one form.
func (c *checker) validate(cfg *Config) {
	c.validateStorage(&cfg.Storage)
	c.validateAdmin(&cfg.Admin)
	c.validateScanner(&cfg.Scanner)
	c.validateApplications(cfg.Applications)
	c.validateEnforcer(cfg)
	c.validateListeners(cfg)
	c.validateChannels(cfg.Channels)
	c.validateAlerts(cfg)
	c.validateReferences("notifier.fallback", cfg.Notifier.Fallback, cfg.channelNames())
}

func (c *checker) validateStorage(s *Storage) {
	switch {
	case s.DSN == "":
		c.fail("storage.dsn", "write the path of the database", "it is empty")
		return
	case strings.Contains(s.DSN, "://"), strings.HasPrefix(s.DSN, "file:"), s.DSN == ":memory:":
		// The DSN may hold a password: it is not repeated.
		c.fail("storage.dsn", `write a path such as "certvigil.db"`, "only the path of a SQLite database is supported by this version")
		return
	}
	s.DSN = c.abs(s.DSN)
	s.KeyFile = or(c.abs(s.KeyFile), s.DSN+".key")
	c.validatePositive("storage.retention", s.Retention)
}

func (c *checker) validateAdmin(a *Admin) {
	loopback := c.validateListen("admin.listen", a.Listen)
	c.validateURL("admin.public_url", a.PublicURL, "http", "https")
	a.PublicURL = strings.TrimSuffix(a.PublicURL, "/")
	if (a.TLSCert == "") != (a.TLSKey == "") {
		c.fail("admin.tls_cert", "set both or neither", "tls_cert and tls_key belong together")
		return
	}
	if a.TLSCert != "" {
		a.TLSCert, a.TLSKey = c.abs(a.TLSCert), c.abs(a.TLSKey)
		if pair, ok := c.keyPair("admin.tls_cert", a.TLSCert, "admin.tls_key", a.TLSKey); ok {
			a.TLS = &pair
		}
		c.validateAdminClients(a)
		return
	}
	if a.ClientCA != "" {
		c.fail("admin.client_ca", "set tls_cert and tls_key as well, or leave it empty", "without TLS nobody can present a certificate")
	}
	if !loopback && !a.Insecure {
		c.fail("admin.listen", "set tls_cert and tls_key, listen on 127.0.0.1, or set insecure = true behind a proxy that encrypts",
			"%q is not loopback, and tokens would travel unencrypted", a.Listen)
	}
}

// validateAdminClients reads the CAs of which whoever reaches the admin
// listener must have a certificate.
func (c *checker) validateAdminClients(a *Admin) {
	if a.ClientCA == "" {
		return
	}
	const key = "admin.client_ca"
	a.ClientCA = c.abs(a.ClientCA)
	a.ClientCAs = x509.NewCertPool() // never nil with the key: then none would be asked for
	for _, ca := range c.certificates(key, a.ClientCA) {
		if !ca.IsCA {
			c.fail(key, "give the CA that issues the clients' certificates", "%s holds a certificate that is no CA", a.ClientCA)
		}
		a.ClientCAs.AddCert(ca)
	}
}

func (c *checker) validateScanner(s *Scanner) {
	if _, err := ParseSchedule(s.Schedule); err != nil {
		c.fail("scanner.schedule", `write "@every 15m" or five cron fields such as "*/15 * * * *"`, "%s", err)
	}
	if err := checkTimezone(s.Timezone); err != nil {
		c.fail("scanner.timezone", `write a name such as "UTC" or "Europe/Berlin"`, "%s", err)
	}
	if s.HeartbeatURL != "" {
		c.validateSecretURL("scanner.heartbeat_url", s.HeartbeatURL)
	}
}

func (c *checker) validateListeners(cfg *Config) {
	_, port, err := net.SplitHostPort(cfg.Admin.Listen)
	if err == nil && port != "0" && cfg.Admin.Listen == cfg.Enforcer.Listen {
		c.fail("enforcer.listen", "give each listener its own port", "it is the same as admin.listen")
	}
}

// validateListen checks host:port and reports whether the host is loopback.
func (c *checker) validateListen(key, listen string) (loopback bool) {
	host, err := splitHostPort(listen)
	if err != nil {
		c.fail(key, `write host:port, such as "127.0.0.1:8080"`, "%s", err)
		return true // one message is enough
	}
	return isLoopback(host)
}

func (c *checker) validatePositive(key string, d Duration) {
	if d.Duration <= 0 && !c.failed(key) {
		c.fail(key, "write a span longer than nothing", "it is not above zero")
	}
}

// validateReferences checks names of channels in a list.
func (c *checker) validateReferences(key string, names, channels []string) {
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", key, i)
		switch {
		case !slices.Contains(channels, name):
			c.fail(at, suggest(name, slices.Clone(channels)), "there is no channel %q", name)
		case slices.Index(names, name) < i:
			c.fail(at, "remove it", "%q is listed twice", name)
		}
	}
}

// validateName checks the name of one of several objects and that it is its
// own; seen collects them.
func (c *checker) validateName(at, name string, seen map[string]bool) {
	key := at + ".name"
	switch {
	case name == "":
		c.fail(key, "give it a name of its own", "the name is missing")
	case utf8.RuneCountInString(name) > 100 || strings.ContainsFunc(name, unicode.IsControl) || strings.TrimSpace(name) != name:
		c.fail(key, "write up to 100 characters without line breaks or spaces around them", "%q is no name", name)
	case seen[name]:
		c.fail(key, "give each a name of its own", "the name %q is taken", name)
	}
	seen[name] = true
}

func (c *checker) validateChoice(key, value string, choices ...string) bool {
	if slices.Contains(choices, value) {
		return true
	}
	hint := "write one of " + strings.Join(choices, ", ")
	if value == "" {
		c.fail(key, hint, "it is missing")
	} else {
		c.fail(key, hint, "%q is not known", value)
	}
	return false
}

// validateURL wants an absolute URL with a host and one of the schemes.
func (c *checker) validateURL(key, raw string, schemes ...string) bool {
	if !validURL(raw, schemes...) {
		c.fail(key, "write "+strings.Join(schemes, " or ")+", a host and at most a path", "%q is no absolute %s URL", raw, strings.Join(schemes, " or "))
		return false
	}
	return true
}

// validateSecretURL is validateURL for one that must not be repeated.
func (c *checker) validateSecretURL(key string, raw Secret) {
	if !validURL(raw.Reveal(), "https", "http") {
		c.fail(key, "write https or http, a host and a path", "it is no absolute http or https URL")
	}
}

func validURL(raw string, schemes ...string) bool {
	u, err := url.Parse(raw)
	return err == nil && slices.Contains(schemes, u.Scheme) && u.Hostname() != "" && u.Opaque == ""
}

// failed reports whether a key already has a problem.
func (c *checker) failed(key string) bool {
	for _, p := range c.problems {
		if p.Field == key {
			return true
		}
	}
	return false
}

func splitHostPort(s string) (host string, err error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("%q is not host:port", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return "", fmt.Errorf("%q has no port between 0 and 65535", s)
	}
	return host, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
