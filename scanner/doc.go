// Package scanner finds what is due to be told. [Decide] is a pure decision
// over one item, the alert rules and an instant; [NewPlan] gathers the
// decisions of one scan into deliveries; a [Scanner] carries scans out at
// start, on schedule, when kicked and after the machine slept.
//
// The package refuses to scan while the wall clock cannot be believed. It
// holds no state that matters after a restart: what was told is in the
// [Inventory], and a scan that fails leaves nothing behind and is tried again.
package scanner
