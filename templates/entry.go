package templates

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// The severities, most urgent first, in the words that receivers of alerts share.
const (
	SeverityCritical = "critical" // it has ended, or does so within a day
	SeverityError    = "error"    // it ends within a week, or something failed
	SeverityWarning  = "warning"
	SeverityInfo     = "info" // nothing is to be done
)

// An Entry is one entry of a message as programs and templates of one's own
// read it. Its texts are one line each, without control or invisible characters,
// and bounded; what is cut off is counted. Fields may be added, never renamed.
type Entry struct {
	ID        string // of the alert
	Key       string // the same for whatever is told of one item until that is renewed
	Event     string // expiring, renewed, revoked, removed, ignored or failed
	State     string // Event, or "expired" once an expiring item has ended
	Severity  string
	Resolved  bool   // an earlier alert of the same Key is over
	Title     string // what is told, in one line
	Detail    string // of a failure notice: its words behind the title, several lines
	Advice    string // what to do next, with the command for it; may be empty
	Threshold string // as configured, "14d"; empty unless Event is expiring
	RenewURL  string // where a program posts the renewed certificate
	Link      string // where a person hands it in; whoever has it may do so
	Links     []Link // everything that a person can do, that among it

	// Of the item; empty for failure notices.
	ItemID      string
	Kind        string // ca, client, server or crl
	Name        string // what people call it
	Subject     string
	Issuer      string
	Serial      string
	Fingerprint string
	SANs        []string
	Hostnames   []string
	Bundles     []string
	Labels      map[string]string
	UsedBy      string   // of a CA: how many clients were seen lately; empty where it is not known
	Dependents  []string // of a CA: the few of them that were seen last, each with where and when
	Seen        []string // of a client certificate: where and when, the latest first
	RenewedBy   string   // what took its place, though it is in use all the same: its id and end; else empty
	Successors  []string // look-alikes that end later, each with its id and end; nobody said that they take its place
	NotBefore   time.Time
	NotAfter    time.Time
	TimeLeft    string // "in 13 d 4 h", "expired 3 d ago"
	DaysLeft    int    // rounded up, 0 once it has ended
}

// maxListed is how many values a list of an [Entry] holds, one that counts the
// rest among them.
const maxListed = 20

// Describe returns an entry of the message as programs read it.
func (m Message) Describe(e alert.Entry) Entry {
	f := Entry{
		ID: e.Alert.ID, Key: e.Alert.Key(), Event: string(e.Alert.Event), State: m.state(e), Severity: m.severity(e),
		Resolved: e.Alert.Resolves(), Title: m.title(e),
	}
	if e.Alert.Event == alert.EventExpiring {
		f.Threshold = alert.FormatThreshold(e.Alert.Threshold)
	}
	if e.Item == nil {
		_, f.Detail = splitDetail(e.Alert.Detail)
		return f
	}
	i := *e.Item
	f.Advice = m.advice(e)
	if steps := m.steps(e); len(steps) > 0 {
		f.Advice += " " + steps[0]
	}
	if uploadable(e) {
		f.RenewURL, f.Link = m.RenewURL(i), m.LinkFor(i.ID, LinkRenew)
	}
	f.Links = m.Links[i.ID]
	m.describeUse(&f, i)
	f.ItemID, f.Kind, f.Name = clean(i.ID), string(i.Kind), itemName(i)
	f.Subject, f.Issuer, f.Serial, f.Fingerprint = clean(i.Subject), clean(i.Issuer), clean(i.Serial), clean(i.Fingerprint)
	f.SANs, f.Hostnames, f.Bundles, f.Labels = Listed(i.SANs), Listed(i.Hostnames), Listed(i.Bundles), labelled(i.Labels)
	f.NotBefore, f.NotAfter = i.NotBefore.UTC(), i.NotAfter.UTC()
	f.TimeLeft, f.DaysLeft = alert.FormatLeft(i.NotAfter, m.Now), alert.DaysLeft(i.NotAfter, m.Now)
	return f
}

// describeUse says who uses the item, and what may have taken its place.
func (m Message) describeUse(f *Entry, i alert.Item) {
	known, ok := m.Facts[i.ID]
	switch {
	case i.Kind == alert.KindClient:
		f.Seen = Listed(sightings(i))
	case i.Kind == alert.KindCA && ok:
		f.UsedBy, f.Dependents = users(known), Listed(recent(known))
	}
	f.RenewedBy, f.Successors = replacement(known), Listed(successors(known))
}

// severity is what an entry asks of people.
func (m Message) severity(e alert.Entry) string {
	switch {
	case e.Alert.Event == alert.EventFailed:
		return SeverityError
	case e.Alert.Event != alert.EventExpiring || e.Item == nil:
		return SeverityInfo
	}
	switch left := e.Item.NotAfter.Sub(m.Now); {
	case left <= alert.Day:
		return SeverityCritical
	case left <= 7*alert.Day:
		return SeverityError
	}
	return SeverityWarning
}

// Listed returns the values that fit into a message, and how many more there
// are as its last one. It is never nil.
func Listed(values []string) []string {
	out := make([]string, 0, min(len(values), maxListed))
	for n, v := range values {
		if n == maxListed-1 && len(values) > maxListed {
			return append(out, more(len(values)-n))
		}
		out = append(out, Cut(OneLine(v), maxBrief))
	}
	return out
}

// labelled is Listed for labels.
func labelled(labels map[string]string) map[string]string {
	out := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if len(out) == maxListed {
			out["…"] = more(len(labels) - maxListed)
			break
		}
		out[Cut(OneLine(key), maxBrief)] = Cut(OneLine(labels[key]), maxBrief)
	}
	return out
}

// more counts what a list leaves out.
func more(n int) string { return fmt.Sprintf("and %d more", n) }
