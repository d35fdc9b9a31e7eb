package config

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/access"
	"github.com/certvigil/certvigil/internal/hostname"
)

const minKeyRotation = 24 * time.Hour

func (c *checker) validateEnforcer(cfg *Config) {
	e := &cfg.Enforcer
	c.validateIssuer(e.Issuer)
	for i, s := range e.TrustedProxies {
		if _, err := access.ParsePrefix(s); err != nil {
			c.fail(fmt.Sprintf("enforcer.trusted_proxies[%d]", i), access.PrefixHint, "%s", err)
		}
	}
	c.validateDefaultHostname(e, cfg.Applications)
	for i := range e.Certificates {
		c.validateCertificate(fmt.Sprintf("enforcer.certificate[%d]", i), &e.Certificates[i])
	}
	if e.DefaultOrigin != "" {
		c.check("enforcer.default_origin", access.CheckOrigin(e.DefaultOrigin))
	}
	c.validateChoice("enforcer.crl_stale", e.CRLStale, CRLDeny, CRLKeep)
	c.validateAccessLog(e)
	c.validateLimits(&e.Limits)
	if e.KeyRotation.Duration < minKeyRotation && !c.failed("enforcer.key_rotation") {
		c.fail("enforcer.key_rotation", `write "1d" or more, such as "42d"`, "%s is less than a day", e.KeyRotation)
	}
	if e.Listen == "" {
		return
	}
	c.validateListen("enforcer.listen", e.Listen)
	if len(e.Certificates) == 0 && len(cfg.Applications) > 0 {
		c.fail("enforcer.certificate", `add [[enforcer.certificate]] with cert and key, or set enforcer.listen = ""`,
			"there are applications but no server certificate to serve them with")
	}
}

func (c *checker) validateIssuer(issuer string) {
	const key = "enforcer.issuer"
	if !c.validateURL(key, issuer, "https") {
		return
	}
	if u, err := url.Parse(issuer); err == nil && (strings.HasSuffix(issuer, "/") || u.RawQuery != "" || u.Fragment != "") {
		c.fail(key, `write it as "https://gateway.example.com"`, "it ends in a slash, a query or a fragment")
	}
}

// validateDefaultHostname wants a name that an application answers to.
func (c *checker) validateDefaultHostname(e *Enforcer, apps []Application) {
	const key = "enforcer.default_hostname"
	if e.DefaultHostname == "" {
		return
	}
	name, err := hostname.Normalize(e.DefaultHostname)
	if err != nil {
		c.fail(key, "write the exact host name of an application", "%s", err)
		return
	}
	e.DefaultHostname = name
	if !slices.ContainsFunc(apps, func(a Application) bool { return a.Hostname == name || a.Hostname == hostname.Wildcard(name) }) {
		c.fail(key, "write the host name of an application, or leave it empty to refuse clients without SNI", "no application has the host name %q", name)
	}
}

func (c *checker) validateCertificate(at string, cert *Certificate) {
	if cert.Cert == "" || cert.Key == "" {
		c.fail(at, "set both cert and key", "cert and key belong together")
		return
	}
	cert.Cert, cert.Key = c.abs(cert.Cert), c.abs(cert.Key)
	cert.Pair, _ = c.keyPair(at+".cert", cert.Cert, at+".key", cert.Key)
}

func (c *checker) validateAccessLog(e *Enforcer) {
	const key = "enforcer.access_log"
	if e.AccessLog != "" && e.AccessLog != "-" {
		e.AccessLog = c.abs(e.AccessLog)
		if info, err := os.Stat(filepath.Dir(e.AccessLog)); err != nil || !info.IsDir() {
			c.fail(key, "make the folder, or name a file in another", "there is no folder %s", filepath.Dir(e.AccessLog))
		} else if info, err := os.Stat(e.AccessLog); err == nil && info.IsDir() {
			c.fail(key, "name a file in it", "%s is a folder", e.AccessLog)
		}
	}
	if !(e.AccessLogSample >= 0 && e.AccessLogSample <= 1) { // NaN is neither
		c.fail("enforcer.access_log_sample", "write a share such as 1.0 for all or 0.01 for one in a hundred", "%v is not between 0 and 1", e.AccessLogSample)
	}
}

func (c *checker) validateLimits(l *Limits) {
	const at = "enforcer.limits."
	c.validatePositive(at+"handshake_timeout", l.HandshakeTimeout)
	c.validatePositive(at+"header_timeout", l.HeaderTimeout)
	c.validatePositive(at+"body_timeout", l.BodyTimeout)
	c.validatePositive(at+"idle_timeout", l.IdleTimeout)
	c.validatePositive(at+"connection_lifetime", l.ConnectionLifetime)
	c.validateRange(at+"header_bytes", l.HeaderBytes, 4<<10, 1<<20)
	c.validateRange(at+"chain_bytes", l.ChainBytes, 4<<10, 256<<10)
	c.validateRange(at+"handshakes", l.Handshakes, 1, 1<<16)
}

func (c *checker) validateRange(key string, n, least, most int) {
	if n < least || n > most {
		c.fail(key, fmt.Sprintf("write a number from %d to %d", least, most), "%d is out of range", n)
	}
}
