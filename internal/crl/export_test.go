package crl

import "unsafe"

// Footprint returns how many bytes the index of a list holds, used or not.
func (l *List) Footprint() int {
	return cap(l.index.packed) + cap(l.index.slots)*int(unsafe.Sizeof(slot(0)))
}
