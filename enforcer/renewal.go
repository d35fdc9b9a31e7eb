package enforcer

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/ratelimit"
)

// renewalPath takes a client's renewed certificate on the connection that the
// client proves itself on by its present one. No policy is asked: whoever is
// to be kept from it is revoked.
const renewalPath = "/.well-known/certvigil/renew"

// A Renewer records renewals that clients make for themselves. It is called
// concurrently.
type Renewer interface {
	// RenewClient puts the new certificate in the place of the presented one,
	// and of no other; that it is of the same subject is the renewer's to hold.
	// It returns the status and what is shown to the client as JSON. Errors are
	// faults; any other is told as an internal error.
	RenewClient(ctx context.Context, r ClientRenewal) (status int, answer any, err error)
}

// A ClientRenewal is a renewal whose both certificates hold at the host name:
// they are valid, unrevoked, and chain to one of its CAs.
type ClientRenewal struct {
	Presented *x509.Certificate
	Next      *x509.Certificate // holds from its notBefore on, which may be to come
	Hostname  string            // normalised
	RequestID string
}

// maxRenewal is the size of the largest body: a leaf with its chain.
const maxRenewal = 64 << 10

// newRenewalLimit keeps one client from having chains verified and rows
// written without end. Only clients with a valid certificate are counted.
func newRenewalLimit(now func() time.Time) *ratelimit.Limiter {
	return ratelimit.New(ratelimit.Options{Burst: 10, Every: time.Minute, Most: 4096, Now: now})
}

// serveRenewal fails closed: nothing is passed on unless both certificates
// hold at this very host name.
func (e *Enforcer) serveRenewal(w http.ResponseWriter, r *http.Request, f *flight, d decision) {
	if e.renewer == nil {
		e.answer(w, r, f, http.StatusNotFound)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		e.answerProblem(w, r, f, fault.New(fault.Invalid, "method", "a certificate is renewed by POST").
			WithHint("POST the new certificate in PEM form"), http.StatusMethodNotAllowed)
		return
	}
	if !d.verdict.valid {
		e.refuseRenewal(w, r, f, d)
		return
	}
	if wait := e.renewals.Take(string(f.client.leafID[:])); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
		e.answerProblem(w, r, f, fault.New(fault.Forbidden, "rate", "this client has tried too often").
			WithHint("wait %s", wait.Round(time.Second)), http.StatusTooManyRequests)
		return
	}
	e.renew(w, r, f)
}

// refuseRenewal tells nothing of why: that is in the log.
func (e *Enforcer) refuseRenewal(w http.ResponseWriter, r *http.Request, f *flight, d decision) {
	d.status, d.reason = http.StatusForbidden, d.verdict.reason
	e.noteRefusal(f, d)
	e.answerProblem(w, r, f, fault.New(fault.Forbidden, "certificate", "the connection has no client certificate that is accepted here").
		WithHint("connect with the certificate that is to be renewed, or ask the administrator with the request id"), http.StatusForbidden)
}

func (e *Enforcer) renew(w http.ResponseWriter, r *http.Request, f *flight) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRenewal))
	if err != nil {
		if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close") // the rest of it is not worth reading
		}
		e.answerProblem(w, r, f, uploadFault(err), 0)
		return
	}
	// The body may have taken its time: what counts is what holds now.
	s := e.current.Load()
	d := s.judge(&f.subject, e.now())
	if d.site == nil || !d.verdict.valid {
		e.refuseRenewal(w, r, f, d)
		return
	}
	next, err := s.successor(f.client, d.name, data, e.now())
	if err != nil {
		e.answerProblem(w, r, f, err, 0)
		return
	}
	status, answer, err := e.renewer.RenewClient(r.Context(), ClientRenewal{
		Presented: f.client.chain[0], Next: next, Hostname: d.name, RequestID: f.requestID(),
	})
	if err != nil {
		e.answerProblem(w, r, f, err, 0)
		return
	}
	e.log.Info("a client renewed its certificate", "request_id", f.requestID(), "hostname", d.name, "remote", f.addr.String(),
		"fingerprint", f.client.fingerprint(), "by", cert.Fingerprint(next), "status", status)
	e.answerValue(w, r, f, "application/json", status, answer)
}

func uploadFault(err error) error {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return fault.New(fault.TooLarge, "upload_size", "the upload is larger than %d bytes", maxRenewal).WithHint("send the renewed certificate alone")
	}
	return fault.New(fault.Invalid, "body", "the body ends before its time").WithHint("send it again")
}

// successor returns the leaf of an upload if it would be accepted at the host
// name, by the rules that a handshake is held to; one that is not valid yet is
// judged by its first moment. Intermediates come from the upload, else from
// what the client sends anyway.
func (s *snapshot) successor(c *client, name string, data []byte, now time.Time) (*x509.Certificate, error) {
	next, chain, err := cert.ParseLeaf(data, now)
	if err != nil {
		return nil, err
	}
	if len(chain) == 0 {
		chain = c.chain[1:]
	}
	at := now
	if next.NotBefore.After(at) {
		at = next.NotBefore
	}
	v := s.examine(append([]*x509.Certificate{next}, chain...), s.authoritiesFor(name), at)
	if !v.valid {
		return nil, fault.New(fault.Unprocessable, "not_accepted", "the new certificate would be refused here (%s)", v.reason).
			WithHint("have it issued by a CA of this host name, for client authentication, and send its intermediates with it")
	}
	return next, nil
}

// answerProblem answers with what a remote caller may know of an error; status
// 0 is that of the error's kind.
func (e *Enforcer) answerProblem(w http.ResponseWriter, r *http.Request, f *flight, err error, status int) {
	p := fault.ProblemOf(err)
	if status != 0 {
		p.Status = status
	}
	p.RequestID = f.requestID()
	if p.Status == http.StatusInternalServerError {
		e.log.Error("a client's renewal failed", "request_id", p.RequestID, "fingerprint", f.client.fingerprint(), "error", err)
	}
	e.answerValue(w, r, f, "application/problem+json", p.Status, p)
}

func (e *Enforcer) answerValue(w http.ResponseWriter, r *http.Request, f *flight, kind string, status int, value any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // the type and nosniff keep it from being HTML
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		e.renderFailed(f, err)
		e.answer(w, r, f, http.StatusInternalServerError)
		return
	}
	setPageHeader(w, kind, ourPageCSP, f.requestID())
	write(w, r, f, status, body.Bytes())
}
