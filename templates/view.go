package templates

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// A view is a message as the templates read it.
type view struct {
	Message
	Title   string
	Entries []entryView // at most Spelled
	More    int         // how many are counted only
	Many    bool        // there are more than Spelled, so that a mail has the table of all
	Single  bool
	Upload  bool // some entry can be renewed by upload

	// Overview is a digest's table, most urgent first, under its heading.
	Heading  overviewRow
	Overview []overviewRow
}

// An overviewRow says in one line what an entry of a digest tells.
type overviewRow struct {
	Number string
	Left   string // time to the end or since, or what happened in its place
	Day    string // of the end, in UTC
	Clock  string
	What   string
	Urgent bool
}

// An entryView is one entry of a message.
type entryView struct {
	Number int // from 1
	Title  string
	End    string // RFC 3339; empty for a failure notice
	Rows   []row
	Advice string   // what to do next, a sentence; may be empty
	Link   string   // where a person does it; may be empty
	Others []Link   // what else a person can do about the item
	Steps  []string // commands, any one of which does what is advised
	Detail string   // the words of a failure notice, behind its title
	Urgent bool     // has expired, or failed
}

// A row is one fact about an item.
type row struct {
	Label string
	Value string
	Brief string // the same where space is scarce
	Whole bool   // never broken over lines, so that it can be copied
}

// Breakable returns the value in pieces between which a line may end.
func (r row) Breakable() []string { return strings.SplitAfter(r.Value, ",") }

func (m Message) view() view {
	v := view{Message: m, Title: m.Headline(), Single: len(m.Entries) == 1}
	if m.Test {
		return v
	}
	spelled := families(m.Entries)
	spelled = spelled[:min(len(spelled), Spelled)]
	v.More, v.Many = len(m.Entries), len(m.Entries) > Spelled
	for i, f := range spelled {
		v.More -= len(f)
		v.Entries = append(v.Entries, m.family(i+1, f))
		v.Upload = v.Upload || len(f) == 1 && uploadable(f[0])
	}
	if len(spelled) > 1 {
		v.Heading = overviewRow{Number: "#", Left: "Left", Day: "Ends", Clock: "(UTC)", What: "What"}
		for i, f := range spelled {
			v.Overview = append(v.Overview, m.familyRow(i+1, f))
		}
	}
	return v
}

// RenewWords are what stands on the link by which an item is renewed.
func (view) RenewWords() string { return linkWords[LinkRenew] }

func (m Message) overview(number int, e alert.Entry) overviewRow {
	r := overviewRow{Number: strconv.Itoa(number), Left: clean(string(e.Alert.Event)), Urgent: m.urgent(e)}
	if e.Item == nil {
		r.What = m.title(e)
		return r
	}
	if e.Alert.Event == alert.EventExpiring {
		r.Left = alert.FormatLeft(e.Item.NotAfter, m.Now)
		r.Left = strings.TrimPrefix(strings.TrimPrefix(r.Left, "in "), "expired ")
		r.Left = strings.Replace(r.Left, "less than a minute", "< 1 min", 1)
	}
	end := e.Item.NotAfter.UTC()
	r.Day, r.Clock = end.Format(time.DateOnly), end.Format("15:04")
	r.What = kindWord(e.Item.Kind) + " " + itemName(*e.Item)
	return r
}

// urgent reports whether an entry tells of what has ended or failed.
func (m Message) urgent(e alert.Entry) bool {
	return m.state(e) == "expired" || e.Alert.Event == alert.EventFailed
}

func (m Message) entry(number int, e alert.Entry) entryView {
	v := entryView{Number: number, Title: m.title(e), Urgent: m.urgent(e)}
	if e.Item == nil {
		_, v.Detail = splitDetail(e.Alert.Detail)
		return v
	}
	v.End = e.Item.NotAfter.UTC().Format(time.RFC3339)
	v.Rows = m.rows(e)
	v.Advice = m.advice(e)
	v.Steps = m.steps(e)
	for _, l := range m.Links[e.Item.ID] {
		switch {
		case l.For != LinkRenew:
			v.Others = append(v.Others, l)
		case uploadable(e):
			v.Link = l.URL
		}
	}
	return v
}

// rows are the facts by which people find the item; empty ones are left out.
func (m Message) rows(e alert.Entry) []row {
	i := e.Item
	end := "Expires"
	switch {
	case e.Alert.Event == alert.EventRenewed && e.Successor != nil:
		end = "Old end"
	case i.Kind == alert.KindCRL:
		end = "Next update"
	case m.state(e) == "expired":
		end = "Expired"
	}
	threshold := ""
	if e.Alert.Event == alert.EventExpiring {
		threshold = alert.FormatThreshold(e.Alert.Threshold) + " before the end"
		if e.Alert.Threshold < 0 {
			threshold = alert.FormatThreshold(-e.Alert.Threshold) + " after the end"
		}
	}
	all := []row{
		{Label: "New end", Value: successorEnd(e.Successor, m.Now)},
		{Label: end, Value: i.NotAfter.UTC().Format(time.RFC3339) + " (" + alert.FormatLeft(i.NotAfter, m.Now) + ")"},
		{Label: "Subject", Value: i.Subject},
		{Label: "Issuer", Value: i.Issuer},
		{Label: "Serial", Value: i.Serial},
		{Label: "SHA-256", Value: i.Fingerprint, Whole: true},
		list("Names", i.SANs),
		list("Hostnames", i.Hostnames),
		list("Bundles", i.Bundles),
		list("Labels", labels(i.Labels)),
		{Label: "Threshold", Value: threshold},
		{Label: "Status", Value: handling(e)},
	}
	all = append(all, m.facts(*i)...)
	var rows []row
	for _, r := range all {
		if whole := OneLine(r.Value); whole != "" {
			r.Value, r.Brief = Cut(whole, maxValue), Cut(cmp.Or(OneLine(r.Brief), whole), maxBrief)
			rows = append(rows, r)
		}
	}
	return rows
}

