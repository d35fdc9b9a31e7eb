package api

import (
	"net/http"
	"net/url"

	"github.com/certvigil/certvigil/internal/crl"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// maxList is the size of the largest body that holds a revocation list: base64
// is longer than what it stands for.
const maxList = 2 * crl.MaxSize

// addCRL answers POST /crls, whose body is a revocation list: 201 with what the
// list means here, 200 to the same list again.
func (s *server) addCRL(w http.ResponseWriter, r *http.Request, token inventory.Token) error {
	rollback, err := acceptsRollback(r.URL)
	if err != nil {
		return err
	}
	data, err := readUpload(http.MaxBytesReader(w, r.Body, maxList))
	if fault.Is(err, fault.TooLarge) {
		return fault.New(fault.TooLarge, "upload_size", "the upload is larger than %d bytes", maxList).WithHint("send one revocation list alone")
	}
	if err != nil {
		return err
	}
	id := requestID(r.Context())
	report, err := s.revoker.AddCRL(r.Context(), inventory.CRLUpload{
		Data: data, AcceptRollback: rollback, Actor: inventory.Actor{Kind: inventory.ActorToken, ID: token.ID, RequestID: id},
	})
	if err != nil {
		return err
	}
	s.log.Info("took a revocation list", "request_id", id, "token", token.ID, "issuer", report.CRL.Item.Subject, "created", report.Created,
		"entries", report.CRL.Entries, "revokes", report.RevokesCount, "unknown", report.UnknownCount)
	status := http.StatusOK
	if report.Created {
		status = http.StatusCreated
	}
	writeJSON(w, status, report)
	return nil
}

// acceptsRollback reads the query, strictly.
func acceptsRollback(u *url.URL) (bool, error) {
	switch u.RawQuery {
	case "":
		return false, nil
	case "accept_rollback=true":
		return true, nil
	}
	return false, fault.New(fault.Invalid, "query", "the query is not understood").WithField("query").
		WithHint("leave it out, or write ?accept_rollback=true to let the list be older than the one in force")
}
