package enforcer

import (
	"crypto/x509"
	"encoding/asn1"
	"net/netip"
)

// The GeneralName choices that crypto/x509 reads (RFC 5280 §4.2.1.6). It passes
// over the others, otherName and directoryName among them, without a word.
const (
	tagEmail = 1
	tagDNS   = 2
	tagURI   = 6
	tagIP    = 7
)

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// alternativeNames returns every GeneralName of the certificate as it is
// encoded, up to limit; one more is reported as excess.
func alternativeNames(c *x509.Certificate, limit int) (names []asn1.RawValue, excess bool) {
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidSubjectAltName) {
			continue
		}
		var sequence asn1.RawValue
		if _, err := asn1.Unmarshal(e.Value, &sequence); err != nil {
			return nil, true // crypto/x509 parsed it, so this cannot be; if it can: refuse
		}
		for rest := sequence.Bytes; len(rest) > 0; {
			var name asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &name); err != nil || len(names) == limit {
				return nil, true
			}
			names = append(names, name)
		}
	}
	return names, false
}

// spell returns a name with its kind, as cert.SANs writes it but with what is
// encoded and not what a parser made of it. A kind that nobody here can compare
// is told by its tag.
func spell(name asn1.RawValue) (kind, value string, known bool) {
	switch name.Tag {
	case tagEmail:
		return "email", string(name.Bytes), true
	case tagDNS:
		return "dns", string(name.Bytes), true
	case tagURI:
		return "uri", string(name.Bytes), true
	case tagIP:
		if addr, ok := netip.AddrFromSlice(name.Bytes); ok {
			return "ip", addr.Unmap().String(), true
		}
	case 0:
		return "otherName", "", false
	case 4:
		return "directoryName", "", false
	}
	return "unknown", "", false
}
