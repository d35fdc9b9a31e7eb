package templates

// What the links of a message are for.
const (
	LinkRenew  = "renew"  // hands in the renewed certificate
	LinkHandle = "handle" // acknowledges or snoozes
)

// A Link is an address at which a person without a token does something about
// an item. It opens a page that asks first: what follows links by itself, such
// as a mail scanner, changes nothing. Links are secrets: they go to people
// alone, never to a log.
type Link struct {
	For string // one of the constants above
	URL string
}

// linkWords are what people read on a link.
var linkWords = map[string]string{
	LinkRenew:  "Hand in the renewed certificate",
	LinkHandle: "Acknowledge or snooze",
}

// Words returns what people read on the link.
func (l Link) Words() string { return linkWords[l.For] }

// LinkFor returns the address of an item's link of that kind, "" when there is
// none.
func (m Message) LinkFor(itemID, kind string) string {
	for _, l := range m.Links[itemID] {
		if l.For == kind {
			return l.URL
		}
	}
	return ""
}
