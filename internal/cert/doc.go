// Package cert parses, names and judges X.509 certificates (RFC 5280): what a
// person uploads as a CA or as a certificate, what identifies it, and whether
// one may take another's place. It uses the standard library only, does no
// I/O, and never panics on input.
package cert
