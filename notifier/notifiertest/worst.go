package notifiertest

import (
	"fmt"
	"strings"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
)

// Injected begins each line, header or mark-up that [WorstCases] tries to smuggle
// in, where no message may show it as its own.
const Injected = "X-Evil: 1"

// nasty is what somebody may write into a certificate: line breaks before a
// header and a dot, mark-up of every kind, ends of strings, a change of the
// direction of writing, emoji of several code points, marks upon marks, control
// and invisible characters, and bytes that are no text at all.
var nasty = strings.Join([]string{
	"Eve\r\n" + Injected + "\r\n.\r\n", "<script>alert(1)</script><b onload=x>", `"},"x":{"y":"\`, "{{.AdminURL}}", "*b* _i_ ~s~ `c` ```",
	"[click](https://evil.example)", "<https://evil.example|click> <!channel> <users/all> @everyone",
	"\u202Egnp.exe\u2066", "👩\u200d👩\u200d👧\u200d👦👍🏽🇩🇪🇫🇷", "e" + strings.Repeat("\u0301", 40), "שלום عليكم", "\x00\x1b[31m\x07\u2028\u2029\ufeff", "\xff\xfe\xc3",
}, " ")

// WorstCases returns messages that hold the worst that a certificate, a
// configuration and a counterpart can say, by name: a subject of 10 KB, 500 host
// names, and every text nasty.
func WorstCases() map[string]notifier.Message {
	digest := Digest(40)
	for i := range digest.Entries {
		worsen(digest.Entries[i].Item, i)
	}
	mixed := Mixed()
	for i, e := range mixed.Entries {
		if e.Item != nil {
			worsen(e.Item, i)
		}
	}
	one, over, failure, test, plain := One(), Renewed(), Failure(), Test(), Worst()
	worsen(one.Entries[0].Item, 1)
	worsen(over.Entries[0].Item, 2)
	failure.Entries[0].Alert.Detail = strings.Repeat(strings.ReplaceAll(nasty, "\r\n", " ")+"\n", 40)
	messages := map[string]notifier.Message{"one": one, "renewed": over, "digest": digest, "mixed": mixed, "failure": failure, "test": test, "plain": plain}
	for name, m := range messages {
		m.Rule, m.Channel, m.Facts = nasty, nasty, worstFacts(m.Entries)
		messages[name] = m
	}
	return messages
}

// worstFacts are the worst that may be known of the use of items.
func worstFacts(entries []alert.Entry) map[string]alert.Facts {
	facts := map[string]alert.Facts{}
	for _, e := range entries {
		if e.Item == nil {
			continue
		}
		known := alert.Facts{Dependents: 1 << 30}
		for range 3 {
			known.Recent = append(known.Recent, alert.Dependent{ItemID: e.Item.ID, Name: e.Item.Subject, Hostname: nasty, LastSeen: Now})
			known.Successors = append(known.Successors, *e.Item)
		}
		facts[e.Item.ID] = known
	}
	return facts
}

// worsen makes everything about an item nasty that somebody else wrote.
func worsen(i *alert.Item, n int) {
	long := strings.Repeat(nasty, 10<<10/len(nasty)+1)[:10<<10]
	i.CommonName, i.Subject, i.Issuer = nasty, "CN="+long, "CN="+strings.Repeat("👩\u200d👧", 1500)+long
	i.Serial = strings.Repeat("F", 5000)
	i.Labels = map[string]string{nasty: long, "team": nasty}
	i.SANs, i.Hostnames, i.Bundles = nil, nil, nil
	i.Sources = []alert.Source{{Kind: alert.SourceUpload, Reference: nasty, LastSeen: Now}}
	for k := range 500 {
		i.Sources = append(i.Sources, alert.Source{Kind: alert.SourceObserved, Reference: fmt.Sprint(k, nasty), LastSeen: Now})
		i.Hostnames = append(i.Hostnames, fmt.Sprintf("host-%03d.%s.example.com", k, strings.Repeat("a", 60)))
		i.SANs = append(i.SANs, fmt.Sprintf("uri:https://example.com/%d/%s", k, nasty))
		i.Bundles = append(i.Bundles, fmt.Sprintf("bundle %d %s", k, nasty))
	}
	i.Sources = []alert.Source{{Kind: alert.SourceFile, Reference: "/etc/" + long}}
	i.Epoch = n + 1
}
