package templates

import (
	"fmt"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// Spelled is how many entries of a digest are spelled out; the rest is counted.
const Spelled = 20

// A Message is what a delivery tells, at one moment. Its methods are pure.
type Message struct {
	ID       string        // the delivery's id
	Channel  string        // the channel's name
	Rule     string        // the alert rule's name
	Entries  []alert.Entry // most urgent first; ignored when Test is set
	Now      time.Time     // what the words are true for
	AdminURL string        // [admin] public_url, no trailing slash
	Test     bool          // made to try a channel out

	// FileTooLarge leaves the attachment of a mail out and says so.
	FileTooLarge bool

	// Links are what a person without a token can do, by item id; the most
	// important one first. They are secrets: they go to people alone.
	Links map[string][]Link

	Facts map[string]alert.Facts // by item id, of the items that are spelled out
}

// Headline returns the message in one line, without control characters and at
// most about 250 characters long: the subject of a mail, the title elsewhere.
func (m Message) Headline() string {
	switch {
	case m.Test:
		return fmt.Sprintf("[TEST] Certvigil can reach you through %q", clean(m.Channel))
	case len(m.Entries) == 0:
		return "Nothing to tell"
	case len(m.Entries) == 1:
		return m.title(m.Entries[0])
	}
	return fmt.Sprintf("%s; %s", m.count(), lowerFirst(m.title(m.Entries[0])))
}

// count says of a digest how many entries of which event it holds.
func (m Message) count() string {
	counts := map[string]int{}
	for _, e := range m.Entries {
		counts[m.state(e)]++
	}
	var parts []string
	for _, state := range []string{"expired", "expiring", "renewed", "revoked", "removed", "ignored", "failed"} {
		if n := counts[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	return strings.Join(parts, ", ")
}

// state is the event of an entry, with "expired" told apart from "expiring".
func (m Message) state(e alert.Entry) string {
	if e.Alert.Event == alert.EventExpiring && e.Item != nil && e.Item.NotAfter.Before(m.Now) {
		return "expired"
	}
	return string(e.Alert.Event)
}

// title says in one line what one entry tells.
func (m Message) title(e alert.Entry) string {
	if e.Item == nil {
		head, _ := splitDetail(e.Alert.Detail)
		return head
	}
	thing := fmt.Sprintf("%s %q", kindName(e.Item.Kind), itemName(*e.Item))
	if stillUsed(e) {
		thing += ", renewed but still in use,"
	}
	switch m.state(e) {
	case "expired":
		return thing + " " + alert.FormatLeft(e.Item.NotAfter, m.Now)
	case "expiring":
		return thing + " expires " + alert.FormatLeft(e.Item.NotAfter, m.Now)
	}
	return fmt.Sprintf("%s was %s", thing, clean(string(e.Alert.Event)))
}

// ItemTitle names an item in a sentence: its kind and its name in quotes.
func ItemTitle(i alert.Item) string {
	return fmt.Sprintf("%s %q", lowerFirst(kindName(i.Kind)), itemName(i))
}

// splitDetail parts the words of a failure notice into its first line, which
// is the headline, and the rest.
func splitDetail(detail string) (head, rest string) {
	head, rest, _ = strings.Cut(detail, "\n")
	if head = clean(head); head == "" {
		head = "A failure was reported"
	}
	return head, CleanLines(rest)
}

func kindName(k alert.Kind) string {
	switch k {
	case alert.KindCA:
		return "CA certificate"
	case alert.KindClient:
		return "Client certificate"
	case alert.KindServer:
		return "Server certificate"
	case alert.KindCRL:
		return "Revocation list"
	}
	return "Certificate"
}

// kindWord is the kind in one word.
func kindWord(k alert.Kind) string {
	switch k {
	case alert.KindCA, alert.KindCRL:
		return strings.ToUpper(string(k))
	}
	return clean(string(k))
}

// itemName is what people call an item: its common name, else what it has.
func itemName(i alert.Item) string {
	names := []string{i.CommonName}
	for _, san := range i.SANs {
		_, value, _ := strings.Cut(san, ":")
		names = append(names, value)
	}
	for _, name := range append(names, i.Subject, i.Issuer, "serial "+i.Serial) {
		if name = OneLine(name); name != "" {
			return Cut(name, 80)
		}
	}
	return "unnamed"
}

func lowerFirst(s string) string {
	if strings.HasPrefix(s, "CA ") || s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
