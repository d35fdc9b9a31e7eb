package email

import (
	"fmt"
	"net/mail"
	"strings"

	"golang.org/x/net/idna"
)

// An address is a mail address as it goes over the wire, without angle
// brackets and quoted where it must be.
type address struct {
	name     string
	envelope string // the domain in ASCII, unless beyond is set
	domain   string // always in ASCII
	beyond   bool   // the local part is beyond ASCII: RFC 6531 and 6532 are needed
}

func parseAddress(s string) (address, error) {
	parsed, err := mail.ParseAddress(s)
	if err != nil {
		return address{}, err
	}
	at := strings.LastIndexByte(parsed.Address, '@')
	local, domain := parsed.Address[:at], parsed.Address[at+1:]
	a := address{name: parsed.Name, domain: domain, beyond: !isASCII(local)}
	if !isASCII(domain) {
		if a.domain, err = idna.Lookup.ToASCII(domain); err != nil {
			return address{}, fmt.Errorf("its domain is not a name: %w", err)
		}
	}
	if !a.beyond {
		domain = a.domain
	}
	a.envelope = strings.TrimSuffix(strings.TrimPrefix((&mail.Address{Address: local + "@" + domain}).String(), "<"), ">")
	return a, nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}
