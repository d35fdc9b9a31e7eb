package config

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/certvigil/certvigil/internal/access"
	"github.com/certvigil/certvigil/internal/hostname"
)

// OriginURL returns the origin, a URL with one of the schemes and a host.
func (a Application) OriginURL() *url.URL {
	u, err := url.Parse(a.Origin)
	if err != nil {
		return &url.URL{}
	}
	return u
}

func (c *checker) validateOrigin(at string, a *Application) {
	c.validateOriginURL(at+".origin", a.Origin)
	c.validatePositive(at+".connect_timeout", a.ConnectTimeout)
	c.validatePositive(at+".origin_timeout", a.OriginTimeout)
	if a.OriginURL().Scheme != access.HTTPS {
		c.validateNoOriginTLS(at, a)
		return
	}
	c.validateOriginTLS(at, a)
}

func (c *checker) validateOriginURL(key, origin string) {
	if origin == "" {
		c.fail(key, `write where requests go, such as "http://127.0.0.1:9000"`, "the origin is missing")
		return
	}
	c.check(key, access.CheckOrigin(origin))
}

// validateNoOriginTLS refuses keys that would seem to protect and do not.
func (c *checker) validateNoOriginTLS(at string, a *Application) {
	for _, k := range []struct{ key, value string }{
		{"origin_ca", a.OriginCA}, {"origin_cert", a.OriginCert}, {"origin_key", a.OriginKey}, {"origin_server_name", a.OriginServerName},
	} {
		if k.value != "" {
			c.fail(join(at, k.key), `write the origin with "https://", or remove the key`, "only an https origin has this key")
		}
	}
}

func (c *checker) validateOriginTLS(at string, a *Application) {
	h := sha256.New()
	note := func(kind string, parts ...[]byte) {
		for _, part := range parts {
			_, _ = fmt.Fprintf(h, "%s:%d:%s", kind, len(part), part)
		}
	}
	if a.OriginCA != "" {
		a.OriginCA = c.abs(a.OriginCA)
		roots := c.certificates(at+".origin_ca", a.OriginCA)
		a.OriginRoots = x509.NewCertPool() // without one the system's would count
		for _, root := range roots {
			a.OriginRoots.AddCert(root)
			note("root", root.Raw)
		}
	}
	if (a.OriginCert == "") != (a.OriginKey == "") {
		c.fail(at+".origin_cert", "set both or neither", "origin_cert and origin_key belong together")
	} else if a.OriginCert != "" {
		a.OriginCert, a.OriginKey = c.abs(a.OriginCert), c.abs(a.OriginKey)
		if pair, ok := c.keyPair(at+".origin_cert", a.OriginCert, at+".origin_key", a.OriginKey); ok {
			a.OriginPair = &pair
			note("pair", pair.Certificate...) // the leaf holds its key's public half
		}
	}
	if a.OriginServerName != "" {
		name, err := hostname.Normalize(a.OriginServerName)
		if err != nil {
			c.fail(at+".origin_server_name", "write the name that the origin's certificate bears, such as orders.internal", "%s", err)
		}
		a.OriginServerName = name
		note("name", []byte(name))
	}
	if a.OriginCA != "" || a.OriginCert != "" || a.OriginServerName != "" {
		a.OriginTLSID = hex.EncodeToString(h.Sum(nil))
	}
}

// certificates reads a PEM file of certificates, each of which must parse.
func (c *checker) certificates(key, file string) []*x509.Certificate {
	text, _, err := readFile(file, maxPEM)
	if err != nil {
		c.fail(key, "see that the file is there and that this user may read it", "%s", err)
		return nil
	}
	certs, err := parseCertificates(text)
	if err != nil {
		c.fail(key, "give CA certificates as PEM", "%s: %s", file, err)
	}
	return certs
}

// parseCertificates reads any number of certificates: a bundle of roots may
// well be longer than what is taken as an upload.
func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for n := 1; ; n++ {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("block %d is no certificate but %q", n, block.Type)
		}
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %s", n, strings.TrimPrefix(err.Error(), "x509: "))
		}
		certs = append(certs, parsed)
	}
	if len(certs) == 0 {
		return nil, errors.New("there is no certificate in it")
	}
	return slices.Clip(certs), nil
}
