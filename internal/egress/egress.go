// Package egress decides which addresses may be dialled for a URL that came
// from somebody who is not the operator of this host: by the API, or by a
// redirect. Such a URL must not make the daemon a way into the networks that
// it stands in (server-side request forgery).
//
// A name says nothing about the address that it will have when it is dialled,
// so a caller checks twice: [Policy.CheckURL] when the URL comes, for an answer
// at once, and [Policy.Control] as the Control of the net.Dialer, for the
// address that is really dialled, for each redirect anew.
package egress

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"golang.org/x/net/idna"

	"github.com/certvigil/certvigil/internal/fault"
)

// The rules that an address may break.
const (
	RulePrivate  = "private_target"  // refused unless Policy.AllowPrivate
	RuleMetadata = "metadata_target" // refused always: what answers there gives away the host's cloud credentials
)

// A Policy says which addresses may be dialled. The zero value allows public
// addresses alone. Every refusal is a fault.Unprocessable of one of the rules
// above.
type Policy struct {
	AllowPrivate bool // also loopback, private, link-local and reserved addresses
}

// Check refuses an address. Whatever is not known to be public counts as
// private.
func (p Policy) Check(addr netip.Addr) error {
	addr = addr.WithZone("").Unmap()
	if isMetadata(addr) {
		return metadataTarget(addr.String())
	}
	// Judged by all that it stands for: 64:ff9b::7f00:1 leads to 127.0.0.1.
	embedded := embeddedIn(addr)
	for _, inner := range embedded {
		if isMetadata(inner) {
			return metadataTarget(addr.String())
		}
	}
	if p.AllowPrivate && addr.IsValid() {
		return nil
	}
	if !isPublic(addr) {
		return privateTarget(addr.String())
	}
	for _, inner := range embedded {
		if !isPublic(inner) {
			return privateTarget(addr.String())
		}
	}
	return nil
}

// CheckURL refuses a URL whose host is plainly an address, or a name of one,
// that Check refuses. It asks no DNS: other names are judged by Control when
// they are dialled.
func (p Policy) CheckURL(u *url.URL) error {
	host := u.Hostname()
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii // as HTTP clients do: full-width digits make an address as well
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		return p.Check(addr)
	}
	switch {
	case metadataNames[host]:
		return metadataTarget(host)
	case p.AllowPrivate && host != "":
		return nil
	case host == "" || isLocalName(host) || looksNumeric(host):
		// Without a host, it is this one that is dialled.
		return privateTarget(host)
	}
	return nil
}

// Control is for net.Dialer: it refuses a connection by the address that is
// about to be dialled, after names are resolved.
func (p Policy) Control(_, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return privateTarget(address) // what cannot be read cannot be allowed
	}
	return p.Check(addr.Addr())
}

// Refused reports whether an error, of a dialler or of what uses one, is a
// refusal of this package, and returns it.
func Refused(err error) (refusal *fault.Error, ok bool) {
	refusal, ok = errors.AsType[*fault.Error](err)
	return refusal, ok && (refusal.Rule == RulePrivate || refusal.Rule == RuleMetadata)
}

func privateTarget(target string) *fault.Error {
	return fault.New(fault.Unprocessable, RulePrivate, "the target %.64q is this host, or in a private or reserved network", target).
		WithHint("give a public address; a target in a private network is for the operator to declare in the configuration file, or to allow there")
}

func metadataTarget(target string) *fault.Error {
	return fault.New(fault.Unprocessable, RuleMetadata, "the target %.64q is a metadata service of a cloud, which is never called", target).
		WithHint("give the address of the service that is meant")
}

// isLocalName reports whether a name means this host wherever it is resolved
// (RFC 6761 §6.3), or is one of the names that hosts files give it.
func isLocalName(host string) bool {
	switch host {
	case "localhost", "localhost.localdomain", "localhost6", "localhost6.localdomain6", "ip6-localhost", "ip6-loopback":
		return true
	}
	return strings.HasSuffix(host, ".localhost")
}

// looksNumeric reports whether resolvers of the inet_aton kind read a host as
// an IPv4 address although it is not written as one: 127.1, 2130706433, 0x7f.1.
// Nobody writes a public server so.
func looksNumeric(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}
