package enforcer

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
)

// A Question is a request that nobody has sent yet.
type Question struct {
	Host   string // of SNI and Host alike
	Path   string // as it would be sent, with or without a query
	Method string // "" = GET; OPTIONS is asked as a CORS preflight
	Chain  []*x509.Certificate
	Addr   netip.Addr // of the client, behind trusted proxies; the zero Addr is in no prefix
	At     time.Time
}

// The outcomes of a question.
const (
	OutcomeAdmitted  = "admitted"        // the origin answers
	OutcomeReported  = "would be denied" // the origin answers, by the report-only mode
	OutcomeDenied    = "denied"
	OutcomeOwn       = "answered by the gateway" // one of its own paths, on every host
	OutcomeHandshake = "no handshake"            // the TLS alert unrecognized_name
)

// An Explanation is what would become of a request, and why.
type Explanation struct {
	At          time.Time             `json:"at"`
	Host        string                `json:"host"` // normalised, where it can be
	Path        string                `json:"path"`
	Method      string                `json:"method"`
	Outcome     string                `json:"outcome"`
	Admitted    bool                  `json:"admitted"`         // passed on to the origin
	Status      int                   `json:"status,omitempty"` // of the gateway's answer; absent when it gives none of its own
	Reason      Reason                `json:"reason,omitempty"`
	Application string                `json:"application,omitempty"`
	Guards      string                `json:"guards,omitempty"` // host name and path of the application
	ReportOnly  bool                  `json:"report_only"`
	Authorities string                `json:"authorities_of,omitempty"` // the host name or wildcard whose CA set counts
	Bundles     []string              `json:"bundles"`                  // in that set
	Certificate *ExplainedCertificate `json:"certificate"`
	Policy      string                `json:"policy,omitempty"` // that decided
	Action      Action                `json:"action,omitempty"` // that admitted
	Policies    []ExplainedPolicy     `json:"policies"`         // in the order of evaluation, as far as it came
}

// An ExplainedCertificate is a leaf and the verdict on its chain.
type ExplainedCertificate struct {
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	Serial      string    `json:"serial"`
	Fingerprint string    `json:"fingerprint"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Valid       bool      `json:"valid"`
	Reason      Reason    `json:"reason,omitempty"`
	Detail      string    `json:"detail,omitempty"`
	Bundles     []string  `json:"bundles"` // whose anchors vouch for it
}

// An ExplainedPolicy is a policy that was come to.
type ExplainedPolicy struct {
	Name    string `json:"name"`
	Action  Action `json:"action"`
	Decides bool   `json:"decides"`
	Why     string `json:"why,omitempty"` // it does not
}

// Explain answers a question by the state that was applied last: by the very
// steps that a request takes, but for the network. It counts and logs nothing
// but a verdict.
func (e *Enforcer) Explain(q Question) (Explanation, error) {
	s := e.current.Load()
	if s == nil {
		return Explanation{}, fault.New(fault.Unavailable, "state", "there is no state to answer by")
	}
	r, err := q.request()
	if err != nil {
		return Explanation{}, err
	}
	x := Explanation{At: q.At, Host: q.Host, Path: q.Path, Method: r.Method, Bundles: []string{}, Policies: []ExplainedPolicy{}}
	c := &client{addr: q.Addr}
	c.present(q.Chain)
	c.name, _ = s.normalize(q.Host)
	if _, found := s.sites.find(c.name); !found {
		x.Outcome, x.Reason = OutcomeHandshake, ReasonNoApplication
		return x, nil
	}
	f := newFlight(c, s, r, nil)
	f.addr = q.Addr
	var trace []step
	d := s.settle(&f.subject, r, q.At, &trace)
	x.settle(&d, isHealthCheck(r))
	x.tellAuthorities(s, &d)
	if len(q.Chain) > 0 {
		x.Certificate = explainCertificate(q.Chain[0], d.verdict)
	}
	if !d.own {
		x.tellPolicies(trace)
	}
	return x, nil
}

// request makes the request that the question is about. It is never sent.
func (q *Question) request() (*http.Request, error) {
	target, err := url.ParseRequestURI(q.Path)
	if err != nil || !strings.HasPrefix(q.Path, "/") {
		return nil, refuse("path", "the path %q is none that a client can send", q.Path).
			WithHint("write it as in a request, from the root: /orders?id=7")
	}
	r := &http.Request{
		Method: q.Method, URL: target, Host: q.Host, RequestURI: q.Path, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody,
	}
	switch r.Method {
	case "":
		r.Method = http.MethodGet
	case http.MethodOptions:
		r.Header.Set("Origin", "https://origin.invalid")
		r.Header.Set("Access-Control-Request-Method", http.MethodGet)
	}
	return r.WithContext(context.Background()), nil
}

func (x *Explanation) settle(d *decision, health bool) {
	x.Status, x.Reason, x.Policy, x.Action = d.status, d.reason, d.policy, d.action
	if d.name != "" {
		x.Host = d.name
	}
	if d.app != nil {
		x.Application, x.Guards, x.ReportOnly = d.app.name, d.site.hostname+d.app.path, d.app.reportOnly
	}
	switch {
	case health, d.own:
		x.Outcome, x.Status, x.Reason = OutcomeOwn, 0, ""
	case d.status != 0:
		x.Outcome = OutcomeDenied
	case d.reason != "":
		x.Outcome, x.Admitted = OutcomeReported, true
	default:
		x.Outcome, x.Admitted = OutcomeAdmitted, true
	}
}

func (x *Explanation) tellAuthorities(s *snapshot, d *decision) {
	if d.site == nil {
		return
	}
	if name, _, ok := s.sets.lookup(d.name); ok {
		x.Authorities = name
	}
	for _, b := range s.authoritiesFor(d.name).bundles {
		x.Bundles = append(x.Bundles, b.name)
	}
}

func explainCertificate(leaf *x509.Certificate, v *verdict) *ExplainedCertificate {
	return &ExplainedCertificate{
		Subject: cert.SubjectDN(leaf), Issuer: cert.IssuerDN(leaf), Serial: cert.Serial(leaf), Fingerprint: cert.Fingerprint(leaf),
		NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(),
		Valid: v.valid, Reason: v.reason, Detail: v.detail, Bundles: append([]string{}, v.bundles...),
	}
}

func (x *Explanation) tellPolicies(trace []step) {
	for _, t := range trace {
		why := t.skip.cause
		if t.skip.selector != nil {
			why += ": " + t.skip.selector.text
		}
		x.Policies = append(x.Policies, ExplainedPolicy{Name: t.policy.name, Action: t.policy.action, Decides: why == "", Why: why})
	}
}
