package inventory

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
)

// Version names the state of a bundle: it differs whenever what the bundle is,
// holds or may do differs, whoever changed it.
func (b Bundle) Version() string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %d %v\n", b.ID, b.Name, b.Hostnames, b.UpdatedAt.UnixMilli(), b.Constraints)
	for _, m := range b.Members {
		fmt.Fprintf(h, "%q %q %q %q\n", m.Item.Fingerprint, m.Role, m.Item.Trust, m.Item.Watch)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// A CAUpdate changes a stored bundle.
type CAUpdate struct {
	ID        string
	Name      string   // "" keeps the present one
	Hostnames []string // the whole list
	Data      []byte   // the CA with its renewed certificates; nil renews nothing
	Reference string   // where the file came from
	Check     Check
	Actor     Actor
}

// A Check sees a bundle as it stands when it is about to be changed. Its error
// keeps the change from happening. It must not use the store.
type Check func(Bundle) error

// UpdateCA changes a bundle whole or not at all. Certificates of the upload
// that the bundle does not hold renew the ones that they succeed, by the rules
// of [Service.Renew] with the authority to add trust anchors; what the upload
// leaves out stays. The same again changes nothing.
func (s *Service) UpdateCA(ctx context.Context, u CAUpdate) (bundle Bundle, warnings []string, err error) {
	b, err := s.BundleByID(ctx, u.ID)
	if err != nil {
		return Bundle{}, nil, err
	}
	name := b.Name
	if u.Name != "" {
		if name, err = bundleName(u.Name, nil); err != nil {
			return Bundle{}, nil, err
		}
	}
	hosts, err := normalizeAll(u.Hostnames)
	if err != nil {
		return Bundle{}, nil, err
	}
	renewals, warnings, err := s.renewals(ctx, b, u)
	if err != nil {
		return Bundle{}, nil, err
	}
	bundle, err = s.store.UpdateBundle(ctx, BundleUpdate{ID: b.ID, Name: name, Hostnames: hosts, Renewals: renewals, Check: u.Check, Actor: u.Actor})
	return bundle, warnings, err
}

// RemoveUnused removes a bundle, unless it has hostnames and force is not
// given: what is in use is not to vanish by a slip.
func (s *Service) RemoveUnused(ctx context.Context, id string, force bool, check Check, actor Actor) error {
	if _, err := s.BundleByID(ctx, id); err != nil {
		return err
	}
	return s.store.RemoveBundle(ctx, id, actor, func(b Bundle) error {
		if check != nil {
			if err := check(b); err != nil {
				return err
			}
		}
		if len(b.Hostnames) > 0 && !force {
			return fault.New(fault.Conflict, "associated", "certificate has active associations: %s", strings.Join(b.Hostnames, ", ")).
				WithField("associated_hostnames").WithHint("clear associated_hostnames first, or delete with ?force=true")
		}
		return nil
	})
}

// BundleByID returns the bundle of a whole id, or fault.NotFound. It takes no
// names and no prefixes: programs say what they mean.
func (s *Service) BundleByID(ctx context.Context, id string) (Bundle, error) {
	b, err := s.store.Bundle(ctx, id)
	if err == nil && b.ID == id {
		return b, nil
	}
	if err == nil || fault.Is(err, fault.NotFound) || fault.Is(err, fault.Conflict) {
		return Bundle{}, fault.New(fault.NotFound, "no_bundle", "there is no certificate of the id %.64q", id).WithHint("list them: GET …/access/certificates")
	}
	return Bundle{}, err
}

// Bundles returns every bundle by name.
func (s *Service) Bundles(ctx context.Context) ([]Bundle, error) { return s.store.Bundles(ctx) }

// renewals returns what an upload replaces in a bundle. An upload of nothing
// but what the bundle holds is none, even after its end.
func (s *Service) renewals(ctx context.Context, b Bundle, u CAUpdate) ([]Replacement, []string, error) {
	if u.Data == nil {
		return nil, nil, nil
	}
	all, err := cert.ParsePEMCertificates(u.Data)
	if err != nil {
		return nil, nil, err
	}
	fresh := slices.DeleteFunc(all, b.holds)
	if len(fresh) == 0 {
		return nil, nil, nil
	}
	parsed, err := cert.ParseCA(u.Data, s.now())
	if err != nil {
		return nil, nil, err
	}
	var out []Replacement
	for _, c := range fresh {
		r, err := s.renewalWithin(ctx, b, c, u)
		if err != nil {
			return nil, nil, err
		}
		if slices.ContainsFunc(out, func(other Replacement) bool { return other.OldItemID == r.OldItemID }) {
			return nil, nil, fault.New(fault.Conflict, "several_successors", "two certificates of the upload succeed the same one of %q", b.Name).
				WithHint("send one successor for each certificate")
		}
		out = append(out, r)
	}
	return out, slices.Concat(parsed.Warnings, s.publicWarnings(parsed)), nil
}

func (b Bundle) holds(c *x509.Certificate) bool {
	return slices.ContainsFunc(b.Members, func(m Member) bool { return m.Certificate.Equal(c) })
}

func (s *Service) renewalWithin(ctx context.Context, b Bundle, fresh *x509.Certificate, u CAUpdate) (Replacement, error) {
	old, current, err := s.renewalTarget(ctx, fresh, b.ID)
	if rule := fault.Rule(err); rule == "no_candidate" || rule == "several_candidates" {
		return Replacement{}, fault.New(fault.Conflict, rule, "%s does not say which one certificate of %q it renews: that takes its subject, names and issuer", cert.SubjectDN(fresh), b.Name).
			WithHint("upload another CA as a certificate of its own, with the same hostnames")
	}
	if err != nil {
		return Replacement{}, err
	}
	if err := s.checkRenewal(ctx, old, current, fresh, Authority{Write: true}); err != nil {
		return Replacement{}, err
	}
	return Replacement{
		OldItemID: old.ID, Certificate: fresh, Pending: fresh.NotBefore.After(s.now()),
		Source: s.uploadSource(u.Reference), Actor: u.Actor, Action: "item.renew",
	}, nil
}
