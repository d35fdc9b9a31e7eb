package inventory

import (
	"context"
	"fmt"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/crl"
	"github.com/certvigil/certvigil/internal/fault"
)

// maxSkew is how far a list's thisUpdate may be ahead of the clock.
const maxSkew = 5 * time.Minute

// A CRLUpload is a revocation list that somebody hands in, or that was read
// from its source.
type CRLUpload struct {
	Data           []byte     // PEM, DER or base64 of DER
	Source         string     // where it is to be refreshed from, as CRL has it; "" = it was uploaded
	ETag           string     // of the source's answer
	LastModified   string     // likewise
	RefreshAt      *time.Time // when to look at the source again; nil = at once
	AcceptRollback bool       // lets it be older than the one that is stored
	IssuerKey      string     // that it must be of, as CRL has it; "" = of any stored CA
	Actor          Actor
}

// AddCRL stores a revocation list in the place of its issuer's last one, and
// tells what it means here. Its issuer must be a CA that is stored and
// trusted. The error's rule names what is wrong with the list; then nothing is
// stored. A list that has ended is accepted with a warning: whom it names stays
// denied.
func (s *Service) AddCRL(ctx context.Context, u CRLUpload) (CRLReport, error) {
	der, err := crl.Decode(u.Data)
	if err != nil {
		return CRLReport{}, err
	}
	list, err := crl.Parse(der)
	if err != nil {
		return CRLReport{}, err
	}
	issuer, err := s.issuerOf(ctx, list)
	if err != nil {
		return CRLReport{}, err
	}
	if u.IssuerKey != "" && u.IssuerKey != cert.KeyHash(issuer) {
		return CRLReport{}, fault.New(fault.Unprocessable, "crl_other_issuer", "the list is of another CA, %s", list.Issuer).
			WithHint("see whether the address or file is still that of this CA's list")
	}
	if list.ThisUpdate.After(s.now().Add(maxSkew)) {
		return CRLReport{}, fault.New(fault.Unprocessable, "crl_future", "the list is of %s, which is still to come", list.ThisUpdate.Format(time.RFC3339)).
			WithHint("compare this machine's clock with that of the CA")
	}
	stored, created, err := s.store.AddCRL(ctx, NewCRL{
		List: list, DER: der, Issuer: issuer, Source: u.Source, ETag: u.ETag, LastModified: u.LastModified,
		RefreshAt: u.RefreshAt, AcceptRollback: u.AcceptRollback, Actor: u.Actor,
	})
	if err != nil {
		return CRLReport{}, err
	}
	report := CRLReport{CRL: stored, Created: created, Revokes: []alert.Item{}, Unknown: []string{}, Warnings: []string{}}
	if left := list.NextUpdate; left.Before(s.now()) {
		report.Warnings = append(report.Warnings, fmt.Sprintf("the list ended at %s (%s): get the CA's present one; once its grace is over the listener refuses every client of that CA, unless enforcer.crl_stale is \"keep\"",
			left.Format(time.RFC3339), alert.FormatLeft(left, s.now())))
	}
	return report, s.explainCRL(ctx, list, issuer, &report)
}

// RemoveCRL takes a revocation list out of force. ref names it by its id or its
// issuer.
func (s *Service) RemoveCRL(ctx context.Context, ref string, actor Actor) (CRL, error) {
	list, err := s.store.CRL(ctx, ref)
	if err != nil {
		return CRL{}, err
	}
	return list, s.store.RemoveCRL(ctx, list.Item.ID, actor)
}

// A KeyTrust is a key and what is known of the certificates that have it.
type KeyTrust struct {
	Key     string       `json:"key"` // SHA-256 of the SubjectPublicKeyInfo, lower-case hex
	Revoked bool         `json:"revoked"`
	Items   []alert.Item `json:"items"` // the known certificates with that key
}

// KeyOf returns the SHA-256 of the public key of an item's certificate.
func (s *Service) KeyOf(ctx context.Context, ref string) (string, error) {
	item, err := s.store.Item(ctx, ref)
	if err != nil {
		return "", err
	}
	if item.Kind == alert.KindCRL {
		return "", notACertificate(item)
	}
	c, err := s.store.Certificate(ctx, item.ID)
	if err != nil {
		return "", err
	}
	return cert.KeyHash(c), nil
}

// RevokeKey denies every certificate with a key, known or not, or takes that
// back together with the revocations of the known ones.
func (s *Service) RevokeKey(ctx context.Context, key string, revoked bool, actor Actor) (KeyTrust, error) {
	if err := s.store.SetKeyTrust(ctx, key, revoked, actor); err != nil {
		return KeyTrust{}, err
	}
	items, err := s.store.Items(ctx, ItemFilter{Key: key})
	return KeyTrust{Key: key, Revoked: revoked, Items: items}, err
}

func notACertificate(item alert.Item) error {
	return fault.New(fault.Conflict, "kind", "%s is a revocation list, not a certificate", item.ID).
		WithHint("take it out of force by: certvigil crl remove %s", item.ID)
}
