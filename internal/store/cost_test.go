package store_test

import (
	"encoding/binary"
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

var actor = inventory.Actor{Kind: inventory.ActorLocal, ID: "alice"}

// The cost of what runs again and again follows what it finds, not what is
// stored.
func TestQueries_UseTheirIndexes(t *testing.T) {
	t.Parallel()
	s := open(t)
	for name, row := range map[string]struct {
		query string
		args  []any
		want  []string
	}{
		"due":     {store.DueItems, []any{0}, []string{"items_due"}},
		"pending": {store.RipeItems, []any{0}, []string{"items_pending"}},
		"needed":  {store.NeededCA, []any{""}, []string{"sqlite_autoindex_items_2", "sqlite_autoindex_items_1"}},
		"unused":  {store.Unused, []any{0, 0}, []string{"items_used"}},
		"waiting": {store.Waiting, []any{"mail", 0, 0}, []string{"deliveries_waiting", "deliveries_leased"}},
		"serial, prefix": {
			`SELECT id FROM items WHERE serial = ? AND kind <> 'crl' OR id >= ? AND id < ? OR fingerprint >= ? AND fingerprint < ?`,
			[]any{"", "", "", "", ""},
			[]string{"items_serial", "sqlite_autoindex_items_1", "sqlite_autoindex_items_2"},
		},
		"revoked": {`SELECT fingerprint FROM items WHERE trust <> 'trusted' AND trust = 'revoked'`, nil, []string{"items_untrusted"}},
		"issuer":  {store.OfIssuer, []any{""}, []string{"items_issuer"}},
		"lists":   {store.InForce, nil, nil},
		"groups":  {`SELECT kind, watch, labels, COUNT(*) FROM items WHERE trust <> 'removed' GROUP BY kind, watch, labels`, nil, []string{"COVERING INDEX items_groups"}},
		"subject": {
			`SELECT id FROM items i WHERE i.kind = ? AND i.watch = ? AND i.subject = ? ORDER BY i.not_after, i.id`,
			[]any{"", "", ""},
			[]string{"items_subject"},
		},
	} {
		plan, err := s.Plan(t.Context(), row.query, row.args...)
		if err != nil {
			t.Fatal(err)
		}
		for _, index := range row.want {
			if !strings.Contains(plan, index) {
				t.Errorf("%s does not use %s:\n%s", name, index, plan)
			}
		}
		if name != "groups" && strings.Contains(plan, "SCAN i") {
			t.Errorf("%s reads everything:\n%s", name, plan)
		}
	}
}

// many returns n client certificates that differ in their last bytes only.
func many(from, n int) []inventory.NewItem {
	template := certtest.SelfSigned(certtest.CommonName("many"), certtest.Validity(start.Add(-alert.Day), start.Add(300*alert.Day))).Certificate
	list := make([]inventory.NewItem, n)
	for i := range list {
		c := *template
		c.Raw = binary.BigEndian.AppendUint64(slices.Clone(template.Raw), uint64(from+i))
		list[i] = inventory.NewItem{Kind: alert.KindClient, Certificate: &c, Actor: actor, Source: alert.Source{Kind: alert.SourceUpload, Reference: "many"}}
	}
	return list
}

// stored is how many certificates the benchmarks have beside those they are about.
var stored = flag.Int("stored", 100_000, "certificates in the store of a benchmark")

// fill imports n certificates of which none is due.
func fill(b *testing.B, s *store.Store, n int) {
	b.Helper()
	const batch = 5000
	for from := 0; from < n; from += batch {
		if _, err := s.AddItems(b.Context(), many(from, min(batch, n-from))); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Scan(b.Context(), start, func(candidates []alert.Candidate) alert.Plan {
		next := make(map[string]time.Time, len(candidates))
		for _, c := range candidates {
			next[c.Item.ID] = c.Item.NotAfter
		}
		return alert.Plan{Next: next}
	}); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkScan_NothingDue(b *testing.B) {
	s := open(b)
	fill(b, s, *stored)
	for b.Loop() {
		if err := s.Scan(b.Context(), start, func([]alert.Candidate) alert.Plan { return alert.Plan{} }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkScan_1000Due has some of many become due, as on any day.
func BenchmarkScan_1000Due(b *testing.B) {
	s := open(b)
	fill(b, s, *stored)
	for n := *stored; b.Loop(); n += 1000 {
		b.StopTimer()
		if _, err := s.AddItems(b.Context(), many(n, 1000)); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := s.Scan(b.Context(), start, func(c []alert.Candidate) alert.Plan { return one("mail", c) }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScan_10000Due(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := open(b)
		for from := 0; from < 10_000; from += 5000 {
			if _, err := s.AddItems(b.Context(), many(from, 5000)); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		if err := s.Scan(b.Context(), start, func(c []alert.Candidate) alert.Plan { return one("mail", c) }); err != nil {
			b.Fatal(err)
		}
		if jobs, err := s.Claim(b.Context(), "w", "mail", start, start.Add(time.Minute), 1); err != nil || len(jobs[0].Entries) != 10_000 {
			b.Fatal(err)
		}
	}
}

func BenchmarkHasDue(b *testing.B) {
	s := open(b)
	fill(b, s, *stored)
	for b.Loop() {
		if due, err := s.HasDue(b.Context(), start); err != nil || due {
			b.Fatal(due, err)
		}
	}
}

func BenchmarkImport(b *testing.B) {
	s := open(b)
	const batch = 5000
	n := 0
	for b.Loop() {
		b.StopTimer()
		list := many(n, batch)
		b.StartTimer()
		if _, err := s.AddItems(b.Context(), list); err != nil {
			b.Fatal(err)
		}
		n += batch
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "certs/s")
}
