package inventory

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"hash/maphash"
	"math/big"
	"slices"
	"strings"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/crl"
)

const (
	maxRevokes    = 1000 // known certificates that a report spells out
	maxUnknown    = 20   // serial numbers and misread ones that it spells out
	maxMisread    = 1000 // misread numbers that are looked at
	maxCandidates = 3    // certificates that a misread number is put down to
)

// A match is a known certificate whose serial a list names.
type match struct{ itemID, serial string }

// A misreading is a number of a list that a known certificate's serial becomes
// when its hex digits are read as decimal ones.
type misreading struct {
	number     *big.Int
	candidates []match
	more       int
}

// An explanation gathers what a list means while the known certificates of its
// issuer go by. There may be a million of them and as many entries: it holds no
// more than a hash of each serial that is in both.
type explanation struct {
	list    *crl.List
	seed    maphash.Seed
	known   map[uint64]struct{} // serials, by hash, that the list names and a known certificate has
	named   []match             // the first of those certificates; not in known yet
	revokes int                 // how many certificates there are beyond named
	misread map[string]*misreading
}

// explainCRL adds to a report what the list means here.
func (s *Service) explainCRL(ctx context.Context, list *crl.List, issuer *x509.Certificate, report *CRLReport) error {
	e := explanation{list: list, seed: maphash.MakeSeed(), known: map[uint64]struct{}{}, misread: map[string]*misreading{}}
	if list.Len() > 0 {
		if err := s.store.EachOfIssuer(ctx, cert.SubjectDN(issuer), e.look); err != nil {
			return err
		}
	}
	if err := s.confirm(ctx, &e, issuer, report); err != nil {
		return err
	}
	report.UnknownCount = list.Len() - len(e.known)
	report.Unknown = e.unknown(report.UnknownCount)
	misread, err := s.misreadWarnings(ctx, &e)
	if err != nil {
		return err
	}
	report.Warnings = append(report.Warnings, misread...)
	if report.UnknownCount > 0 {
		report.Warnings = append(report.Warnings, fmt.Sprintf("%d of the %d serial numbers in the list are those of no certificate known here: %s",
			report.UnknownCount, list.Len(), few(report.Unknown, report.UnknownCount)))
	}
	return nil
}

// look takes in one known certificate of the issuer's name.
func (e *explanation) look(itemID, serial string) error {
	number, ok := new(big.Int).SetString(serial, 16)
	if !ok {
		return fmt.Errorf("the serial %q of item %s is no number", serial, itemID)
	}
	if e.list.Revokes(number) {
		if len(e.named) < maxRevokes {
			e.named = append(e.named, match{itemID, serial})
		} else {
			e.known[e.hash(serial)] = struct{}{}
			e.revokes++
		}
	}
	for _, wrong := range misreadings(serial) {
		if wrong.Cmp(number) != 0 && e.list.Revokes(wrong) {
			e.suspect(wrong, match{itemID, serial})
		}
	}
	return nil
}

func (e *explanation) hash(serial string) uint64 { return maphash.String(e.seed, serial) }

func (e *explanation) suspect(wrong *big.Int, m match) {
	found := e.misread[wrong.String()]
	switch {
	case found == nil && len(e.misread) < maxMisread:
		e.misread[wrong.String()] = &misreading{number: wrong, candidates: []match{m}}
	case found == nil:
	case len(found.candidates) < maxCandidates:
		found.candidates = append(found.candidates, m)
	default:
		found.more++
	}
}

// misreadings returns what `cfssl gencrl` writes for a serial that it is given
// in hex: the number that its leading decimal digits make, and 0 without any.
// People write hex in one run ("4A3B") or by octets ("4A:3B").
func misreadings(serial string) []*big.Int {
	var out []*big.Int
	const octet = 2
	for _, written := range []string{serial, serial[:min(octet, len(serial))]} {
		digits := written[:len(written)-len(strings.TrimLeft(written, "0123456789"))]
		n, _ := new(big.Int).SetString(cmp.Or(digits, "0"), 10)
		if len(out) == 0 || out[0].Cmp(n) != 0 {
			out = append(out, n)
		}
	}
	return out
}

// confirm reports the certificates that the list revokes: of those that bear
// its issuer's name only the ones that its issuer's key has signed. Of more
// than maxRevokes the others are counted by the name.
func (s *Service) confirm(ctx context.Context, e *explanation, issuer *x509.Certificate, report *CRLReport) error {
	for _, m := range e.named {
		c, err := s.store.Certificate(ctx, m.itemID)
		if err != nil {
			return err
		}
		if !cert.SignedBy(c, issuer) {
			continue
		}
		item, err := s.store.Item(ctx, m.itemID)
		if err != nil {
			return err
		}
		e.known[e.hash(m.serial)] = struct{}{}
		report.Revokes = append(report.Revokes, item)
	}
	report.RevokesCount = len(report.Revokes) + e.revokes
	return nil
}

// unknown spells out some of the serials that no known certificate has.
func (e *explanation) unknown(count int) []string {
	out := []string{}
	for number := range e.list.Serials() {
		if len(out) == min(count, maxUnknown) {
			break
		}
		serial := cert.FormatSerial(number)
		if _, ok := e.known[e.hash(serial)]; !ok {
			out = append(out, serial)
		}
	}
	return out
}

// misreadWarnings tells of each number that nobody has and that is what a
// known certificate's serial becomes when it is read as decimal.
func (s *Service) misreadWarnings(ctx context.Context, e *explanation) ([]string, error) {
	var found []*misreading
	for _, m := range e.misread {
		if _, ok := e.known[e.hash(cert.FormatSerial(m.number))]; !ok {
			found = append(found, m)
		}
	}
	slices.SortFunc(found, func(a, b *misreading) int { return a.number.Cmp(b.number) })
	var warnings []string
	for i, m := range found {
		if i == maxUnknown {
			return append(warnings, fmt.Sprintf("… and %d more such numbers", len(found)-i)), nil
		}
		names, err := s.describe(ctx, m)
		if err != nil {
			return nil, err
		}
		warnings = append(warnings, fmt.Sprintf("the list names the serial number %s, which no known certificate has: it is what `cfssl gencrl` makes of %s, "+
			"since it reads its input as decimal numbers. NOT revoked by that entry; make the list again with the decimal serial", m.number, names))
	}
	return warnings, nil
}

// describe tells whose serial was misread, and what it is in decimal.
func (s *Service) describe(ctx context.Context, m *misreading) (string, error) {
	var all []string
	for _, c := range m.candidates {
		item, err := s.store.Item(ctx, c.itemID)
		if err != nil {
			return "", err
		}
		number, _ := new(big.Int).SetString(c.serial, 16)
		all = append(all, fmt.Sprintf("%s, the hex serial of %s (in decimal %s)", c.serial, item.Subject, number))
	}
	if m.more > 0 {
		all = append(all, fmt.Sprintf("%d others", m.more))
	}
	return strings.Join(all, ", or of "), nil
}

// few lists the first of so many values.
func few(values []string, count int) string {
	text := strings.Join(values, ", ")
	if more := count - len(values); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
