package enforcer

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// An upload is the body of a client's request, read by whoever sends it on.
type upload struct {
	body    io.Reader
	control *http.ResponseController
	count   atomic.Int64
	ended   atomic.Bool // read to its end

	closed   atomic.Bool
	gone     <-chan struct{} // closed when the client has left
	deserted atomic.Bool     // closed while the client was there: nobody takes the rest

	mu sync.Mutex // held while reading
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed.Load() {
		return 0, os.ErrClosed
	}
	n, err := u.body.Read(p)
	u.count.Add(int64(n))
	if errors.Is(err, io.EOF) {
		u.ended.Store(true)
	}
	return n, err
}

// past is a deadline that ends a call in progress.
var past = time.Unix(1, 0)

// Close ends a Read that waits for the client, and all later ones. What is
// left of the body stays where it is, so that over HTTP/1.1 the connection
// serves no other request. Only the first call does anything: by a later one the
// connection may be at another request.
func (u *upload) Close() error {
	if u.ended.Load() || u.closed.Swap(true) {
		return nil
	}
	select {
	case <-u.gone:
	default:
		u.deserted.Store(true) // before the read ends: net/http takes that for a client that has left
	}
	_ = u.control.SetReadDeadline(past)
	u.mu.Lock()
	defer u.mu.Unlock()
	return nil
}