// Short are the rows that tell one item of a digest from the next.
func (e entryView) Short() []row {
	var rows []row
	for n, r := range e.Rows {
		if n == 0 || slices.Contains([]string{"Serial", "Hostnames", "Bundles", "In use by", "Last seen", "Renewed by", "Renewed by?"}, r.Label) {
			rows = append(rows, r)
		}
	}
	return rows
}

// handling says who takes care of an item that expires.
func handling(e alert.Entry) string {
	if h := e.Item.Handling; h != nil && e.Alert.Event == alert.EventExpiring {
		return h.Words()
	}
	return ""
}

func successorEnd(i *alert.Item, now time.Time) string {
	if i == nil {
		return ""
	}
	return i.NotAfter.UTC().Format(time.RFC3339) + " (" + alert.FormatLeft(i.NotAfter, now) + "), serial " + i.Serial
}

// list is a row of several values.
func list(label string, values []string) row {
	return row{Label: label, Value: few(values, maxValue), Brief: few(values, maxBrief)}
}

// few lists the first values by name, as long as the list is no longer than
// length, and counts the rest.
func few(values []string, length int) string {
	const most, room = 20, len(" and 1000000 more")
	length -= room
	list := ""
	for n, v := range values {
		if n == most || n > 0 && len(list)+len(v) > length {
			return fmt.Sprintf("%s and %d more", list, len(values)-n)
		}
		if n > 0 {
			list += ", "
		}
		list += Cut(v, length)
	}
	return list
}

func labels(m map[string]string) []string {
	var pairs []string
	for k, v := range m {
		pairs = append(pairs, k+"="+v)
	}
	slices.Sort(pairs)
	return pairs
}

// uploadable reports whether a renewed certificate is what the entry asks for.
func uploadable(e alert.Entry) bool {
	return e.Item != nil && e.Alert.Event == alert.EventExpiring && !stillUsed(e) &&
		(e.Item.Kind == alert.KindCA || e.Item.Kind == alert.KindClient)
}

// advice says what to do next.
func (m Message) advice(e alert.Entry) string {
	if e.Alert.Resolves() {
		return adviceOver(e)
	}
	if e.Alert.Event != alert.EventExpiring {
		return ""
	}
	switch e.Item.Kind {
	case alert.KindCA:
		if stillUsed(e) {
			return "Its successor is in place. Issue new certificates to the clients that it alone vouches for."
		}
		if m.state(e) == "expired" {
			return "Nobody with a certificate of this CA is admitted any more. Issue its new certificate and hand it in:"
		}
		return "Issue the CA's new certificate and hand it in (the old one stays trusted until it ends):"
	case alert.KindClient:
		if stillUsed(e) {
			return "The renewed certificate is stored, and clients present the old one all the same: install the new one where the old one was seen."
		}
		return "Issue a new certificate for the same subject, install it at the client, and hand it in:"
	case alert.KindServer:
		if files := filesOf(*e.Item); files != "" {
			return "Replace its certificate and key files (" + files + "); they are read again when they change."
		}
		return "Install a renewed certificate where it is served."
	case alert.KindCRL:
		return "Have its issuer publish a fresh revocation list and hand it in:"
	}
	return ""
}

// adviceOver says what is true of an item now whose watch had ended.
func adviceOver(e alert.Entry) string {
	if e.Item.Trust == alert.Trusted && e.Item.Watched() && e.Item.Kind != alert.KindCRL {
		return "It is watched again by now."
	}
	switch e.Alert.Event {
	case alert.EventRenewed:
		return "Nothing is left to do, unless the old one stays in use: that is told."
	case alert.EventRevoked:
		return "It is trusted no longer, and no more is said of its end."
	case alert.EventIgnored:
		if undoable(e) {
			return "No more is said of its end, which comes all the same. To take that back:"
		}
		return "No more is said of its end."
	case alert.EventRemoved:
		return "It is watched no longer, and no more is said of its end."
	case alert.EventExpiring, alert.EventReport, alert.EventFailed:
	}
	return ""
}

// undoable reports whether an entry tells of an item that is still ignored.
func undoable(e alert.Entry) bool {
	return e.Alert.Event == alert.EventIgnored && e.Item.Trust == alert.Trusted && e.Item.Watch == alert.Ignored
}

func filesOf(i alert.Item) string {
	var files []string
	for _, s := range i.Sources {
		if s.Kind == alert.SourceFile || s.Kind == alert.SourceConfig {
			files = append(files, clean(s.Reference))
		}
	}
	return few(files, maxBrief)
}

// steps are the exact commands that carry the advice out.
func (m Message) steps(e alert.Entry) []string {
	switch {
	case uploadable(e):
		return []string{
			"certvigil cert renew " + prefix(e.Item.ID) + " new.pem",
			"curl --data-binary @new.pem -H \"Authorization: Bearer $TOKEN\" '" + m.RenewURL(*e.Item) + "'",
		}
	case undoable(e):
		return []string{"certvigil cert ignore --undo " + prefix(e.Item.ID)}
	case e.Alert.Event == alert.EventExpiring && e.Item.Kind == alert.KindCRL:
		return []string{"certvigil crl add new.crl"}
	}
	return nil
}

// RenewURL returns where an item's renewed certificate is posted to.
func (m Message) RenewURL(i alert.Item) string {
	return m.AdminURL + "/renewals?item=" + url.QueryEscape(i.ID)
}

// prefix is enough of an id to name its item on the command line.
func prefix(id string) string { return clean(id[:min(len(id), 8)]) }
