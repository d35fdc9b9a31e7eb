package api

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// maxUpload is the size of the largest body.
const maxUpload = 1 << 20

// renew answers POST /renewals: 201 with what took whose place, 200 to the
// same upload again, 202 for a CA that is only proposed.
func (s *server) renew(w http.ResponseWriter, r *http.Request, token inventory.Token) error {
	item, err := itemOf(r.URL)
	if err != nil {
		return err
	}
	data, err := upload(w, r)
	if err != nil {
		return err
	}
	id := requestID(r.Context())
	done, err := s.renewer.Renew(r.Context(), inventory.RenewRequest{
		Data: data, ItemRef: item,
		Authority: inventory.Authority{Write: token.Allows(inventory.ScopeWrite), ItemID: token.ItemID},
		Reference: "token " + token.Name,
		Actor:     inventory.Actor{Kind: inventory.ActorToken, ID: token.ID, RequestID: id},
	})
	if err != nil {
		return err
	}
	s.log.Info("took a renewal", "request_id", id, "token", token.ID, "status", done.Status, "replaces", done.Replaces.ID, "repeated", done.Repeated)
	writeJSON(w, renewalStatus(done), done)
	return nil
}

func renewalStatus(done inventory.Renewal) int {
	switch {
	case done.Status == inventory.StatusProposed:
		return http.StatusAccepted
	case done.Repeated:
		return http.StatusOK
	}
	return http.StatusCreated
}

// itemOf reads the query, strictly: a misspelt item must not become a guess.
func itemOf(u *url.URL) (string, error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", fault.New(fault.Invalid, "query", "the query cannot be read").WithHint("write ?item=ID")
	}
	for name, values := range query {
		if name != "item" {
			return "", fault.New(fault.Invalid, "query", "the query has an unknown parameter %.40q", name).WithField("query").WithHint("write ?item=ID")
		}
		if len(values) != 1 || values[0] == "" {
			return "", fault.New(fault.Invalid, "query", "item is given %d times or empty", len(values)).
				WithField("item").WithHint("name one item, or leave the parameter out")
		}
	}
	return query.Get("item"), nil
}

// upload returns the uploaded file: of a form the field certificate, of any
// other content type the body as it is, since curl --data-binary names a wrong
// one by default.
func upload(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body := http.MaxBytesReader(w, r.Body, maxUpload)
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // what cannot be read is no form
	if kind != "multipart/form-data" {
		return readUpload(body)
	}
	if params["boundary"] == "" {
		return nil, badForm(errors.New("no boundary"))
	}
	return formUpload(multipart.NewReader(body, params["boundary"]))
}

// formUpload reads the whole form before it judges it, so that a private key
// in any field is called by its name.
func formUpload(form *multipart.Reader) (data []byte, err error) {
	var found int
	var refused error
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, badForm(err)
		}
		content, err := readUpload(part)
		if err != nil {
			return nil, err
		}
		if part.FormName() == "certificate" {
			found++
			data = content
			continue
		}
		if refused == nil || fault.Rule(refused) != "private_key" {
			refused = unknownField(part.FormName(), content)
		}
	}
	if refused == nil && found != 1 {
		refused = fault.New(fault.Invalid, "form", "the form has %d fields certificate, not one", found).
			WithField("certificate").WithHint("curl -F certificate=@new.pem")
	}
	return data, refused
}

func unknownField(name string, content []byte) error {
	if _, err := cert.ParsePEMCertificates(content); fault.Rule(err) == "private_key" {
		return err
	}
	return fault.New(fault.Invalid, "form", "the form has an unknown field %.40q", name).WithField("certificate").
		WithHint("send the certificate alone: curl -F certificate=@new.pem")
}

func readUpload(body io.Reader) ([]byte, error) {
	data, err := io.ReadAll(body)
	switch {
	case err == nil:
		return data, nil
	case tooLarge(err):
		return nil, uploadTooLarge()
	}
	return nil, fault.New(fault.Invalid, "body", "the body ends before its time").WithHint("send it again")
}

func badForm(err error) error {
	if tooLarge(err) {
		return uploadTooLarge()
	}
	return fault.New(fault.Invalid, "form", "the form is malformed").
		WithField("certificate").WithHint("curl -F certificate=@new.pem")
}

func tooLarge(err error) bool {
	var limit *http.MaxBytesError
	return errors.As(err, &limit)
}

func uploadTooLarge() error {
	return fault.New(fault.TooLarge, "upload_size", "the upload is larger than %d bytes", maxUpload).WithHint("send the renewed certificate alone")
}
