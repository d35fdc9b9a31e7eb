package crl

import (
	"hash/maphash"
	"iter"
	"math/bits"
)

// maxSerial is how many octets a serial number may have (RFC 5280 §4.1.2.2).
const maxSerial = 20

// An index is a set of serial numbers. It is an open-addressing table of places
// in one run of octets, so that a million of entries are two allocations
// without a pointer in them. The hash is keyed: nobody can make serial numbers
// that collide, and what decides is the number itself.
type index struct {
	seed   maphash.Seed
	packed []byte // of each number, its length in one octet, then its magnitude
	slots  []slot // a third of them are taken at most
	len    int
}

// A slot says where a number begins in packed, after its length; 0 is a free
// slot. The bits above are a part of the hash, a tag that saves most looks at
// other numbers.
type slot uint32

const (
	startBits = 26
	maxStart  = 1<<startBits - 1
)

// Every place is within packed, which is shorter than the list that it is of.
var _ [maxStart + 1 - MaxSize]struct{}

// newIndex returns an index with room for n numbers of so many octets in all.
func newIndex(n, octets int) index {
	const slotsPerNumber = 3
	return index{seed: maphash.MakeSeed(), packed: make([]byte, 0, n+octets), slots: make([]slot, slotsPerNumber*n)}
}

// add adds a number that there is room for. One that it has changes nothing.
func (x *index) add(magnitude []byte) {
	free, tag, found := x.find(magnitude)
	if found {
		return
	}
	x.packed = append(x.packed, byte(len(magnitude))) //nolint:gosec // at most maxSerial
	x.slots[free] = tag | slot(len(x.packed))         //nolint:gosec // at most maxStart, see above
	x.packed = append(x.packed, magnitude...)
	x.len++
}

// has reports whether the index has a number.
func (x *index) has(magnitude []byte) bool {
	if x.len == 0 {
		return false
	}
	_, _, found := x.find(magnitude)
	return found
}

// find returns the place of a number's slot or, when it is not found, of the
// free one where it belongs, and the tag that it gets. There is always a free
// one.
func (x *index) find(magnitude []byte) (at uint64, tag slot, found bool) {
	hash := maphash.Bytes(x.seed, magnitude)
	at, _ = bits.Mul64(hash, uint64(len(x.slots))) // the high bits choose the slot
	tag = slot(hash) &^ maxStart                   //nolint:gosec // some of the low ones are the tag
	for {
		s := x.slots[at]
		if s == 0 {
			return at, tag, false
		}
		if s&^maxStart == tag && string(x.number(s&maxStart)) == string(magnitude) {
			return at, tag, true
		}
		if at++; at == uint64(len(x.slots)) {
			at = 0
		}
	}
}

func (x *index) number(start slot) []byte {
	return x.packed[start : start+slot(x.packed[start-1])]
}

// all yields the numbers. They are the index's own.
func (x *index) all() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for start := 1; start <= len(x.packed); {
			end := start + int(x.packed[start-1])
			if !yield(x.packed[start:end:end]) {
				return
			}
			start = end + 1
		}
	}
}
