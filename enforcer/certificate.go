package enforcer

import (
	"crypto/x509"
	"fmt"
	"maps"
	"slices"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/header"
)

// A field is a header for the origin. Its values are shared by requests and
// never written to.
type field struct {
	name   string
	values []string
}

// maxField bounds a value: names can be as long as their CA lets them, and
// origins refuse requests with long headers.
const maxField = 8 << 10

// fields are headers in the making: none is empty, and none is cut short.
type fields []field

func (f *fields) add(name, value string) { f.addUpTo(maxField, name, value) }

// addUpTo leaves a value out that is longer than limit: part of a name or of a
// certificate could be taken for another.
func (f *fields) addUpTo(limit int, name, value string) {
	if value != "" && len(value) <= limit {
		*f = append(*f, field{name, []string{value}})
	}
}

// A disclosure is what an application has its origin told of the client's
// certificate, beside client_certificate_forwarding.
type disclosure struct {
	rfc9440    bool
	clientAuth bool
	requested  []requestHeader // by name
	owned      map[string]bool // names, folded, that no client may send
}

// A requestHeader is one that the application asks for.
type requestHeader struct {
	name     string
	template header.Template
}

func compileDisclosure(a *Application) (disclosure, error) {
	d := disclosure{rfc9440: a.RFC9440, clientAuth: a.TLSClientAuthHeaders, owned: map[string]bool{}}
	for _, name := range slices.Sorted(maps.Keys(a.RequestHeaders)) {
		if err := header.CheckName(name); err != nil {
			return disclosure{}, err
		}
		if d.owned[header.Fold(name)] {
			return disclosure{}, refuse("header_name", "the header %q is asked for twice, in two spellings", name)
		}
		template, err := header.Parse(a.RequestHeaders[name])
		if err != nil {
			return disclosure{}, refuse("header_template", "the header %q: %w", name, err)
		}
		d.requested = append(d.requested, requestHeader{name, template})
		d.owned[header.Fold(name)] = true
	}
	return d, nil
}

// ownNames has each application strip what it asks for, and what others ask for
// at its host name or before its origin: that origin may look for the header on
// any request.
func ownNames(sites names[*site]) {
	for _, asking := range sites {
		for _, app := range asking.apps {
			for _, h := range app.requested {
				for _, at := range sites {
					at.own(header.Fold(h.name), func(other *application) bool { return at == asking || other.origin.Addr == app.origin.Addr })
				}
			}
		}
	}
}

func (s *site) own(folded string, concerned func(*application) bool) {
	for _, app := range s.apps {
		if concerned(app) {
			app.owned[folded] = true
		}
	}
}

// disclose returns the headers for a request. Of a certificate that does not
// hold, and of whoever a bypass let in, nothing is told but how it stands. What
// is told of a client is written once for each verdict and application.
func (a *application) disclose(c *client, d *decision) fields {
	tell := &a.disclosure
	if !d.identified() {
		if tell.clientAuth {
			return standing(c, d.verdict)
		}
		return nil
	}
	if told, ok := d.verdict.told.Load(a); ok {
		return told.(fields) //nolint:forcetypeassert // stored below
	}
	var told fields
	leaf, issuers := c.chain[0], d.verdict.issuers
	if tell.rfc9440 {
		told.addRFC9440(c.der(), issuers)
	}
	if tell.clientAuth {
		told = append(told, standing(c, d.verdict)...)
		told.addClientAuth(leaf, issuers)
	}
	for _, h := range tell.requested {
		told.add(h.name, h.template.Expand(func(p header.Placeholder) string { return fill(p, leaf) }))
	}
	d.verdict.told.Store(a, told)
	return told
}

// fill returns what a placeholder stands for, safe to send.
func fill(p header.Placeholder, leaf *x509.Certificate) string {
	switch p {
	case header.CN:
		return header.Escape(leaf.Subject.CommonName, `\`)
	case header.Subject:
		return header.Escape(parseName(leaf.RawSubject).rfc2253(true), "")
	case header.Issuer:
		return header.Escape(parseName(leaf.RawIssuer).rfc2253(true), "")
	case header.Serial:
		return cert.Serial(leaf)
	case header.Fingerprint:
		return cert.Fingerprint(leaf)
	case header.NotBefore:
		return opensslTime(leaf.NotBefore)
	case header.NotAfter:
		return opensslTime(leaf.NotAfter)
	case header.SANDNS:
		return header.JoinEscaped(leaf.DNSNames)
	case header.SANEmail:
		return header.JoinEscaped(leaf.EmailAddresses)
	case header.SANURI:
		return header.JoinEscaped(texts(leaf.URIs))
	case header.SANIP:
		return header.JoinEscaped(texts(leaf.IPAddresses))
	}
	return ""
}

func texts[T fmt.Stringer](list []T) []string {
	all := make([]string, len(list))
	for i, v := range list {
		all[i] = v.String()
	}
	return all
}
