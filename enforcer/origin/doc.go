// Package origin is the way from the listener to the applications it guards:
// pooled HTTP/1.1 connections of our own, and HTTP/2 by net/http.
//
// A request is serialised anew from its parts and never forwarded raw; of an
// answer, whatever is not exactly one well-formed message is an error. So
// neither a client nor an origin can make the two ends of a connection differ
// about where a message ends.
//
// It fails closed towards the pool: a connection is used again only if its
// last exchange ended exactly at the end of both messages. Everything else
// closes it.
//
// Deadlines here are by the machine's clock, since the kernel keeps them.
package origin
