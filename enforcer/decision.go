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
	target *url.URL   // a copy
	addr   netip.Addr // of the client behind trusted proxies

	preflight bool // asks for what CORS preflights ask
}

// A decision is the outcome for a request in one snapshot.
type decision struct {
	seq     uint64
	until   time.Time // when time alone may change it; zero means never
	status  int       // 0: pass on; else the status of the answer
	reason  Reason    // why it is refused, or would be in report-only mode
	policy  string    // that decided; "" if none did
	action  Action    // that admitted; "" if none did
	site    *site
	app     *application
	name    string // the normalised host name; "" if unknown
	verdict *verdict
}

// judge decides about a request. It fails closed: a decision passes only by
// the action of a policy, or by the report-only mode of its application.
func (s *snapshot) judge(sub *subject, now time.Time) decision {
	d := decision{seq: s.seq, verdict: noCertificate}
	route, reason, status := s.routeTo(sub.client, sub.host)
	if status != 0 {
		d.reason, d.status = reason, status
		return d
	}
	d.site, d.name = route.site, route.name
	d.verdict = s.verdict(sub.client, route.set, now)
	d.until = d.verdict.until
	app, ambiguous := route.site.application(sub.target)
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
	d.action, d.policy, d.reason = decide(app.policies, facts{d.verdict, sub.addr})
	if d.action == "" && !app.reportOnly {
		d.status = http.StatusForbidden
	}
	return d
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
