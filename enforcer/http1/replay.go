package http1

import "crypto/tls"

// A replay is a connection that is passed on, of which something has been read.
type replay struct {
	*tls.Conn
	rest []byte
}

// Read implements net.Conn.
func (r *replay) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
