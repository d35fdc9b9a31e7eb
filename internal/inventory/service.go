package inventory

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/hostname"
)

// maxName is the reference product's limit on a certificate's name.
const maxName = 350

// A Service carries out the acts on a store. It may be used concurrently.
type Service struct {
	store Store
	now   func() time.Time
}

// New returns a service on the given store. A nil now means time.Now.
func New(store Store, now func() time.Time) *Service {
	if now == nil {
		now = time.Now
	}
	return &Service{store: store, now: now}
}

// An Upload is a file that somebody hands in.
type Upload struct {
	Data      []byte
	Name      string   // of the bundle; "" = the common name of its first certificate
	Hostnames []string // to associate; exact or wildcard
	Labels    map[string]string
	Reference string // where the file came from, e.g. its path
	Actor     Actor

	Constraints *Constraints // of a CA; nil leaves those that are stored
	Only        bool         // of a CA; refuse one that is stored already, instead of adding to it
}

// AddCA stores a CA: one PEM file of one to six CA certificates. The same set
// under the same name is told so by created = false, and only gains hostnames
// and the constraints that are given.
// The error's rule names what is wrong with the file; then nothing is stored.
func (s *Service) AddCA(ctx context.Context, u Upload) (bundle Bundle, created bool, warnings []string, err error) {
	parsed, err := cert.ParseCA(u.Data, s.now())
	if err != nil {
		return Bundle{}, false, nil, err
	}
	name, err := bundleName(u.Name, parsed.Certificates[0])
	if err != nil {
		return Bundle{}, false, nil, err
	}
	hosts, err := normalizeAll(u.Hostnames)
	if err != nil {
		return Bundle{}, false, nil, err
	}
	constraints, open, err := normalizeConstraints(u.Constraints)
	if err != nil {
		return Bundle{}, false, nil, err
	}
	bundle, created, err = s.store.AddBundle(ctx, NewBundle{
		Name: name, Hostnames: hosts, Certificates: parsed.Certificates, Roles: roles(parsed.Anchors),
		Labels: u.Labels, Constraints: constraints, Only: u.Only, Source: s.uploadSource(u.Reference), Actor: u.Actor,
	})
	return bundle, created, slices.Concat(parsed.Warnings, s.publicWarnings(parsed), open), err
}

// AddCertificate stores a client or server certificate to be watched. It is
// not a trust anchor, whatever it is. A certificate that is known already is
// told so by created = false.
func (s *Service) AddCertificate(ctx context.Context, kind alert.Kind, u Upload) (item alert.Item, created bool, err error) {
	if kind != alert.KindClient && kind != alert.KindServer {
		return alert.Item{}, false, fault.New(fault.Invalid, "kind", "kind %q is not one of client, server", kind).
			WithHint("a CA is added by `certvigil ca add`")
	}
	leaf, _, err := cert.ParseLeaf(u.Data, s.now())
	if err != nil {
		return alert.Item{}, false, err
	}
	return s.store.AddItem(ctx, NewItem{
		Kind: kind, Certificate: leaf, Labels: u.Labels, Source: s.uploadSource(u.Reference), Actor: u.Actor,
	})
}

// Remarks tells what AddCertificate accepts in silence and is probably not
// meant: that the certificate's usages are not those of its kind. Data that
// AddCertificate refuses has no remarks.
func (s *Service) Remarks(kind alert.Kind, data []byte) []string {
	leaf, _, err := cert.ParseLeaf(data, s.now())
	if err != nil || len(leaf.ExtKeyUsage) == 0 || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return nil
	}
	clients, servers := slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth), slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	switch {
	case kind == alert.KindClient && !clients:
		return []string{"its extended key usages are not those of a client, which the listener refuses; a server's certificate is added with --kind server"}
	case kind == alert.KindServer && !servers:
		return []string{"its extended key usages are not those of a server; a client's certificate is added with --kind client"}
	}
	return nil
}

// RemoveCA removes a bundle by id or name: its CAs vouch for nobody from then
// on, unless another bundle holds them too.
func (s *Service) RemoveCA(ctx context.Context, ref string, actor Actor) (Bundle, error) {
	b, err := s.store.Bundle(ctx, ref)
	if err != nil {
		return Bundle{}, err
	}
	return b, s.store.RemoveBundle(ctx, b.ID, actor)
}

// SetTrust revokes, restores or removes a client or server certificate. CAs
// are removed with their bundle.
func (s *Service) SetTrust(ctx context.Context, ref string, t alert.Trust, actor Actor) (alert.Item, error) {
	item, err := s.store.Item(ctx, ref)
	if err != nil {
		return alert.Item{}, err
	}
	if item.Kind == alert.KindCRL {
		return alert.Item{}, notACertificate(item)
	}
	if item.Kind == alert.KindCA && t == alert.Removed {
		return alert.Item{}, fault.New(fault.Conflict, "ca_in_bundle", "%s is a CA of bundle %s", item.Fingerprint[:12], strings.Join(item.Bundles, ", ")).
			WithHint("remove the bundle: certvigil ca remove NAME")
	}
	if err := s.store.SetTrust(ctx, item.ID, t, actor); err != nil {
		return alert.Item{}, err
	}
	return s.store.Item(ctx, item.ID)
}

// Ignore ends the alerts for an item without touching its trust; again = true
// takes it back, with a new epoch.
func (s *Service) Ignore(ctx context.Context, ref string, again bool, actor Actor) (alert.Item, error) {
	item, err := s.store.Item(ctx, ref)
	if err != nil {
		return alert.Item{}, err
	}
	watch := alert.Ignored
	if again {
		watch = alert.Active
	}
	if err := s.store.SetWatch(ctx, item.ID, watch, actor); err != nil {
		return alert.Item{}, err
	}
	return s.store.Item(ctx, item.ID)
}

func (s *Service) uploadSource(reference string) alert.Source {
	return s.source(alert.SourceUpload, reference)
}

func (s *Service) source(kind alert.SourceKind, reference string) alert.Source {
	now := s.now().UTC()
	return alert.Source{Kind: kind, Reference: reference, FirstSeen: now, LastSeen: now}
}

func bundleName(name string, first *x509.Certificate) (string, error) {
	if name == "" {
		name = first.Subject.CommonName
	}
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", fault.New(fault.Invalid, "name", "the certificate has no common name to go by").WithField("name").WithHint("give a name: --name NAME")
	case utf8.RuneCountInString(name) > maxName:
		return "", fault.New(fault.Invalid, "name", "the name is longer than %d characters", maxName).WithField("name").WithHint("choose a shorter name")
	case strings.ContainsFunc(name, unicode.IsControl) || !utf8.ValidString(name):
		return "", fault.New(fault.Invalid, "name", "the name %q has a character that cannot be shown", name).WithField("name").WithHint("give a plain name: --name NAME")
	}
	return name, nil
}

func normalizeAll(names []string) ([]string, error) {
	var out []string
	for _, n := range names {
		host, err := hostname.NormalizePattern(n)
		if err != nil {
			return nil, fmt.Errorf("associating hostnames: %w", err)
		}
		out = append(out, host)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func roles(anchors []bool) []Role {
	out := make([]Role, len(anchors))
	for i, anchor := range anchors {
		out[i] = RoleIntermediate
		if anchor {
			out[i] = RoleAnchor
		}
	}
	return out
}
