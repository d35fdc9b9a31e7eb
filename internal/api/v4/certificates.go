package v4

import (
	"cmp"
	"crypto/md5" //nolint:gosec // the reference's fingerprint; nothing relies on it
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/inventory"
)

// A certificate is what a bundle is to the reference product.
type certificate struct {
	ID                  string     `json:"id"`
	CreatedAt           time.Time  `json:"created_at"`
	UpdatedAt           time.Time  `json:"updated_at"`
	ExpiresOn           *time.Time `json:"expires_on"`
	Name                string     `json:"name"`
	Fingerprint         string     `json:"fingerprint"`
	AssociatedHostnames []string   `json:"associated_hostnames"`
}

func certificateOf(b inventory.Bundle) certificate {
	c := certificate{
		ID: b.ID, CreatedAt: b.CreatedAt.UTC(), UpdatedAt: b.UpdatedAt.UTC(), Name: b.Name,
		Fingerprint: fingerprint(b), AssociatedHostnames: append([]string{}, b.Hostnames...),
	}
	if end := b.ExpiresOn().UTC(); !end.IsZero() {
		c.ExpiresOn = &end
	}
	return c
}

// fingerprint is that of the first certificate, as `openssl x509 -fingerprint
// -md5` writes it.
func fingerprint(b inventory.Bundle) string {
	if len(b.Members) == 0 {
		return ""
	}
	sum := md5.Sum(b.Members[0].Certificate.Raw) //nolint:gosec // see the import
	return "MD5 Fingerprint=" + strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

func (h *Handler) listCertificates(w http.ResponseWriter, c call) error {
	query := c.URL.Query()
	before, err := instant(query, "expiring_before")
	if err != nil {
		return err
	}
	bundles, err := h.o.Reader.Bundles(c.Context())
	if err != nil {
		return err
	}
	if !before.IsZero() {
		bundles = slices.DeleteFunc(bundles, func(b inventory.Bundle) bool { return !b.ExpiresOn().Before(before) })
	}
	// In the order in which they came: what is added while somebody turns the
	// pages does not move the others.
	slices.SortFunc(bundles, func(a, b inventory.Bundle) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	part, info, err := page(query, bundles)
	if err != nil {
		return err
	}
	list := make([]certificate, len(part))
	for i, b := range part {
		list[i] = certificateOf(b)
	}
	succeed(w, http.StatusOK, list, nil, info)
	return nil
}

func (h *Handler) getCertificate(w http.ResponseWriter, c call) error {
	id := c.PathValue("certificate")
	b, err := h.o.Reader.BundleByID(c.Context(), id)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, b, nil)
	return nil
}

func (h *Handler) createCertificate(w http.ResponseWriter, c call) error {
	body, err := readBody(w, c.Request)
	if err != nil {
		return err
	}
	name, _, err := body.text("name")
	if err != nil {
		return err
	}
	if strings.TrimSpace(name) == "" {
		return missing("/name")
	}
	pem, given, err := body.text("certificate")
	if err != nil {
		return err
	}
	if !given {
		return missing("/certificate")
	}
	hosts, err := body.hostnames("associated_hostnames")
	if err != nil {
		return err
	}
	b, _, warnings, err := h.o.Editor.AddCA(c.Context(), inventory.Upload{
		Data: []byte(pem), Name: name, Hostnames: hosts, Only: true, Reference: "token " + c.token.Name, Actor: c.actor,
	})
	if err != nil {
		return at("/certificate", err)
	}
	h.changed(c, "created", b.ID)
	answer(w, http.StatusCreated, b, warnings)
	return nil
}

// updateCertificate takes hostnames that are left out as none, since the older
// client cannot send an empty list, and keeps a name that is left out.
func (h *Handler) updateCertificate(w http.ResponseWriter, c call) error {
	body, err := readBody(w, c.Request)
	if err != nil {
		return err
	}
	u := inventory.CAUpdate{
		ID: c.PathValue("certificate"), Reference: "token " + c.token.Name, Actor: c.actor,
		Check: func(b inventory.Bundle) error { return checkMatch(c.Request, b.Version()) },
	}
	if u.Name, _, err = body.text("name"); err != nil {
		return err
	}
	if u.Hostnames, err = body.hostnames("associated_hostnames"); err != nil {
		return err
	}
	pem, given, err := body.text("certificate")
	if err != nil {
		return err
	}
	if given {
		u.Data = []byte(pem)
	}
	b, warnings, err := h.o.Editor.UpdateCA(c.Context(), u)
	if err != nil {
		return at("/certificate", err)
	}
	h.changed(c, "updated", b.ID)
	answer(w, http.StatusOK, b, warnings)
	return nil
}

func (h *Handler) deleteCertificate(w http.ResponseWriter, c call) error {
	force, err := truth(c.URL.Query(), "force")
	if err != nil {
		return err
	}
	id := c.PathValue("certificate")
	check := func(b inventory.Bundle) error { return checkMatch(c.Request, b.Version()) }
	if err := h.o.Editor.RemoveUnused(c.Context(), id, force, check, c.actor); err != nil {
		return at("", err)
	}
	h.changed(c, "deleted", id)
	succeed(w, http.StatusOK, identified{id}, nil, nil)
	return nil
}

func answer(w http.ResponseWriter, status int, b inventory.Bundle, warnings []string) {
	w.Header().Set("ETag", etag(b.Version()))
	succeed(w, status, certificateOf(b), warnings, nil)
}

func (h *Handler) changed(c call, what, id string) {
	h.o.Logger.Info("certificate changed by the API", "change", what, "certificate", id, "token", c.token.ID, "request_id", c.actor.RequestID)
}
