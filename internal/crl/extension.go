package crl

import (
	"fmt"
	"math/big"

	"github.com/certvigil/certvigil/internal/fault"
)

// The contents of the identifiers of extensions: 2.5.29 and a number.
const (
	oidNumber            = "\x55\x1d\x14"
	oidReason            = "\x55\x1d\x15"
	oidDelta             = "\x55\x1d\x1b"
	oidDistributionPoint = "\x55\x1d\x1c"
	oidCertificateIssuer = "\x55\x1d\x1d"
	oidAuthorityKey      = "\x55\x1d\x23"
	removeFromCRL        = 8
	contextIndirect      = 0x84 // [4] of IssuingDistributionPoint
	maxNumber            = 20   // octets of a CRLNumber (RFC 5280 §5.2.3)
	wholeListHint        = "ask the CA for its full list, which covers every certificate that it issued, or have it publish one"
)

type extension struct {
	id       []byte
	critical bool
	value    []byte
}

// extension takes one extension (RFC 5280 §4.1). FALSE may be written, though
// DER leaves defaults out: some issuers do, and it says nothing else.
func (r *reader) extension() (e extension, ok bool) {
	contents, ok := r.take(tagSequence)
	if !ok {
		return e, false
	}
	fields := reader(contents)
	if e.id, ok = fields.take(tagOID); !ok || !validOID(e.id) {
		return e, false
	}
	if fields.at(tagBoolean) {
		b, ok := fields.take(tagBoolean)
		if !ok || len(b) != 1 || b[0] != 0 && b[0] != 0xFF {
			return e, false
		}
		e.critical = b[0] == 0xFF
	}
	e.value, ok = fields.take(tagOctetString)
	return e, ok && len(fields) == 0
}

// checkExtensions refuses extensions of the list that change what it means, and
// returns its number, if there is one.
func checkExtensions(r reader) (number *big.Int, err error) {
	seen := map[string]bool{}
	for len(r) > 0 {
		e, ok := r.extension()
		if !ok || seen[string(e.id)] {
			return nil, malformed("its extensions")
		}
		seen[string(e.id)] = true
		if err := e.checkMeaning(); err != nil {
			return nil, err
		}
		switch string(e.id) {
		case oidNumber:
			if number, ok = readNumber(e.value); !ok {
				return nil, malformed("its number")
			}
		case oidAuthorityKey:
			if !isSequence(e.value) {
				return nil, malformed("its authority key identifier")
			}
		}
	}
	return number, nil
}

// checkMeaning refuses, whether critical or not, what makes the list say less
// than it seems to; and whatever is critical, as RFC 5280 §5.2 asks of those
// who do not process it. That a number or a key identifier is never critical is
// the same section's word.
func (e extension) checkMeaning() error {
	switch {
	case string(e.id) == oidDelta:
		return fault.New(fault.Unprocessable, "crl_delta", "it is a delta list: it names only what changed since another list").
			WithHint(wholeListHint)
	case string(e.id) == oidDistributionPoint && indirect(e.value):
		return indirectFault("the list")
	case string(e.id) == oidDistributionPoint:
		return fault.New(fault.Unprocessable, "crl_partitioned", "the list has an issuing distribution point: it may cover only a part of what its CA issued").
			WithHint(wholeListHint)
	case e.critical:
		return criticalFault("the list", e.id)
	}
	return nil
}

func indirectFault(what string) error {
	return fault.New(fault.Unprocessable, "crl_indirect", "%s is indirect: it speaks of certificates of other CAs than its issuer", what).
		WithHint("ask each CA for a list of its own")
}

func criticalFault(what string, id []byte) error {
	return fault.New(fault.Unprocessable, "crl_critical_extension", "%s has the critical extension %s, which is not processed here", what, oidText(id)).
		WithHint("have the CA issue its lists without it")
}

// indirect reports whether an IssuingDistributionPoint has indirectCRL.
func indirect(value []byte) bool {
	r := reader(value)
	contents, _ := r.take(tagSequence)
	for r = contents; len(r) > 0; {
		tag, yes, ok := r.next()
		if !ok {
			return false
		}
		if tag == contextIndirect {
			return string(yes) != "\x00"
		}
	}
	return false
}

func readNumber(value []byte) (*big.Int, bool) {
	r := reader(value)
	octets, ok := r.unsigned()
	if !ok || len(octets) > maxNumber || len(r) > 0 {
		return nil, false
	}
	return new(big.Int).SetBytes(octets), true
}

// isSequence reports whether value is one sequence of whole values.
func isSequence(value []byte) bool {
	r := reader(value)
	contents, ok := r.take(tagSequence)
	if !ok || len(r) > 0 {
		return false
	}
	for r = contents; len(r) > 0; {
		if _, _, ok := r.next(); !ok {
			return false
		}
	}
	return true
}

// checkEntryExtensions refuses extensions of the n-th entry that change what it
// means. Reasons are not looked at, but for the one that means the opposite of
// revoked: every other, reserved ones too, revokes.
func checkEntryExtensions(r reader, n int) error {
	for len(r) > 0 {
		e, ok := r.extension()
		switch {
		case !ok:
			return badEntry(n, "its extensions")
		case string(e.id) == oidCertificateIssuer:
			return indirectFault(fmt.Sprintf("entry %d of the list", n))
		case e.critical:
			return criticalFault(fmt.Sprintf("entry %d of the list", n), e.id)
		case string(e.id) == oidReason:
			if err := checkReason(e.value, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkReason(value []byte, n int) error {
	r := reader(value)
	reason, ok := r.take(tagEnumerated)
	if !ok || len(reason) != 1 || reason[0] >= 0x80 || len(r) > 0 {
		return badEntry(n, "its reason code")
	}
	if reason[0] == removeFromCRL {
		return fault.New(fault.Unprocessable, "crl_remove_from_crl", "entry %d of the list has the reason removeFromCRL, which only delta lists have", n).
			WithHint(wholeListHint)
	}
	return nil
}

func badEntry(n int, where string) error {
	return malformed(fmt.Sprintf("entry %d: %s", n, where))
}
