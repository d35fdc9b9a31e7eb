// Package inventory holds the acts on what is stored: adding, renewing,
// confirming, removing, with their rules. The command line and the HTTP API
// both call it, so that what goes in by either is one state under one law.
// It belongs to the inner ring: it owns the words for stored objects and the
// [Store] interface, which internal/store implements.
package inventory
