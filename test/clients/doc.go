// Package clients drives the real binary with the official Go clients of the
// reference product, both generations of them, the way Terraform does. It is a
// module of its own, so that those clients are not among the product's
// dependencies.
//
// CERTVIGIL_BIN names the binary to test; without it, it is built.
package clients
