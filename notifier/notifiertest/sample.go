// Package notifiertest holds what the tests of messages and channels share:
// samples and golden files.
package notifiertest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/templates"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Golden compares got with testdata/NAME.golden, or rewrites it with -update.
func Golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

// Now is the time of all samples.
var Now = time.Date(2026, 9, 30, 8, 0, 0, 0, time.UTC)

// Item returns a plausible item of that kind and name that ends after left.
func Item(kind alert.Kind, name string, left time.Duration) alert.Item {
	digit := strings.Repeat(fmt.Sprintf("%x", len(name)%16), 8)
	return alert.Item{
		ID:          digit + "-5f60-4718-93a4-b5c6d7e8f901",
		Kind:        kind,
		Fingerprint: strings.Repeat("af363dc8", 8),
		Subject:     "CN=" + name + ",OU=Access,O=Example Corp,L=Austin,ST=Texas,C=US",
		Issuer:      "CN=Access Testing CA,OU=Access,O=Example Corp,L=Austin,ST=Texas,C=US",
		CommonName:  name,
		Serial:      "527E0F20A20EA2A4146C78390F34CE7AF0878CA4",
		NotBefore:   Now.Add(left).Add(-365 * alert.Day),
		NotAfter:    Now.Add(left),
		Trust:       alert.Trusted, Watch: alert.Active, Epoch: 1,
		Bundles:   []string{"access-testing"},
		Hostnames: []string{"orders.example.com", "*.internal.example.com"},
		Labels:    map[string]string{"team": "payments"},
		CreatedAt: Now.Add(-300 * alert.Day),
	}
}

// Entry returns an alert about an item, which is as the event leaves it.
func Entry(item alert.Item, threshold time.Duration, event alert.Event) alert.Entry {
	item.Trust, item.Watch = alert.StateAfter(event)
	return alert.Entry{
		Alert: alert.Alert{
			ID: alert.ID(item.ID, item.Epoch, "default", threshold, event), Subject: item.ID, ItemID: item.ID,
			Epoch: item.Epoch, Rule: "default", Threshold: threshold, Event: event, CreatedAt: Now,
		},
		Item: &item,
	}
}

// Message returns a message that holds the entries.
func Message(entries ...alert.Entry) notifier.Message {
	return notifier.Message{
		ID: "0123456789abcdef0123456789abcdef", Channel: "oncall", Recipient: "oncall@example.com", Rule: "default",
		Entries: entries, Attempt: 1, CreatedAt: Now.Add(-time.Minute), Now: Now, AdminURL: "https://certvigil.example.com",
	}
}

// One tells of one CA, with a link.
func One() notifier.Message {
	m := Message(Entry(Item(alert.KindCA, "Access Testing CA", 13*alert.Day+4*time.Hour), 14*alert.Day, alert.EventExpiring))
	m.Links = map[string][]templates.Link{m.Entries[0].Item.ID: {{For: templates.LinkRenew, URL: Link}}}
	return m
}

// Link is the one that One has.
const Link = "https://certvigil.example.com/renew/AQFvHC8OPxtMHp1kD2tPbSoRAAAAAGmxWUA0lULHQBC_eel-X5wJCkYPVJ7KGygzGMmuR-Vj4NeO0w"

// Expired tells of a client certificate that has ended.
func Expired() notifier.Message {
	return Message(Entry(Item(alert.KindClient, "James Royal", -3*alert.Day), 14*alert.Day, alert.EventExpiring))
}

// Digest tells of n items of all kinds, most urgent first.
func Digest(n int) notifier.Message {
	kinds := []alert.Kind{alert.KindClient, alert.KindCA, alert.KindServer, alert.KindCRL}
	var entries []alert.Entry
	for i := range n {
		item := Item(kinds[i%len(kinds)], fmt.Sprintf("device-%02d", i+1), time.Duration(i-1)*alert.Day+time.Hour)
		item.ID = fmt.Sprintf("%08x-5f60-4718-93a4-b5c6d7e8f901", i+1)
		if item.Kind == alert.KindServer {
			item.Sources = []alert.Source{{Kind: alert.SourceConfig, Reference: "/etc/certvigil/server.pem"}}
		}
		entries = append(entries, Entry(item, 30*alert.Day, alert.EventExpiring))
	}
	return Message(entries...)
}

