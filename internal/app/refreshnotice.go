package app

import (
	"fmt"
	"net/url"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/notifier"
)

const (
	tellAfter = 10 * time.Minute // that a refresh failed; less is a hiccup
	urgent    = time.Hour        // before nextUpdate: then two failures are enough
)

// fallbackRule stands for notifier.fallback where a delivery names its rule.
const fallbackRule = "notifier.fallback"

// lasting reports whether a refresh that fails once more is to be told.
func lasting(l inventory.CRL, now time.Time) bool {
	if l.FailingSince == nil {
		return false
	}
	return now.Sub(*l.FailingSince) >= tellAfter || l.NextUpdate.Sub(now) < urgent
}

// refreshNotices announces that a list cannot be refreshed, to every recipient
// of the rules about it, once each; without such a rule, to the fallback. The
// same failing period yields the same notices, which the store writes once.
func (a *App) refreshNotices(l inventory.CRL, reason string, since, now time.Time) []alert.Notice {
	r := a.roster()
	n := announcement{subject: "crl:" + l.Item.ID + "@" + since.UTC().Format(time.RFC3339), detail: refreshDetail(l, reason, since), now: now, told: map[[2]string]bool{}}
	c, err := a.store.Candidate(a.run, l.Item.ID)
	if err != nil { // rather by the rules that do not ask for a CA than by none
		c = alert.Candidate{Item: l.Item}
	}
	for _, rule := range r.rules() {
		if !rule.Matches(c) {
			continue
		}
		var to []notifier.Route
		for _, t := range rule.AllTargets() {
			to = append(to, notifier.Route{Channel: t.Channel, Recipients: t.Recipients})
		}
		n.add(rule.Name, to)
	}
	if len(n.notices) == 0 {
		n.add(fallbackRule, routes(r.cfg, r.cfg.Notifier.Fallback))
	}
	if len(n.notices) == 0 {
		a.log.Error("failure announced to nobody: no rule covers the revocation list and there is no fallback", "issuer", l.Item.Subject)
	}
	return n.notices
}

// An announcement is one failure on its way to those who are to hear of it.
type announcement struct {
	subject, detail string
	now             time.Time
	told            map[[2]string]bool // channel and recipient
	notices         []alert.Notice
}

func (n *announcement) add(rule string, to []notifier.Route) {
	a := alert.NewFailure(n.subject, rule, n.detail, n.now)
	notice := alert.Notice{Alert: a}
	for _, route := range to {
		for _, recipient := range route.Recipients {
			if who := [2]string{route.Channel, recipient}; !n.told[who] {
				n.told[who] = true
				notice.Deliveries = append(notice.Deliveries, alert.NewDelivery(route.Channel, recipient, rule, []string{a.ID}, n.now))
			}
		}
	}
	if len(notice.Deliveries) > 0 {
		n.notices = append(n.notices, notice)
	}
}

func refreshDetail(l inventory.CRL, reason string, since time.Time) string {
	return fmt.Sprintf("Certvigil cannot refresh the revocation list of %s\n"+
		"Its source %s has been of no use since %s. The last attempt said: %s\n"+
		"The last good list stays in force. Its nextUpdate is %s; once the grace after it is over, every client of this CA is refused, unless enforcer.crl_stale is \"keep\".\n"+
		"It is tried again by itself. To see where it stands: certvigil crl list",
		l.Item.Subject, sourceName(l.Source), since.UTC().Format(time.RFC3339), reason, l.NextUpdate.UTC().Format(time.RFC3339))
}

// sourceName names a source without what may be secret in it.
func sourceName(source string) string {
	if !isURL(source) {
		return source
	}
	u, err := url.Parse(source)
	if err != nil {
		return "(an address)"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
