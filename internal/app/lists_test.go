package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/crl"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// A shelf holds lists as a store does.
type shelf struct {
	data  map[string][]byte
	reads int
	err   error
}

func (s *shelf) CRLData(_ context.Context, itemID string) ([]byte, error) {
	s.reads++
	return s.data[itemID], s.err
}

func (s *shelf) put(itemID string, ca *certtest.Certificate, der []byte) inventory.CRL {
	s.data[itemID] = der
	sum := sha256.Sum256(der)
	return inventory.CRL{
		Item: alert.Item{ID: itemID, Subject: "CN=" + itemID}, Digest: hex.EncodeToString(sum[:]), IssuerKey: cert.KeyHash(ca.Certificate),
	}
}

func TestListCache(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA()
	first, second := big.NewInt(71), big.NewInt(72)
	s, log := &shelf{data: map[string][]byte{}}, &record{}
	c := &listCache{store: s, log: slog.New(slog.NewTextHandler(log, nil))}
	load := func(stored ...inventory.CRL) []*crl.List {
		t.Helper()
		lists, err := c.load(t.Context(), stored)
		if err != nil {
			t.Fatal(err)
		}
		var out []*crl.List
		for _, l := range lists {
			if hex.EncodeToString(l.IssuerKey[:]) != stored[len(out)].IssuerKey {
				t.Error("a list is of another key")
			}
			out = append(out, l.List)
		}
		return out
	}
	one, two := s.put("one", ca, ca.CRL(certtest.RevokeSerials(first))), s.put("two", ca, ca.CRL())
	if lists := load(one, two); len(lists) != 2 || !lists[0].Revokes(first) || lists[1].Revokes(first) {
		t.Fatal("the lists do not say what they should")
	}
	before := s.reads
	kept := load(one, two)[0]
	if s.reads != before {
		t.Error("lists that did not change were read again")
	}
	broken := s.put("one", ca, []byte("garbage"))
	for range 2 {
		if lists := load(broken, two); len(lists) != 2 || lists[0] != kept || !c.unsound {
			t.Fatal("the last good list is not kept, or nobody is told")
		}
	}
	if n := strings.Count(log.String(), "the last good one stays in force"); n != 1 {
		t.Errorf("the alarm was given %d times, want once:\n%s", n, log)
	}
	mended := s.put("one", ca, ca.CRL(certtest.RevokeSerials(first, second)))
	if lists := load(mended, two); !lists[0].Revokes(second) || c.unsound {
		t.Error("the mended list is not in force")
	}
	if lists := load(two); len(lists) != 1 {
		t.Error("a removed list is in force")
	}
	// Nothing was ever known of this issuer: there is no last good list.
	if _, err := c.load(t.Context(), []inventory.CRL{two, s.put("three", ca, []byte("garbage"))}); fault.Hint(err) == "" {
		t.Errorf("a list that cannot be read: %v, want an error with a remedy", err)
	}
	s.err = errors.New("locked")
	if _, err := c.load(t.Context(), []inventory.CRL{one}); !errors.Is(err, s.err) {
		t.Errorf("a store that does not answer: %v", err)
	}
}

// addList stores a list as `crl add` does.
func (h *house) addList(ca *certtest.Certificate, der []byte, source string) inventory.CRL {
	h.t.Helper()
	list, err := crl.Parse(der)
	if err != nil {
		h.t.Fatal(err)
	}
	stored, _, err := h.store.AddCRL(h.t.Context(), inventory.NewCRL{List: list, DER: der, Issuer: ca.Certificate, Source: source})
	if err != nil {
		h.t.Fatal(err)
	}
	return stored
}

// A list that somebody adds counts within a second; one that cannot be read
// changes nothing, and is an alarm.
func TestState_RevocationLists(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(closed, "30d") })
	ca, client := h.admit()
	other := ca.Issue(certtest.Client(), certtest.CommonName("other"))
	answers := func(client *certtest.Certificate, status int) func() bool {
		return func() bool { answer, _ := h.ask(client, "/"); return answer.StatusCode == status }
	}
	eventually(t, "both admitted", func() bool { return answers(client, 200)() && answers(other, 200)() })
	stored := h.addList(ca, ca.CRL(certtest.Revoke(client), certtest.CRLNumber(1)), "")
	eventually(t, "one denied", answers(client, http.StatusForbidden))
	if !answers(other, 200)() {
		t.Error("the other is denied as well")
	}
	h.do(`UPDATE item_der SET der = x'00' WHERE item_id = ?`, stored.Item.ID)
	h.do(`UPDATE crls SET digest = 'other'`)
	h.do(`UPDATE meta SET value = value + 1 WHERE key = 'trust_generation'`)
	eventually(t, "the alarm", func() bool { return strings.Contains(h.metric(), "certvigil_trust_apply_success 0") })
	if !answers(client, http.StatusForbidden)() || !answers(other, 200)() {
		t.Error("a list that cannot be read is not in force as it was")
	}
	if err := h.store.SetKeyTrust(t.Context(), cert.KeyHash(other.Certificate), true, inventory.Actor{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other's key denied", answers(other, http.StatusForbidden))
}

// What a bundle may not vouch for is denied, and a configured grace counts.
func TestState_ConstraintsAndGrace(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := newHouse(t, func(h *house) string {
		return strings.Replace(h.guarding(closed, "30d"), "[enforcer]\n", "[enforcer]\ncrl_grace = \"1m\"\ncrl_stale = \"deny\"\n", 1)
	})
	ca, client := h.admit()
	status := func() int { answer, _ := h.ask(client, "/"); return answer.StatusCode }
	eventually(t, "admitted", func() bool { return status() == 200 })
	h.addList(ca, ca.CRL(certtest.Updates(now.Add(-48*time.Hour), now.Add(-2*time.Minute)), certtest.CRLNumber(1)), "")
	eventually(t, "denied for a list past its grace", func() bool { return status() == http.StatusForbidden })
	h.addList(ca, ca.CRL(certtest.Updates(now.Add(-time.Hour), now.Add(-30*time.Second)), certtest.CRLNumber(2)), "")
	eventually(t, "admitted within the grace", func() bool { return status() == 200 })
	h.do(`UPDATE bundles SET permit_cn = '["nobody"]'`)
	h.do(`UPDATE meta SET value = value + 1 WHERE key = 'trust_generation'`)
	eventually(t, "denied for its name", func() bool { return status() == http.StatusForbidden })
}
