// Package walkthrough holds the reference product's documented walk-through,
// carried out on the real programs: cfssl and cfssljson make the certificates,
// curl and Chromium are the clients, certvigil runs as processes of its own. It
// is a module apart, so that cfssl's dependencies do not become the product's.
//
// $CERTVIGIL_BIN names a certvigil to test in place of a freshly built one.
package walkthrough
