package link_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/link"
)

const item = "6f1c2f0e-3f1b-4c1e-9d64-0f6b4f6d2a11"

var (
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	end   = start.Add(240 * time.Hour)
	key   = bytes.Repeat([]byte{7}, link.KeySize)
)

func signer(t testing.TB, key []byte, now time.Time) *link.Signer {
	t.Helper()
	s, err := link.New(key, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The form is in mails that were sent: another one would break them.
func TestSign_Golden(t *testing.T) {
	t.Parallel()
	const want = "AQFvHC8OPxtMHp1kD2tPbSoRAAAAAGmxWUA0lULHQBC_eel-X5wJCkYPVJ7KGygzGMmuR-Vj4NeO0w"
	if got := signer(t, key, start).Sign(link.Renew, item, end); got != want {
		t.Errorf("token %s, want %s", got, want)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	s := signer(t, key, start)
	good := s.Sign(link.Renew, item, end)
	other := signer(t, bytes.Repeat([]byte{8}, link.KeySize), start)
	for _, tt := range []struct {
		name, token string
		at          time.Time
		want        string // rule of the refusal
	}{
		{"good", good, start, ""},
		{"in its last second", good, end.Add(time.Second - 1), ""},
		{"after its end", good, end.Add(time.Second), "link_ended"},
		{"empty", "", start, "link"},
		{"cut off", good[:len(good)-1], start, "link"},
		{"with more behind it", good + "A", start, "link"},
		{"padded", good + "=", start, "link"},
		{"with a line break", good[:40] + "\n" + good[40:], start, "link"},
		{"of another key", other.Sign(link.Renew, item, end), start, "link"},
		{"for another purpose", s.Sign(2, item, end), start, "link"},
		{"of another key, and ended", other.Sign(link.Renew, item, start.Add(-time.Hour)), start, "link"},
	} {
		id, err := signer(t, key, tt.at).Open(link.Renew, tt.token)
		if fault.Rule(err) != tt.want || (tt.want == "") != (id == item) {
			t.Errorf("%s: %q, %v; want rule %q", tt.name, id, err, tt.want)
		}
		if err != nil && len(tt.token) > 20 && strings.Contains(err.Error()+fault.Hint(err), tt.token[:20]) {
			t.Errorf("%s: the error has the token: %v", tt.name, err)
		}
	}
}

// TestOpen_EachBitCounts turns every bit of a token, the signature's too.
func TestOpen_EachBitCounts(t *testing.T) {
	t.Parallel()
	s := signer(t, key, start)
	raw, err := base64.RawURLEncoding.DecodeString(s.Sign(link.Renew, item, end))
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(raw) {
		forged := bytes.Clone(raw)
		forged[bit/8] ^= 1 << (bit % 8)
		if id, err := s.Open(link.Renew, base64.RawURLEncoding.EncodeToString(forged)); fault.Rule(err) != "link" {
			t.Errorf("bit %d turned: %q, %v", bit, id, err)
		}
	}
}

func TestSign_NothingToSign(t *testing.T) {
	t.Parallel()
	s := signer(t, key, start)
	for _, id := range []string{"", "crl:1", item + "0"} {
		if got := s.Sign(link.Renew, id, end); got != "" {
			t.Errorf("item %q has the token %s", id, got)
		}
	}
	if got := s.Sign(link.Renew, item, time.Time{}); got != "" {
		t.Errorf("an item without an end has the token %s", got)
	}
}

func TestNew_KeySize(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, link.KeySize - 1, link.KeySize + 1} {
		if _, err := link.New(make([]byte, n), time.Now); err == nil {
			t.Errorf("a key of %d bytes is taken", n)
		}
	}
}

// FuzzOpen holds that only what was signed opens, in its one spelling.
func FuzzOpen(f *testing.F) {
	s := signer(f, key, start)
	good := s.Sign(link.Renew, item, end)
	for _, seed := range []string{good, good[:77], good + "A", "", "AQE", strings.ToLower(good), s.Sign(2, item, end)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		id, err := s.Open(link.Renew, token)
		if err == nil && (token != good || id != item) {
			t.Errorf("%q opens as %q", token, id)
		}
		if err != nil && fault.Rule(err) != "link" && fault.Rule(err) != "link_ended" {
			t.Errorf("%q: %v", token, err)
		}
	})
}
