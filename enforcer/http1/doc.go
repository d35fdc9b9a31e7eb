// Package http1 serves the everyday part of HTTP/1.1 over TLS connections, and
// gives every connection whose client asks for more to net/http.
//
// The part is a whitelist: a known method, a target in origin form, exactly one
// Host, no body or one of an announced length, a head of at most 8 KiB whose
// lines end in CRLF and none of whose fields is about the transfer. At the first
// request outside it the connection goes to another server for good, with every
// byte that has been read. Nothing is repaired here (but that line ends behind a
// POST are skipped, as net/http does), and no request is ever refused here: which
// requests are wrong is net/http's to say. So the worst that a mistake in the
// whitelist does is to read a request in another way than net/http does, which
// FuzzRequest looks for.
//
// It costs a fraction of net/http's processor time and memory. No goroutine, timer or
// deadline belongs to a request: one goroutine a connection reads, serves and
// writes, and one for all connections watches the time and for clients that have
// left. An idle connection holds no buffer.
package http1