// Over tells that what was told before needs no more care.
func Over() notifier.Message {
	renewed, next := Item(alert.KindClient, "device-1", 5*alert.Day), Item(alert.KindClient, "device-1", 370*alert.Day)
	revoked, removed := Item(alert.KindClient, "device-2", 6*alert.Day), Item(alert.KindCA, "Former CA", 7*alert.Day)
	ignored := Item(alert.KindClient, "device-3", 8*alert.Day)
	next.Serial = "0A0B"
	m := Message(Entry(renewed, 0, alert.EventRenewed), Entry(revoked, 0, alert.EventRevoked), Entry(removed, 0, alert.EventRemoved),
		Entry(ignored, 0, alert.EventIgnored))
	m.Entries[0].Successor = &next
	return m
}

// Failure announces that a channel fails.
func Failure() notifier.Message {
	subject := "channel:ops-slack@2026-09-30T08:00:00Z"
	return Message(alert.Entry{Alert: alert.Alert{
		ID: alert.ID(subject, 0, "default", 0, alert.EventFailed), Subject: subject, Rule: "default", Event: alert.EventFailed,
		Detail: "Certvigil cannot deliver through the channel \"ops-slack\"\nIt says: answered 404 Not Found: no_service\n" +
			"Its messages wait. They go as soon as it works again.",
		CreatedAt: Now,
	}})
}

// Renewed tells that the CA of One was renewed.
func Renewed() notifier.Message {
	m := Message(Entry(*One().Entries[0].Item, 0, alert.EventRenewed))
	m.ID, m.Now = "123456789abcdef0123456789abcdef0", Now.Add(alert.Day)
	return m
}

// Revoked tells that a client certificate was revoked.
func Revoked() notifier.Message {
	return Message(Entry(Item(alert.KindClient, "James Royal", 20*alert.Day), 0, alert.EventRevoked))
}

// Worst tells of the worst that somebody's certificate may hold: line breaks
// that would forge headers, markup of all kinds, control characters, writing
// turned round, emoji, a subject of 10 KB and 500 hostnames.
func Worst() notifier.Message {
	const forged = "x\r\nBcc: all@example.com\r\n\r\n.\r\nQUIT\r\n<script>alert(1)</script>\x00\x1b[31m\u202egpj.exe\u2066<!channel>&`*_|=cmd() 👩‍👩‍👧‍👦 مرحبا 証明書"
	item := Item(alert.KindClient, forged, alert.Day+time.Hour)
	item.Subject = "CN=" + strings.Repeat("<b>&amp;'\"`", 1000)
	item.Issuer = "CN=" + forged + ",O=" + strings.Repeat("界", 3000)
	item.Serial, item.Bundles, item.Labels = "=1+1", []string{forged, ""}, map[string]string{forged: forged}
	item.Hostnames = nil
	for n := range 500 {
		item.Hostnames = append(item.Hostnames, fmt.Sprintf("%03d.%s.example.com", n, strings.Repeat("long-label.", 18)))
	}
	item.SANs = []string{"uri:https://evil.example/?a=<b>&c=\"d\"", "dns:" + forged}
	m := Message(Entry(item, alert.Day, alert.EventExpiring))
	m.Rule = "r\r\nX-Evil: 1 <@U012AB3CD>"
	return m
}

// Mixed tells of an item that expires, of two that are over, and of a failure.
func Mixed() notifier.Message {
	return Message(Digest(1).Entries[0], Renewed().Entries[0], Revoked().Entries[0], Failure().Entries[0])
}

// Test tries a channel out.
func Test() notifier.Message {
	m := Message()
	m.Rule, m.CreatedAt, m.Test = "", Now, true
	return m
}

// Samples are all samples by name.
func Samples() map[string]notifier.Message {
	return map[string]notifier.Message{
		"one": One(), "expired": Expired(), "digest": Digest(3), "long-digest": Digest(25), "failure": Failure(), "test": Test(),
		"renewed": Renewed(), "revoked": Revoked(), "over": Over(),
		"mixed": Mixed(),
	}
}
