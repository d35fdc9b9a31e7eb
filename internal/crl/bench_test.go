package crl_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"math/big"
	"runtime"
	"sync"
	"testing"

	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/crl"
)

const million = 1_000_000

// serialOf returns the i-th of the serial numbers of 20 octets that the large
// lists have; none follows from another.
func serialOf(i int) *big.Int {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
	sum[0] = sum[0]&0x7F | 0x40
	return new(big.Int).SetBytes(sum[:20])
}

func serialsOf(from, n int) []*big.Int {
	serials := make([]*big.Int, n)
	for i := range serials {
		serials[i] = serialOf(from + i)
	}
	return serials
}

var largeList = sync.OnceValue(func() []byte {
	return certtest.NewCA().CRL(certtest.RevokeSerials(serialsOf(0, million)...))
})

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkParse_1000000(b *testing.B) {
	der := largeList()
	before := heap()
	b.ReportAllocs()
	var l *crl.List
	for b.Loop() {
		l = mustParse(b, der)
	}
	b.ReportMetric(float64(heap()-before)/(1<<20), "MiB-steady")
	if l.Len() != million {
		b.Errorf("%d entries", l.Len())
	}
	runtime.KeepAlive(der)
}

func BenchmarkParse_1000000_x509(b *testing.B) {
	der := largeList()
	before := heap()
	b.ReportAllocs()
	var l *x509.RevocationList
	for b.Loop() {
		var err error
		if l, err = x509.ParseRevocationList(der); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(heap()-before)/(1<<20), "MiB-steady")
	runtime.KeepAlive(l)
	runtime.KeepAlive(der)
}

// BenchmarkRevokes asks for so many different numbers that no cache of the
// processor holds all that they touch.
func BenchmarkRevokes_1000000(b *testing.B) {
	l := mustParse(b, largeList())
	const asked = 1 << 16
	for _, bm := range []struct {
		name    string
		serials []*big.Int
		want    bool
	}{
		{"hit", serialsOf(0, asked), true},
		{"miss", serialsOf(million, asked), false},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if l.Revokes(bm.serials[i%asked]) != bm.want {
					b.Fatal("wrong answer")
				}
				i++
			}
		})
	}
}

// TestBudget holds what does not depend on the machine: a lookup allocates
// nothing, and a million of entries take at most 40 MiB.
func TestBudget(t *testing.T) { // not parallel: it counts allocations
	const n = 20_000
	ca := certtest.NewCA()
	l := mustParse(t, ca.CRL(certtest.RevokeSerials(serialsOf(0, n)...)))
	if l.Len() != n {
		t.Fatalf("%d entries", l.Len())
	}
	for i := range n {
		if !l.Revokes(serialOf(i)) || l.Revokes(serialOf(n+i)) {
			t.Fatalf("serial %d: %t, %d: %t", i, l.Revokes(serialOf(i)), n+i, l.Revokes(serialOf(n+i)))
		}
	}
	if got := float64(l.Footprint()) / n * million / (1 << 20); got > 40 {
		t.Errorf("a million of entries would take %.1f MiB", got)
	}
	listed, other := serialOf(0), serialOf(n)
	if got := testing.AllocsPerRun(100, func() { l.Revokes(listed); l.Revokes(other) }); got != 0 {
		t.Errorf("%v allocations in two lookups", got)
	}
	der := ca.CRL(certtest.RevokeSerials(serialsOf(0, n)...))
	if got := testing.AllocsPerRun(3, func() { mustParse(t, der) }); got > 200 {
		t.Errorf("%v allocations to parse %d entries", got, n)
	}
}
