package enforcer

import (
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// A subject is what of a request its admission depends on. It is read-only, so
// that the sweep can judge the request again while it is being served.
type subject struct {
	client *client
	host   string     // as spelled by the request
	target url.URL    // a copy
	addr   netip.Addr // of the client behind trusted proxies

	preflight bool // asks for what CORS preflights ask
}

// A decision is the outcome for a request in one snapshot.
type decision struct {
	seq     uint64
	until   time.Time     // when time alone may change it; zero means never
	status  int           // 0: pass on; else the status of the answer
	reason  Reason        // why it is refused, or would be in report-only mode
	policy  string        // that decided; "" if none did
	action  Action        // that admitted; "" if none did
	session time.Duration // of whom the policy admitted; 0 = the application's
	own     bool          // a path that the gateway answers itself
	site    *site
	app     *application
	name    string // the normalised host name; "" if unknown
	verdict *verdict
}

// settle decides what becomes of a request: it is answered by the gateway
// itself, refused or passed on.
func (s *snapshot) settle(sub *subject, r *http.Request, now time.Time, trace *[]step) decision {
	if !originForm(r) {
		// CONNECT and OPTIONS * name no path that an application could guard.
		return decision{seq: s.seq, reason: ReasonBadTarget, status: http.StatusBadRequest, verdict: noCertificate}
	}
	d := s.judgeTracing(sub, now, trace)
	if d.site != nil && isOwn(r.URL.Path) {
		// What the policies say of the path is not asked, so it is not told.
		return decision{seq: d.seq, site: d.site, app: d.app, name: d.name, verdict: d.verdict, own: true}
	}
	return d
}

// judge decides about a request. It fails closed: a decision passes only by
// the action of a policy, or by the report-only mode of its application.
func (s *snapshot) judge(sub *subject, now time.Time) decision { return s.judgeTracing(sub, now, nil) }

func (s *snapshot) judgeTracing(sub *subject, now time.Time, trace *[]step) decision {
	d := decision{seq: s.seq, verdict: noCertificate}
	route, reason, status := s.routeTo(sub.client, sub.host)
	if status != 0 {
		d.reason, d.status = reason, status
		return d
	}
	d.site, d.name = route.site, route.name
	d.verdict = s.verdict(sub.client, route.set, now)
	d.until = d.verdict.until
	app, ambiguous := route.site.application(&sub.target)
	switch {
	case ambiguous:
		d.reason, d.status = ReasonBadPath, http.StatusBadRequest
		return d
	case app == nil:
		d.reason, d.status = ReasonNoApplication, http.StatusForbidden
		return d
	}
	d.app = app
	if sub.preflight && app.preflight {
		d.action = Bypass // of nobody: nothing is told of the client
		return d
	}
	d.decideBy(decide(app.policies, facts{sub.client, d.verdict, sub.addr}, trace))
	if d.action == "" && !app.reportOnly {
		d.status = http.StatusForbidden
	}
	return d
}

func (d *decision) decideBy(p *policy, why Reason) {
	d.reason = why
	if p == nil {
		return
	}
	d.policy, d.session = p.name, p.session
	if why == "" {
		d.action = p.action
	}
}

// identified reports whether the origin is told who the client is: never by
// a bypass, which asserts nothing.
func (d *decision) identified() bool { return d.verdict.valid && d.action != Bypass }

func (d *decision) application() string {
	if d.app == nil {
		return ""
	}
	return d.app.name
}
